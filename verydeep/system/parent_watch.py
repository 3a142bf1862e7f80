"""Processes that end when the one that started them does, however that ends."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any

_PR_SET_PDEATHSIG = 1

_SECONDS = 1.0
"""Between two looks at who the parent is."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that starts another one, as the other one needs to know it.

    Attributes:
        pid: Its number.
        main_thread: Whether its main thread starts the process. Linux sends the signal of a
            parent's death when the starting *thread* ends, and only the main thread lasts.
    """

    pid: int
    main_thread: bool

    @classmethod
    def here(cls) -> Owner:
        """Return this process, as seen from the thread that calls."""
        return cls(os.getpid(), threading.current_thread() is threading.main_thread())


def end_with(owner: Owner) -> None:
    """Let this process end when its owner has ended, also by SIGKILL.

    On Linux the kernel kills it at once. A thread watches as well: elsewhere, under ``forkserver``
    (where the parent of this process is another one than its owner), and where the process was
    started by a thread that may end before the owner.
    """
    child = os.getppid() == owner.pid
    if child and owner.main_thread and sys.platform.startswith("linux"):
        _be_killed_with_the_parent()
        if os.getppid() != owner.pid:  # it ended before the kernel had been asked
            os._exit(1)
    watch = threading.Thread(target=_watch, args=(owner, child), daemon=True, name="parent-watch")
    watch.start()


def _be_killed_with_the_parent() -> None:
    # In a libc without it the thread remains.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _watch(owner: Owner, child: bool) -> None:
    """End this process as soon as anything says that its owner is gone."""
    signs = _signs(owner)
    while not connection.wait(signs, timeout=_SECONDS):
        if child and os.getppid() != owner.pid:
            break
    os._exit(1)


def _signs(owner: Owner) -> list[Any]:
    """Return what becomes readable when the owner has ended."""
    signs: list[Any] = []
    parent = multiprocessing.parent_process()
    if parent is not None:
        # Processes forked later hold the other end of this one too, so it may come late.
        signs.append(parent.sentinel)
    if hasattr(os, "pidfd_open"):
        try:
            signs.append(os.pidfd_open(owner.pid))
        except ProcessLookupError:
            os._exit(1)
        except OSError:  # an old kernel, or a sandbox that forbids it
            pass
    return signs
