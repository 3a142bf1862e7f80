"""Refusals of hostile files, which must not take long, and what is no file."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from verydeep.data.images.decode import decode
from verydeep.errors import PictureError

SECONDS = 10.0
"""Of a processor that others share; work without a bound takes minutes."""


@pytest.fixture(autouse=True)
def watchdog() -> Iterator[None]:
    """End a test that waits for ever, as one that opens a named pipe would."""

    def give_up(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def fault(source: Path | bytes) -> str:
    """Return why an image is refused; to find out must not take long."""
    started = time.process_time()
    with pytest.raises(PictureError) as caught:
        decode(source)
    assert time.process_time() - started < SECONDS
    assert "\n" not in str(caught.value)
    return str(caught.value)


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # the name of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(path.name)
    finally:
        os.chdir(before)


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (make_pipe, "a named pipe, not a file"),
    "socket": (make_socket, "a socket, not a file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "a device, not a file"),
    "folder": (lambda path: path.mkdir(), "Is a directory"),
    "dangling": (
        lambda path: path.symlink_to("gone.jpg"),
        "a link to 'gone.jpg', which does not exist",
    ),
    "loop": (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
    "empty": (lambda path: path.touch(), "the file is empty"),
}


NAMES = ("-rf.png", "two\nlines.png", "a\ttab.png", "escape\x1b[2J.png", 'say "a, b".png', "é.png")


BYTES_OF_A_NAME = b"\xff\xfe.png"


def odd_names(folder: Path) -> list[str]:
    """Return names that the disk takes: some refuse what is not UTF-8."""
    names = [*NAMES]
    odd = os.fsdecode(BYTES_OF_A_NAME)
    try:
        (folder / odd).touch()
        (folder / odd).unlink()
    except OSError:
        return names
    return [*names, odd]
