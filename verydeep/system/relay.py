"""Progress of a process on another machine: it appends lines to a shared file, we show them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from verydeep.system.progress import PlainProgress, Progress

_SECONDS = 0.5
"""Seconds between two looks at the file."""


class FileProgress(PlainProgress):
    """Lines for a file that another process follows with :func:`followed`."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def log(self, message: str) -> None:
        """Append a line."""
        self.last = time.monotonic()
        with contextlib.suppress(OSError), self.path.open("a", encoding="utf-8") as file:
            file.write(f"{message}\n")


@contextmanager
def followed(path: Path, progress: Progress) -> Iterator[None]:
    """Show the lines that others append to a file meanwhile."""
    ended = threading.Event()
    thread = threading.Thread(target=_follow, args=(path, progress, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _follow(path: Path, progress: Progress, ended: threading.Event) -> None:
    place, last = 0, False
    while not last:
        last = ended.wait(_SECONDS)  # after the end, one more look
        with contextlib.suppress(OSError), path.open("rb") as file:
            file.seek(place)
            whole, end, _ = file.read().rpartition(b"\n")
            place += len(whole) + len(end)
            for line in whole.decode("utf-8", "replace").split("\n") if end else ():
                progress.log(line)
