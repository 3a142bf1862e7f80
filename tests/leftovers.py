"""Processes that a test leaves behind, also those whose parent is gone."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
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
    """Return the processes below this one by number, with the words they were started by."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            name, _, rest = (folder / "stat").read_text("utf-8", "replace").rpartition(")")
            state, parent = rest.split()[:2]
            if state != "Z" and not _is_servant(name.partition("(")[2], folder):
                parents[int(folder.name)] = int(parent)
    found: dict[int, str] = {}
    for pid in parents:
        ancestor = pid
        while ancestor in parents and ancestor != os.getpid():
            ancestor = parents[ancestor]
        if ancestor == os.getpid() and pid not in (ancestor, *_helpers()):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                found[pid] = b" ".join(words).decode("utf-8", "replace").strip()
    return found


def _is_servant(name: str, folder: Path) -> bool:
    """Return whether a process is one of a browser, by its name or that of its program."""
    words = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    program = Path(words[0].split(" ", 1)[0]).name
    return name.split(maxsplit=1)[0] in SERVANTS or program in SERVANTS


def _helpers() -> tuple[int | None, ...]:
    """Return the two processes of ``multiprocessing`` that end with this one."""
    server = getattr(forkserver, "_forkserver", None)
    tracker = getattr(resource_tracker, "_resource_tracker", None)
    return (
        getattr(server, "_forkserver_pid", None),
        getattr(tracker, "_pid", None),
    )


def left_since(before: dict[int, str]) -> dict[int, str]:
    """Return the processes that are new and do not end by themselves; they are killed."""
    deadline = time.monotonic() + PATIENCE
    while left := {p: words for p, words in descendants().items() if p not in before}:
        if time.monotonic() > deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return left
        time.sleep(0.05)
    return {}
