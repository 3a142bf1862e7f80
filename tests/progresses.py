"""Progress that listens, and progress that interrupts."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from verydeep.system.progress import Progress


class Listening(Progress):
    """Keeps the lines that are logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, message: str) -> None:
        self.lines.append(message)


class Signalling(Progress):
    """Sends a signal to this process when the task of this title begins."""

    def __init__(self, title: str, number: signal.Signals = signal.SIGINT) -> None:
        self.title, self.number = title, number

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Any]:
        if title == self.title:
            signal.raise_signal(self.number)
        with super().task(title, total) as silent:
            yield silent
