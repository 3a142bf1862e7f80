"""Handling of Ctrl-C, SIGTERM, SIGHUP and SIGUSR1, Slurm's warning: stop soon or at once."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Self

from verydeep.errors import Interrupted

_ENDINGS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
    if hasattr(signal, name)
)


class _Stop(KeyboardInterrupt):
    """Raised by a signal; a KeyboardInterrupt, so that ``except Exception`` does not catch it."""


class _WhileEntered:
    """Context that receives signals."""

    received: str | None = None
    """Name of the first received signal."""

    def __enter__(self) -> Self:
        leave_alternate_stack()
        # Only the main thread may set handlers.
        main = threading.current_thread() is threading.main_thread()
        self._before = {
            number: signal.signal(number, self._receive)
            for number in (_ENDINGS if main else ())
            if not _is_taken(number)
        }
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        raise NotImplementedError


def _is_taken(number: signal.Signals) -> bool:
    """Return whether a signal has another use: nohup ignores SIGHUP, programs may use SIGUSR1."""
    handler = signal.getsignal(number)
    if number.name == "SIGUSR1":
        return handler != signal.SIG_DFL and not isinstance(
            getattr(handler, "__self__", None), _WhileEntered
        )
    return number.name == "SIGHUP" and handler == signal.SIG_IGN


class _Stack(ctypes.Structure):
    """``stack_t`` of Linux."""

    _fields_ = (("base", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


_DISABLE = 2
"""``SS_DISABLE`` of Linux."""


def leave_alternate_stack() -> None:
    """Handle signals on the ordinary stack once OpenVINO is there.

    With OpenVINO and ONNX Runtime in one process, the alternate stack of the main thread was seen
    to be freed while it was still in use: every signal ended the process.
    """
    if sys.platform == "linux" and "openvino" in sys.modules:
        ctypes.CDLL(None).sigaltstack(ctypes.byref(_Stack(None, _DISABLE, 0)), None)


_TWICE = 5.0
"""Seconds in which Slurm may deliver one signal twice: directly and through srun."""

_AGAIN = 0.05
"""Seconds before a signal is sent again if Python has dropped its exception."""


class StopAtOnce(_WhileEntered):
    """Context in which signals stop the work at once, with an error that says how to continue.

    Python drops exceptions raised in finalizers or during garbage collection and passes them to
    ``sys.unraisablehook``. In this case the signal is sent again, so that it is not lost.

    Args:
        then: Advice appended to the message.
    """

    def __init__(self, then: str = "") -> None:
        self.then = then
        self._entered = False

    def __enter__(self) -> Self:
        """Install the handlers."""
        self._hook = sys.unraisablehook
        sys.unraisablehook = self._dropped
        self._entered = True
        return super().__enter__()

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        """Restore the handlers.

        Raises:
            Interrupted: A signal was received.
        """
        self._entered = False
        sys.unraisablehook = self._hook
        super().__exit__(kind, error, traceback)
        if isinstance(error, _Stop):
            raise Interrupted(f"stopped by {self.received}{self.then}") from None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
        raise _Stop(number)

    def _dropped(self, dropped: sys.UnraisableHookArgs) -> None:
        if isinstance(dropped.exc_value, _Stop):
            again = threading.Timer(_AGAIN, self._send, dropped.exc_value.args)
            again.daemon = True
            again.start()
        else:
            self._hook(dropped)

    def _send(self, number: int) -> None:
        if self._entered:
            os.kill(os.getpid(), number)


class StopSignals(_WhileEntered):
    """Context that records and reports signals; a second one stops at once.

    Args:
        log: Prints a line.
    """

    def __init__(self, log: Callable[[str], object] = lambda message: None) -> None:
        self.log = log

    def _receive(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self.received:
            if not self._may_be_one(name):
                raise KeyboardInterrupt
            return
        self.received, self._received_at = name, time.monotonic()
        message = (
            f"{name}: finishing the current step, then saving a checkpoint; repeat to stop at once"
        )
        try:
            self.log(message)
        except RuntimeError:  # the signal interrupted the output of another line
            os.write(2, f"\n{message}\n".encode())

    def _may_be_one(self, name: str) -> bool:
        """Return whether a further signal says nothing new."""
        # SIGHUP may be repeated, or follow SIGTERM at system shutdown; SIGUSR1 is only a warning.
        if name in ("SIGHUP", "SIGUSR1"):
            return True
        soon = time.monotonic() < self._received_at + _TWICE
        return soon and name == self.received and "SLURM_STEP_ID" in os.environ
