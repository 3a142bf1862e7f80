"""Downloads of weights from a server on this machine that breaks off, lies and refuses."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from file_server import Behaviour, serving

from verydeep.errors import DiskError, InputError, ModelError
from verydeep.models.weights import download, transfer
from verydeep.models.weights.caches import cached, own_file
from verydeep.models.weights.download import fetch
from verydeep.models.weights.published import Published, find_published
from verydeep.system.option_names import flags_in_messages
from verydeep.system.progress import Progress

CONTENT = bytes(range(256)) * 9000 + b"the end"  # several chunks
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Log(Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.tasks: list[tuple[str, int]] = []

    def log(self, message: str) -> None:
        self.lines.append(message)

    def task(self, title: str, total: int) -> Any:
        self.tasks.append((title, total))
        return super().task(title, total)


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Caches of this package and of others in an empty folder; no pauses, no proxy."""
    for variable in ("TORCH_HOME", "KERAS_HOME", "HF_HOME", "XDG_CACHE_HOME", "VERYDEEP_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(transfer, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(download, "_PAUSE", 0.01)
    return tmp_path


@pytest.fixture
def server() -> Iterator[Behaviour]:
    with serving(CONTENT) as behaviour:
        yield behaviour


def weights(server: Behaviour, **changes: Any) -> Published:
    values = {
        "name": "onnx/vgg16",
        "url": f"{server.url}/a/net.onnx",
        "mirrors": (),
        "algorithm": "sha256",
        "digest": SHA256,
        "size": len(CONTENT),
        "size_about": len(CONTENT),
    }
    return dataclasses.replace(find_published("onnx/vgg16"), **{**values, **changes})


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_a_file_is_downloaded_once(server: Behaviour) -> None:
    one, log = weights(server), Log()
    assert cached(one) is None
    file = fetch(one, log)
    assert file.read_bytes() == CONTENT
    assert files(file.parent) == {"net.onnx"}
    assert fetch(one) == file == cached(one) == own_file(one)
    assert server.asked == [None]
    assert [title for title, _ in log.tasks] == [
        "downloading net.onnx, MB",
        "checking net.onnx.part, MB",
    ]
    assert len(log.lines) == 2


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("md5", hashlib.md5(CONTENT).hexdigest()),
        ("sha384", hashlib.sha384(CONTENT).hexdigest()),
        ("sha256", SHA256[:8]),
    ],
)
def test_checksums_of_every_kind(algorithm: str, digest: str, server: Behaviour) -> None:
    assert fetch(weights(server, algorithm=algorithm, digest=digest)).read_bytes() == CONTENT


def test_a_download_that_is_cut_is_continued(server: Behaviour) -> None:
    server.cuts = [1_000_000, 5, 700_000]
    assert fetch(weights(server)).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000000-", "bytes=1000005-", "bytes=1700005-"]


def test_a_server_without_ranges_sends_the_file_again(server: Behaviour) -> None:
    server.ranges, server.cuts = False, [1_000_000]
    assert fetch(weights(server)).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000000-"]


def test_a_download_is_given_up_and_continued_by_the_next_call(server: Behaviour) -> None:
    server.cuts = [100_000] + [0] * 20
    with pytest.raises(ModelError, match=r"broke off after 100,000 of 2,304,007 bytes"):
        fetch(weights(server))
    assert len(server.asked) == 1 + transfer.MOST_FAILURES
    part = own_file(weights(server)).with_name("net.onnx.part")
    assert part.read_bytes() == CONTENT[:100_000]
    server.cuts = []
    assert fetch(weights(server)).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=100000-"
    assert not part.exists()


