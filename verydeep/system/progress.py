"""Progress and messages: bars in a terminal, one line in a notebook, plain lines elsewhere.

They go to stderr, except in a notebook, which would show them as errors.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from verydeep.system.group.membership import membership


class ProgressTask(Protocol):
    """The progress of one task."""

    def update(self, done: float, note: str = "") -> None:
        """Report how much is done, perhaps with a note."""


class Progress:
    """Silent progress; base class of the others."""

    def log(self, message: str) -> None:
        """Print a line."""

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[ProgressTask]:
        """Track a task of ``total`` parts."""
        yield _Silent()


ProgressWish = Progress | bool | None
"""Argument ``progress`` of Python functions; see :func:`choose_progress`."""


class _Silent:
    def update(self, done: float, note: str = "") -> None:
        pass


class PlainProgress(Progress):
    """Lines for logs and pipes: one per message, and one after half a minute of silence."""

    def __init__(self, seconds: float = 30.0) -> None:
        self.seconds = seconds
        self.last = time.monotonic()

    def log(self, message: str) -> None:
        """Print a line."""
        self.last = time.monotonic()
        with contextlib.suppress(OSError):  # terminal closed, or disk of the log full
            print(message, file=sys.stderr, flush=True)  # noqa: T201

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[ProgressTask]:
        """Track a task of ``total`` parts."""
        yield _Lines(self, title, total)


class _Lines:
    def __init__(self, progress: PlainProgress, title: str, total: int) -> None:
        self.progress, self.title, self.total = progress, title, total

    def update(self, done: float, note: str = "") -> None:
        if time.monotonic() >= self.progress.last + self.progress.seconds:
            self.progress.log(f"{self.title}: {int(done):,} of {self.total:,} {note}".rstrip())


class NotebookProgress(Progress):
    """One updated line below a notebook cell, without widgets."""

    def __init__(self, seconds: float = 0.5) -> None:
        self.seconds = seconds
        self._shown = 0

    def log(self, message: str) -> None:
        """Print a line above the updated one."""
        self._clear()
        print(message, flush=True)  # noqa: T201

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[ProgressTask]:
        """Track a task of ``total`` parts."""
        try:
            yield _Line(self, title, total)
        finally:
            self._clear()

    def show(self, text: str) -> None:
        """Replace the updated line."""
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
        seconds: Delay before a bar appears, so that short tasks show none.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)
        self.seconds = seconds
        self._live: Any = None

    def log(self, message: str) -> None:
        """Print a line above the bars."""
        with contextlib.suppress(OSError):  # terminal closed
            self.console.print(message, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[ProgressTask]:
        """Show a bar; nested tasks appear below one another."""
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
        """Show the bars once the delay has passed."""
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
    """Return whether this process runs a notebook (Jupyter, Colab, VS Code)."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython and hasattr(ipython, "get_ipython") else None
    return getattr(shell, "kernel", None) is not None


def choose_progress(wish: ProgressWish) -> Progress:
    """Return the progress of a function called from Python.

    Args:
        wish: A :class:`Progress`, which is returned; True always reports, False never; None reports
            in a notebook or terminal, and only from the first of several processes.
    """
    if isinstance(wish, Progress):
        return wish
    if wish is None and (membership().rank > 0 or not _has_reader()):
        return Progress()
    if wish is False:
        return Progress()
    if in_notebook():
        return NotebookProgress()
    return RichProgress(seconds=0.5) if sys.stderr.isatty() else PlainProgress()


def _has_reader() -> bool:
    return in_notebook() or (sys.stderr is not None and sys.stderr.isatty())
