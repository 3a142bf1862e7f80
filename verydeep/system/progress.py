"""Progress and messages: bars on a terminal, a line in a notebook, plain lines elsewhere.

All of it goes to stderr but in a notebook, which would paint it as an error.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class ProgressTask(Protocol):
    """One piece of work whose end can be foreseen."""

    def update(self, done: float, note: str = "") -> None:
        """Say how much is done, and perhaps a word about it."""


class Progress:
    """Says nothing; the base of those that do."""

    def log(self, message: str) -> None:
        """Print a line."""

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[ProgressTask]:
        """Follow a piece of work of that many parts."""
        yield _Silent()


ProgressWish = Progress | bool | None
"""What Python's functions take as ``progress``; see :func:`choose_progress`."""


class _Silent:
    def update(self, done: float, note: str = "") -> None:
        pass


class PlainProgress(Progress):
    """Lines for logs and pipes: a line a message, and one after half a minute of silence."""

    def __init__(self, seconds: float = 30.0) -> None:
        self.seconds = seconds
        self.last = time.monotonic()

    def log(self, message: str) -> None:
        """Print a line."""
        self.last = time.monotonic()
        with contextlib.suppress(OSError):  # the terminal may be closed, or the log's disk full
            print(message, file=sys.stderr, flush=True)  # noqa: T201

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[ProgressTask]:
        """Follow a piece of work of that many parts."""
        yield _Lines(self, title, total)


class _Lines:
    def __init__(self, progress: PlainProgress, title: str, total: int) -> None:
        self.progress, self.title, self.total = progress, title, total

    def update(self, done: float, note: str = "") -> None:
        if time.monotonic() >= self.progress.last + self.progress.seconds:
            self.progress.log(f"{self.title}: {int(done):,} of {self.total:,} {note}".rstrip())


class NotebookProgress(Progress):
    """One line below a notebook's cell that is written anew; no widget needs to be installed."""

    def __init__(self, seconds: float = 0.5) -> None:
        self.seconds = seconds
        self._shown = 0

    def log(self, message: str) -> None:
        """Print a line above the one that changes."""
        self._clear()
        print(message, flush=True)  # noqa: T201

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[ProgressTask]:
        """Follow a piece of work of that many parts."""
        try:
            yield _Line(self, title, total)
        finally:
            self._clear()

    def show(self, text: str) -> None:
        """Replace the line that changes."""
        print("\r" + text.ljust(self._shown), end="", flush=True)  # noqa: T201
        self._shown = len(text)

    def _clear(self) -> None:
        if self._shown:
            self.show("")
            print("\r", end="", flush=True)  # noqa: T201


class _Line:
    def __init__(self, progress: NotebookProgress, title: str, total: int) -> None:
        self.progress, self.title, self.total = progress, title, total
        self.next = time.monotonic() + progress.seconds

    def update(self, done: float, note: str = "") -> None:
        if time.monotonic() >= self.next:
            self.next = time.monotonic() + self.progress.seconds
            self.progress.show(f"{self.title}: {int(done):,} of {self.total:,} {note}".rstrip())


class RichProgress(Progress):
    """Bars for a terminal.

    Attributes:
        seconds: A bar appears after that long: work that ends before shows none.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)
        self.seconds = seconds
        self._live: Any = None

    def log(self, message: str) -> None:
        """Print a line above the bars."""
        with contextlib.suppress(OSError):  # the terminal may be closed
            self.console.print(message, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[ProgressTask]:
        """Show a bar; tasks within tasks stand below one another."""
        if self._live is not None:
            yield from self._bar(title, total)
            return
        self._live = _bars(self.console)
        self._begun = time.monotonic()
        try:
            yield from self._bar(title, total)
        finally:
            live, self._live = self._live, None
            live.stop()

    def wake(self) -> None:
        """Show the bars once their work has taken long enough."""
        live = self._live
        if live and not live.live.is_started and time.monotonic() - self._begun >= self.seconds:
            live.start()

    def _bar(self, title: str, total: int) -> Iterator[ProgressTask]:
        live = self._live
        number = live.add_task(title, total=total, note="")
        self.wake()
        try:
            yield _Bar(self, live, number)
        finally:
            live.remove_task(number)


class _Bar:
    def __init__(self, progress: RichProgress, live: Any, number: Any) -> None:
        self.progress, self.live, self.number = progress, live, number

    def update(self, done: float, note: str = "") -> None:
        self.progress.wake()
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


def in_notebook() -> bool:
    """Return whether this process computes the cells of a notebook (Jupyter, Colab, VS Code)."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython and hasattr(ipython, "get_ipython") else None
    return getattr(shell, "kernel", None) is not None


def choose_progress(wish: ProgressWish) -> Progress:
    """Return where a function called from Python reports to.

    Args:
        wish: A :class:`Progress`, which is taken as it is; True reports anyway, False never; None
            reports in a notebook and to a terminal, and is silent in scripts whose stderr goes
            elsewhere. Of several processes that ``torchrun`` started, None reports from the first.
    """
    if isinstance(wish, Progress):
        return wish
    if wish is None and (os.environ.get("RANK", "0") != "0" or not _has_reader()):
        return Progress()
    if wish is False:
        return Progress()
    if in_notebook():
        return NotebookProgress()
    return RichProgress(seconds=0.5) if sys.stderr.isatty() else PlainProgress()


def _has_reader() -> bool:
    return in_notebook() or (sys.stderr is not None and sys.stderr.isatty())