def leave_part(one: Published, content: bytes) -> Path:
    part = own_file(one).with_name(f"{own_file(one).name}.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    return part


@pytest.mark.parametrize(
    "left",
    [CONTENT, CONTENT + b"more", b"x" * 1000, b"x" * len(CONTENT), b""],
    ids=["complete", "too long", "of another file", "another file", "empty"],
)
@pytest.mark.parametrize("known", [True, False], ids=["known size", "unknown size"])
def test_whatever_is_left_the_file_becomes_right(
    left: bytes, known: bool, server: Behaviour
) -> None:
    one = weights(server, size=len(CONTENT) if known else None)
    leave_part(one, left)
    assert fetch(one).read_bytes() == CONTENT


def test_a_wrong_file_is_not_kept(server: Behaviour) -> None:
    server.content = wrong = CONTENT[:-1] + b"!"
    with pytest.raises(ModelError) as raised:
        fetch(weights(server))
    assert hashlib.sha256(wrong).hexdigest() in str(raised.value)
    assert SHA256 in str(raised.value)
    assert files(own_file(weights(server)).parent) == set()


@pytest.mark.parametrize("length", [str(len(CONTENT) + 1), "7", "99999999999999"])
def test_a_wrong_length_is_refused_before_the_download(length: str, server: Behaviour) -> None:
    server.length = length
    with pytest.raises(ModelError, match=rf"sends {int(length):,} bytes, but .* 2,304,007"):
        fetch(weights(server))


def test_a_file_far_too_long_is_refused(server: Behaviour) -> None:
    server.length = "99999999999"
    with pytest.raises(ModelError, match="far more than the file can have"):
        fetch(weights(server, size=None))
    server.length, server.content = "", bytes(9_000_000)
    with pytest.raises(ModelError, match="sends more bytes than the file has"):
        fetch(weights(server, size=None))


def test_a_length_that_is_not_stated_is_no_matter(server: Behaviour) -> None:
    server.length = ""
    assert fetch(weights(server, size=None)).read_bytes() == CONTENT


def test_another_range_than_was_asked_for_is_refused(server: Behaviour) -> None:
    server.cuts, server.range_shift = [1000], 1
    with pytest.raises(ModelError, match="another part of the file"):
        fetch(weights(server))


# ---- redirects ----


def test_a_redirect_is_followed(server: Behaviour) -> None:
    server.redirects["/a/net.onnx"] = ("/b", {})
    assert fetch(weights(server)).read_bytes() == CONTENT


def test_redirects_in_a_circle_end(server: Behaviour) -> None:
    server.redirects = {"/a/net.onnx": ("/b", {}), "/b": ("/a/net.onnx", {})}
    with pytest.raises(ModelError, match=r"HTTP 302 .*infinite loop"):
        fetch(weights(server))
    assert len(server.asked) < 12


@pytest.mark.parametrize(
    "target", ["http://example.com/", "ftp://127.0.0.1/", "file:///etc/passwd"]
)
def test_a_redirect_to_an_unsafe_address_is_refused(target: str, server: Behaviour) -> None:
    server.redirects["/a/net.onnx"] = (target, {})
    with pytest.raises(ModelError, match=r"only https: is safe|is not allowed"):
        fetch(weights(server))


def test_an_address_without_encryption_is_refused(server: Behaviour) -> None:
    with pytest.raises(ModelError, match="leads to http:, but only https: is safe"):
        fetch(weights(server, url="http://example.com/net.onnx"))


@pytest.mark.parametrize("target", ["http://[::1", "http://127.0.0.1:x/", "//", "http://"])
def test_a_redirect_to_no_address_is_refused(target: str, server: Behaviour) -> None:
    server.redirects["/a/net.onnx"] = (target, {})
    with pytest.raises(ModelError, match=r"cannot be downloaded"):
        fetch(weights(server))


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "x", "1e3"])
def test_a_length_that_is_no_number_is_no_length(length: str, server: Behaviour) -> None:
    server.length = length
    assert fetch(weights(server)).read_bytes() == CONTENT


@pytest.mark.parametrize("stated", ["bytes " + "9" * 5000 + "-", "bytes -", "", "items 5-"])
def test_a_range_that_is_none_is_refused(stated: str, server: Behaviour) -> None:
    server.cuts, server.stated_range = [1000], stated
    with pytest.raises(ModelError, match="another part of the file"):
        fetch(weights(server))


# ---- the Hugging Face hub ----


@pytest.mark.parametrize("tag", [f'"{SHA256}"', SHA256, f'W/"{SHA256.upper()}"'])
def test_the_hub_states_the_checksum_before_its_redirect(tag: str, server: Behaviour) -> None:
    server.redirects["/a/net.onnx"] = ("/storage", {"X-Linked-Etag": tag})
    server.headers = {"ETag": '"' + "0" * 64 + '"'}
    one = weights(server, digest=None, size=None)
    file = fetch(one)
    assert file.read_bytes() == CONTENT
    assert files(file.parent) == {"net.onnx", "net.onnx.sha256"}
    assert fetch(one) == file
    assert len(server.asked) == 2  # and not again
    file.write_bytes(b"changed")
    assert fetch(one).read_bytes() == CONTENT


