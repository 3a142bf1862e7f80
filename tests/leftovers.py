"""Processes that a test leaves behind, also those whose parent is gone."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36

PATIENCE = 5.0
"""Seconds that processes have to end."""

SERVANTS = ("node", "chrome", "chromium", "headless_shell", "chrome_crashpad_handler")
"""A browser and its driver serve many tests."""


def adopt_orphans() -> None:
    """Become the parent of all processes below whose own parent ends; on Linux only."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> dict[int, str]:
    """Return the processes below this one by number, with the words they were started by.

    This is done after every test, so only these processes are read, not all of the machine.
    """
    found: dict[int, str] = {}
    pending = [os.getpid()]
    while pending:
        for pid in _children(pending.pop()):
            with contextlib.suppress(OSError):  # a process may end at any moment
                status = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
                name, _, rest = status.rpartition(")")
                if rest.split()[0] == "Z" or _is_servant(name.partition("(")[2], words):
                    continue
                pending.append(pid)
                if pid not in _helpers():
                    found[pid] = words.replace("\0", " ").strip()
    return found


def is_gone(pid: int) -> bool:
    """Return whether a process has ended; one that nobody has waited for has, too."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


def _children(pid: int) -> Iterator[int]:
    """Yield the children of all threads of a process; none where the system does not list them."""
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            yield from map(int, path.read_text().split())


def _is_servant(name: str, words: str) -> bool:
    """Return whether a process is one of a browser, by its name or that of its program."""
    program = Path(words.split("\0", 1)[0].split(" ", 1)[0]).name
    return name.split(maxsplit=1)[0] in SERVANTS or program in SERVANTS


def _helpers() -> tuple[int | None, ...]:
    """Return the two processes of ``multiprocessing`` that end with this one."""
    server = getattr(forkserver, "_forkserver", None)
    tracker = getattr(resource_tracker, "_resource_tracker", None)
    return (
        getattr(server, "_forkserver_pid", None),
        getattr(tracker, "_pid", None),
    )


@contextlib.contextmanager
def keeping(pids: Callable[[], Iterable[int]]) -> Iterator[None]:
    """Let several tests share processes within this context.

    Args:
        pids: Returns the ids of those that run at the moment.
    """
    _KEPT.append(pids)
    try:
        yield
    finally:
        _KEPT.remove(pids)


_KEPT: list[Callable[[], Iterable[int]]] = []


def _new(before: dict[int, str]) -> dict[int, str]:
    kept = {pid for pids in _KEPT for pid in pids()}
    return {p: words for p, words in descendants().items() if p not in before and p not in kept}


def left_since(before: dict[int, str]) -> dict[int, str]:
    """Return the processes that are new and do not end by themselves; they are killed."""
    deadline = time.monotonic() + PATIENCE
    while left := _new(before):
        if time.monotonic() > deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return left
        time.sleep(0.05)
    return {}
