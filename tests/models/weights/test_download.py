"""Downloads of weights from a server on this machine: breaks, checksums, disks, processes."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from downloads import CONTENT, SHA256, Log, fetch, files, part_of, put, weights
from file_server import Behaviour

from verydeep.errors import DiskError, InputError, ModelError
from verydeep.models.weights import download, resumable_download
from verydeep.models.weights.caches import cached, own_file

pytestmark = pytest.mark.usefixtures("homes")


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
    one = weights(server, algorithm=algorithm, digest=digest)
    known = SHA256 if algorithm == "sha256" else None
    for _ in ("downloaded", "found"):
        assert download.fetch(one) == (own_file(one), known)
        assert own_file(one).read_bytes() == CONTENT
    assert server.asked == [None]


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
    assert len(server.asked) == 1 + resumable_download.MOST_FAILURES
    part = part_of(weights(server))
    assert part.read_bytes() == CONTENT[:100_000]
    server.cuts = []
    assert fetch(weights(server)).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=100000-"
    assert not part.exists()


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
    put(part_of(one), left)
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


# ---- disks, signals, other processes ----


def test_a_full_disk_keeps_what_is_there(
    server: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0

    class Full(resumable_download.io.FileIO):
        def write(self, chunk: Any) -> int:
            nonlocal written
            if written >= 2**20:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written += len(chunk)
            return super().write(chunk)

    with monkeypatch.context() as patched:
        patched.setattr(resumable_download.io, "FileIO", Full)
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
    part = part_of(weights(server))
    with started(server) as process:
        wait_for(lambda: part.exists() and part.stat().st_size >= 2**20)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) != 0
    size = part.stat().st_size
    assert part.read_bytes() == CONTENT[:size]
    server.stall = None
    assert fetch(weights(server)).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={size}-"]