def test_a_checksum_of_the_hub_is_checked(server: Behaviour) -> None:
    server.headers = {"ETag": '"' + "0" * 64 + '"'}
    with pytest.raises(ModelError, match="0" * 64):
        fetch(weights(server, digest=None))


def test_a_file_without_any_checksum_is_not_kept(server: Behaviour) -> None:
    server.headers = {"ETag": '"5e-3a"'}
    with pytest.raises(ModelError, match="states no checksum"):
        fetch(weights(server, digest=None))
    assert files(own_file(weights(server)).parent) == set()


# ---- refusals ----


@pytest.mark.parametrize(
    ("code", "reason"), [(404, "Not Found"), (403, "Forbidden"), (410, "Gone")]
)
def test_a_refusal_is_told_at_once(code: int, reason: str, server: Behaviour) -> None:
    server.codes = [(code, {})]
    with pytest.raises(ModelError, match=f"HTTP {code} {reason}"):
        fetch(weights(server))
    assert len(server.asked) == 1


def test_a_mirror_is_taken_after_a_refusal(server: Behaviour) -> None:
    server.codes = [(404, {})]
    one, log = weights(server, mirrors=(f"{server.url}/mirror",)), Log()
    assert fetch(one, log).read_bytes() == CONTENT
    assert any("/mirror" in line for line in log.lines)


def test_a_busy_server_is_asked_again(server: Behaviour) -> None:
    server.codes = [(503, {}), (429, {}), (500, {})]
    assert fetch(weights(server)).read_bytes() == CONTENT
    server.codes = [(503, {})] * 20
    with pytest.raises(ModelError, match="HTTP 503 Service Unavailable"):
        fetch(weights(server, name="onnx/vgg19"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        ("9999999", transfer.LONGEST_PAUSE),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", transfer.LONGEST_PAUSE),
        ("soon", transfer.FIRST_PAUSE),
        ("-5", transfer.FIRST_PAUSE),
        ("٣", transfer.FIRST_PAUSE),
    ],
)
def test_a_server_may_say_when_to_ask_again(
    text: str, seconds: float, server: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "FIRST_PAUSE", 1.0)
    slept: list[float] = []
    monkeypatch.setattr(transfer.time, "sleep", slept.append)
    server.codes = [(503, {"Retry-After": text.encode().decode("latin-1")})]
    fetch(weights(server))
    assert slept == [seconds]


def test_no_network_gives_one_message_with_a_way_out() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, but not listening
        one = dataclasses.replace(
            find_published("torchvision/vgg16"),
            url=f"http://127.0.0.1:{closed.getsockname()[1]}/vgg16-397923af.pth",
        )
        with pytest.raises(ModelError) as raised, flags_in_messages():
            fetch(one)
    message = str(raised.value)
    for part in (one.url, "Connection refused", "sha256 beginning with 397923af", "HTTPS_PROXY",
                 "verydeep import FILE --out MODEL", str(own_file(one))):  # fmt: skip
        assert part in message
    with pytest.raises(ModelError, match=r"verydeep\.import_weights\('FILE'\)"):
        fetch(one)


def test_a_file_brought_by_hand_is_used_after_a_check(server: Behaviour) -> None:
    one, log = weights(server), Log()
    place = own_file(one)
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    assert fetch(one, log) == place
    assert server.asked == []
    place.write_bytes(b"another")
    assert fetch(one, log).read_bytes() == CONTENT
    assert "not the file that was published" in log.lines[0]


# ---- files of other libraries ----


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("torchvision/vgg16", "TORCH_HOME/hub/checkpoints/vgg16-397923af.pth"),
        ("keras/vgg19", "KERAS_HOME/models/vgg19_weights_tf_dim_ordering_tf_kernels.h5"),
    ],
)
def test_a_file_of_its_library_is_used_in_place(name: str, place: str, homes: Path) -> None:
    one = dataclasses.replace(find_published(name), algorithm="sha256", digest=SHA256)
    there = put(homes / place)
    assert cached(one) == there
    assert fetch(one) == there
    assert not own_file(one).exists()


