"""Remote files: what is listed and read, what is refused, and how a missing package is told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from verydeep.data.listing.read import list_images
from verydeep.data.listing.remote_image import RemoteImage
from verydeep.errors import DataError, MachineError, PictureError
from verydeep.system.object_stores import is_lasting, list_remote, open_remote, read_remote

fsspec = pytest.importorskip("fsspec", reason="remote files are opened through fsspec")


@pytest.fixture
def store() -> Iterator[str]:
    """A folder in a store in memory."""
    system = fsspec.filesystem("memory")
    for name in ("b/2.png", "a/1.png", "a/.hidden.png", "list.csv", "a/x.tar"):
        system.pipe(f"/photos/{name}", name.encode())
    yield "memory://photos"
    system.rm("/photos", recursive=True)


def test_files_below_a_folder_with_their_sizes(store: str) -> None:
    assert {name.rpartition("photos/")[2]: size for name, size in list_remote(store).items()} == {
        "a/.hidden.png": 13,
        "a/1.png": 7,
        "a/x.tar": 7,
        "b/2.png": 7,
        "list.csv": 8,
    }


def test_files_that_match(store: str) -> None:
    assert [name[-7:] for name in list_remote(f"{store}/*/[12].png")] == ["a/1.png", "b/2.png"]
    assert list_remote(f"{store}/*.gif") == {}


def test_a_folder_of_images_is_told_from_other_files(store: str) -> None:
    listing = list_images(store)
    assert [name[-7:] for name in listing.names] == ["a/1.png", "b/2.png"]
    names, places = listing.part(range(1, 2))
    assert places == [RemoteImage(names[0])]
    assert places[0].read() == b"b/2.png"


def test_a_part_of_a_file(store: str) -> None:
    assert read_remote(f"{store}/list.csv", 1, 4) == b"ist"
    assert read_remote(f"{store}/list.csv") == b"list.csv"
    with open_remote(f"{store}/list.csv") as stream:
        assert stream.read() == b"list.csv"


def test_a_missing_file_is_a_fault_of_the_input(store: str) -> None:
    with pytest.raises(DataError, match=r"9\.png: cannot be read \("):
        read_remote(f"{store}/9.png")
    with pytest.raises(DataError, match=r"9\.png: cannot be opened \("):
        open_remote(f"{store}/9.png")
    with pytest.raises(PictureError, match=r"^cannot be read \("):
        RemoteImage(f"{store}/9.png").read()


def test_a_store_without_an_answer_is_a_fault_of_the_machine() -> None:
    pytest.importorskip("aiohttp", reason="fsspec opens http through it")
    image = RemoteImage("http://me:word@127.0.0.1:9/1.png?token=1")  # nobody listens there
    with pytest.raises(MachineError, match=r"1\.png\?…: cannot be read \(") as refused:
        image.read()
    assert "word" not in str(refused.value)
    assert "token" not in str(refused.value)


class Status(Exception):
    """An answer of a web server."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


@pytest.mark.parametrize(
    ("error", "lasting"),
    [
        (FileNotFoundError(), True),
        (PermissionError(), True),
        (Status(404), True),
        (Status(429), False),
        (Status(503), False),
        (TimeoutError(), False),
        (ConnectionResetError(), False),
    ],
)
def test_faults_that_last(error: Exception, lasting: bool) -> None:
    assert is_lasting(error) is lasting
    wrapped = RuntimeError("of a package")
    wrapped.__cause__ = error
    assert is_lasting(wrapped) is lasting


@pytest.mark.parametrize(
    ("package", "place", "extra"),
    [
        ("s3fs", "s3://bucket/photos", "s3"),
        ("gcsfs", "gs://bucket/photos", "gcs"),
        ("huggingface_hub", "hf://datasets/owner/name", "hub"),
        ("aiohttp", "https://host/photos/", "shards"),
        ("fsspec", "s3://bucket/photos", "s3"),
    ],
)
def test_a_missing_package_is_named_with_its_install_line(
    package: str, place: str, extra: str, tmp_path: Path
) -> None:
    code = (
        "import sys\n"
        f"sys.modules[{package!r}] = None\n"
        "from verydeep.system.object_stores import list_remote\n"
        "from verydeep.errors import MissingExtra\n"
        f"try: list_remote({place!r})\n"
        "except MissingExtra as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    needs = f"a remote file needs an extra: pip install 'verydeep[{extra}]'"
    assert done.stdout == f"{place}: {needs}\n"


def test_an_unknown_protocol_is_told() -> None:
    with pytest.raises(DataError, match=r"^x9://a: unknown protocol \("):
        list_remote("x9://a")
