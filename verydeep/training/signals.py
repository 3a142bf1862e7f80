"""Ctrl-C, SIGTERM and a closed terminal as a wish to stop: soon, or at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from verydeep.errors import Interrupted

_Handlers = dict[signal.Signals, "signal._HANDLER"]

_ENDINGS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class _Stop(KeyboardInterrupt):
    """Raised where a signal meets the program; nobody takes it for a fault of what they do."""


def _handle(handler: Callable[[int, FrameType | None], None]) -> _Handlers:
    """Set the handler of all that ask for the end, and return those before."""
    # Only the main thread of a program may set handlers; elsewhere signals are not ours.
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {
        number: signal.signal(number, handler)
        for number in _ENDINGS
        # nohup asks to go on when the terminal is closed.
        if not (number.name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN)
    }


def _restore(handlers: _Handlers) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


class _WhileEntered:
    """Receives the signals while it is entered."""

    received: str | None = None
    """Name of the first of them."""

    def __enter__(self) -> Self:
        self._before = _handle(self._receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _restore(self._before)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        raise NotImplementedError


_AGAIN = 0.05
"""Seconds after which a signal whose exception Python has dropped is sent once more."""


class StopAtOnce(_WhileEntered):
    """While entered, the signals end what is done, with an error that says how to go on.

    Python drops an exception that is raised amid a finalizer or the collection of garbage, and
    tells ``sys.unraisablehook``. The signal is then sent again, so that it is never lost.

    Args:
        then: What to do afterwards.
    """

    def __init__(self, then: str = "") -> None:
        self.then = then
        self._entered = False

    def __enter__(self) -> Self:
        """Take over the handlers."""
        self._hook = sys.unraisablehook
        sys.unraisablehook = self._dropped
        self._entered = True
        return super().__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Restore the handlers.

        Raises:
            Interrupted: One of the signals came.
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
    """While entered, takes note of the signals and says so; a second one stops at once.

    Args:
        log: Prints a line.
    """

    def __init__(self, log: Callable[[str], object] = lambda message: None) -> None:
        self.log = log

    def _receive(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self.received:
            # A closed terminal may say so twice, and a system that stops sends SIGTERM as well.
            if name != "SIGHUP":
                raise KeyboardInterrupt
            return
        self.received = name
        self._tell(
            f"{self.received}: finishing what is under way, then a checkpoint is saved; once more "
            "stops at once"
        )

    def _tell(self, message: str) -> None:
        try:
            self.log(message)
        except RuntimeError:  # the signal came amid the writing of another line
            os.write(2, f"\n{message}\n".encode())