@pytest.mark.parametrize("variable", ["HF_HOME", "HF_HUB_CACHE"])
def test_a_file_of_the_hubs_cache_is_used_in_place(
    variable: str, homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable == "HF_HUB_CACHE":
        monkeypatch.setenv(variable, str(homes / variable / "hub"))
    model = homes / variable / "hub" / "models--timm--vgg16.tv_in1k"
    blob = put(model / "blobs" / SHA256)
    link = model / "snapshots" / "b8d8aa2d" / "model.safetensors"
    link.parent.mkdir(parents=True)
    link.symlink_to(blob)
    assert fetch(find_published("timm/vgg16.tv_in1k")) == link


def test_another_file_of_its_library_is_not(server: Behaviour, homes: Path) -> None:
    one, log = weights(server, family="keras", url=f"{server.url}/net.h5"), Log()
    put(homes / "KERAS_HOME" / "models" / "net.h5", b"another")
    assert fetch(one, log) == own_file(one)
    assert "not used" in log.lines[0]


def test_torchs_folder_is_the_one_that_torch_takes(homes: Path) -> None:
    import torch

    one = find_published("torchvision/vgg16")
    there = put(Path(torch.hub.get_dir()) / "checkpoints" / one.file_name)
    assert there.is_relative_to(homes)
    assert cached(one) == there


# ---- disks, signals, other processes ----


def test_a_full_disk_keeps_what_is_there(
    server: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0

    class Full(transfer.io.FileIO):
        def write(self, chunk: Any) -> int:
            nonlocal written
            if written >= 2**20:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written += len(chunk)
            return super().write(chunk)

    with monkeypatch.context() as patched:
        patched.setattr(transfer.io, "FileIO", Full)
        with pytest.raises(DiskError, match=r"net\.onnx\.part: no space .* VERYDEEP_CACHE"):
            fetch(weights(server))
    assert fetch(weights(server)).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={written}-"]


def test_too_little_room_is_told_before_the_download(
    server: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DiskError, match="needs 2 MB, 1 MB are free"):
        fetch(weights(server))
    assert server.asked == []


def test_a_cache_that_cannot_be_made_is_the_users_fault(server: Behaviour, homes: Path) -> None:
    (homes / "VERYDEEP_CACHE").write_text("a file")
    with pytest.raises(InputError, match="VERYDEEP_CACHE"):
        fetch(weights(server))


CHILD = """
import dataclasses, sys
from verydeep.models.weights.download import fetch
from verydeep.models.weights.published import find_published
url, digest, size = sys.argv[1:]
known = find_published("onnx/vgg16")
values = dict(url=url, mirrors=(), digest=digest, size=int(size), size_about=int(size))
fetch(dataclasses.replace(known, **values))
"""


def started(server: Behaviour) -> subprocess.Popen[bytes]:
    """Download in another process."""
    one = weights(server)
    words = [sys.executable, "-c", CHILD, one.url, SHA256, str(len(CONTENT))]
    return subprocess.Popen(words, stderr=subprocess.DEVNULL)


def wait_for(what: Any) -> None:
    end = time.monotonic() + 30
    while not what() and time.monotonic() < end:
        time.sleep(0.005)
    assert what()


@pytest.mark.slow
def test_a_second_process_waits_and_downloads_nothing(server: Behaviour) -> None:
    server.gate.clear()
    with started(server) as process:
        wait_for(lambda: server.asked)
        log = Log()
        threading.Timer(1.5, server.gate.set).start()
        file = fetch(weights(server), log)
        assert process.wait(30) == 0
    assert file.read_bytes() == CONTENT
    assert server.asked == [None]
    assert f"process {process.pid}" in log.lines[0]
    assert log.lines[0].startswith("waiting for another download")
    assert not [line for line in log.lines if line.startswith("downloading")]


@pytest.mark.slow
def test_a_download_that_is_interrupted_leaves_its_part(server: Behaviour) -> None:
    server.stall = 1_500_000
    part = own_file(weights(server)).with_name("net.onnx.part")
    with started(server) as process:
        wait_for(lambda: part.exists() and part.stat().st_size >= 2**20)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) != 0
    size = part.stat().st_size
    assert part.read_bytes() == CONTENT[:size]
    server.stall = None
    assert fetch(weights(server)).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={size}-"]
