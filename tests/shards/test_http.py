"""Shards behind a local web server, as whole files and ranges."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from tiny import write_splits

from verydeep.data.images.decode import decode
from verydeep.data.read import read_dataset
from verydeep.data.shards.write import write_shards
from verydeep.errors import DataError

pytest.importorskip("aiohttp", reason="fsspec opens http through it")


class Ranges(SimpleHTTPRequestHandler):
    """What web servers do and the standard library's leaves out: parts of a file."""

    protocol_version = "HTTP/1.1"
    asked: list[str]

    def __init__(self, *args: object, asked: list[str], **kwargs: object) -> None:
        self.asked = asked
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        path, wanted = Path(self.translate_path(self.path)), self.headers.get("Range")
        if not path.is_file() or wanted is None:
            super().do_GET()
            return
        self.asked.append(wanted)
        first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", wanted).groups())  # type: ignore[union-attr]
        part = path.read_bytes()[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.send_header(
            "Content-Range", f"bytes {first}-{first + len(part) - 1}/{path.stat().st_size}"
        )
        self.end_headers()
        self.wfile.write(part)

    def end_headers(self) -> None:
        self.send_header("Accept-Ranges", "bytes")
        super().end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def asked() -> list[str]:
    """Ranges that the server was asked for."""
    return []


@pytest.fixture
def address(tmp_path: Path, asked: list[str]) -> Iterator[str]:
    handler = partial(Ranges, asked=asked, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_shards_behind_a_web_server(tmp_path: Path, address: str, asked: list[str]) -> None:
    write_shards(
        read_dataset(write_splits(tmp_path / "pets", 9, 4, 3)), tmp_path / "out", samples=5
    )
    here = read_dataset(tmp_path / "out")
    whole = read_dataset(f"{address}/out")
    assert whole.place == f"{address}/out"
    assert whole.stream is not None
    assert whole.sizes == here.sizes
    for one, other in zip(whole.split("val"), here.split("val"), strict=True):
        assert decode(one.path).tobytes() == decode(other.path).tobytes()
    assert asked  # a single image is no whole shard
    read = [one.data for one in whole.stream.read(range(27), buffer=9, seed=0, epoch=0)]
    assert sorted(read) == sorted(one.path.read() for one in here.split("train"))  # type: ignore[union-attr]


def test_why_a_server_gives_nothing_is_said_and_its_address_once(address: str) -> None:
    with pytest.raises(DataError) as refused:
        read_dataset("http://127.0.0.1:9/x-{0..1}.tar")  # nobody listens there
    assert str(refused.value).count("http://127.0.0.1:9/x-0.tar") == 1
    assert re.search(r"x-0\.tar: cannot be opened \(.*[Cc]onnect.*\)$", str(refused.value))
    with pytest.raises(DataError) as missing:
        read_dataset(f"{address}/x-0.tar")
    assert str(missing.value) == f"{address}/x-0.tar: cannot be opened (404 File not found)"
