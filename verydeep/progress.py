"""Progress and messages, always to stderr: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Task(Protocol):
    """One piece of work whose end can be foreseen."""

    def update(self, done: float, note: str = "") -> None:
        """Say how much is done, and perhaps a word about it."""


class Progress:
    """Says nothing; the base of those that do."""

    def say(self, message: str) -> None:
        """Print a line."""

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Task]:
        """Follow a piece of work of that many parts."""
        yield _Silent()


class _Silent:
    def update(self, done: float, note: str = "") -> None:
        pass


class PlainProgress(Progress):
    """Lines for logs and pipes: a line a message, and one after half a minute of silence."""

    def __init__(self, seconds: float = 30.0) -> None:
        self.seconds = seconds
        self.last = time.monotonic()

    def say(self, message: str) -> None:
        """Print a line."""
        self.last = time.monotonic()
        with contextlib.suppress(OSError):  # the terminal may be closed, or the log's disk full
            print(message, file=sys.stderr, flush=True)  # noqa: T201

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Task]:
        """Follow a piece of work of that many parts."""
        yield _Lines(self, title, total)


class _Lines:
    def __init__(self, progress: PlainProgress, title: str, total: int) -> None:
        self.progress, self.title, self.total = progress, title, total

    def update(self, done: float, note: str = "") -> None:
        if time.monotonic() >= self.progress.last + self.progress.seconds:
            self.progress.say(f"{self.title}: {int(done):,} of {self.total:,} {note}".rstrip())


class RichProgress(Progress):
    """Bars for a terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)
        self._live: Any = None

    def say(self, message: str) -> None:
        """Print a line above the bars."""
        with contextlib.suppress(OSError):  # the terminal may be closed
            self.console.print(message, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Task]:
        """Show a bar; tasks within tasks stand below one another."""
        if self._live is not None:
            yield from self._bar(title, total)
            return
        with _bars(self.console) as self._live:
            try:
                yield from self._bar(title, total)
            finally:
                self._live = None

    def _bar(self, title: str, total: int) -> Iterator[Task]:
        live = self._live
        number = live.add_task(title, total=total, note="")
        try:
            yield _Bar(live, number)
        finally:
            live.remove_task(number)


class _Bar:
    def __init__(self, live: Any, number: Any) -> None:
        self.live, self.number = live, number

    def update(self, done: float, note: str = "") -> None:
        self.live.update(self.number, completed=done, note=note)


def _bars(console: Any) -> Any:
    from rich import progress as rich_progress

    return rich_progress.Progress(
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(bar_width=24),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TimeRemainingColumn(),
        rich_progress.TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
    )


def console_progress() -> Progress:
    """Return bars if stderr is a terminal, else plain lines."""
    return RichProgress() if sys.stderr.isatty() else PlainProgress()
