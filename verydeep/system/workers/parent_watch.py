"""Child processes that end with their parent, even if it is killed."""

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
"""Seconds between two checks of the parent."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that starts a child.

    Attributes:
        pid: Process id.
        main_thread: Whether its main thread starts the child. Linux signals the parent's death when
            the starting *thread* ends, and only the main thread lasts.
    """

    pid: int
    main_thread: bool

    @classmethod
    def here(cls) -> Owner:
        """Return this process, with the calling thread."""
        return cls(os.getpid(), threading.current_thread() is threading.main_thread())


def end_with(owner: Owner) -> None:
    """Make this process end with its owner, even if that is killed by SIGKILL.

    On Linux the kernel kills it at once. A thread also watches, for other systems, ``forkserver``
    (where the parent is not the owner), and a starting thread that may end before the owner.
    """
    child = os.getppid() == owner.pid
    if child and owner.main_thread and sys.platform.startswith("linux"):
        _request_death_signal()
        if os.getppid() != owner.pid:  # it ended before the call
            os._exit(1)
    watch = threading.Thread(target=_watch, args=(owner, child), daemon=True, name="parent-watch")
    watch.start()


def _request_death_signal() -> None:
    # Python has no public prctl; in a libc without it, the thread remains.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _watch(owner: Owner, child: bool) -> None:
    """End this process as soon as its owner is gone."""
    signs = _signs(owner)
    while not connection.wait(signs, timeout=_SECONDS):
        if child and os.getppid() != owner.pid:
            break
    os._exit(1)


def _signs(owner: Owner) -> list[Any]:
    """Return objects that become readable when the owner ends."""
    signs: list[Any] = []
    parent = multiprocessing.parent_process()
    if parent is not None:
        # Processes forked later also hold its other end, so it may be late.
        signs.append(parent.sentinel)
    if hasattr(os, "pidfd_open"):
        try:
            signs.append(os.pidfd_open(owner.pid))
        except ProcessLookupError:
            os._exit(1)
        except OSError:  # an old kernel, or forbidden by a sandbox
            pass
    return signs
