"""An exception raised in another thread, to end its call."""

from __future__ import annotations

import ctypes
import threading
from typing import Self


class PeerLost(BaseException):
    """Another process of the group has ended; not an Exception, which calls might catch."""


class Interruptible:
    """Context whose code another thread may stop with :class:`PeerLost`.

    Python raises it between two steps of its own, so code that waits in C ends first.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: int | None = None

    def __enter__(self) -> Self:
        """Let the code of this thread be stopped from now on."""
        with self._lock:
            self._thread = threading.get_ident()
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        """Let it no longer be stopped; one that is under way arrives here."""
        while True:
            try:
                with self._lock:
                    self._thread = None
                _let_python_look()
            except PeerLost:
                continue
            return

    def stop(self) -> None:
        """Raise :class:`PeerLost` in the thread of the context, if it is still inside."""
        with self._lock:
            if self._thread is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread), ctypes.py_object(PeerLost)
                )


def _let_python_look() -> None:
    """Do nothing: at the start of a function Python looks for exceptions of other threads."""
