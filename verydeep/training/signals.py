"""Ctrl-C and SIGTERM as a wish to stop soon, not at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from verydeep.errors import Interrupted
from verydeep.option_names import command_or_call, option

_Handlers = dict[signal.Signals, "signal._HANDLER"]


def _handle(handler: Callable[[int, FrameType | None], None]) -> _Handlers:
    """Set the handler of both signals, and return those before."""
    # Only the main thread of a program may set handlers; elsewhere signals are not ours.
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}


def _restore(handlers: _Handlers) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


class _WhileEntered:
    """Receives SIGINT and SIGTERM while it is entered."""

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


class StopAtOnce(_WhileEntered):
    """While entered, SIGINT and SIGTERM raise an error that says how to go on."""

    def _receive(self, number: int, frame: FrameType | None) -> None:
        raise Interrupted(
            f"stopped by {signal.Signals(number).name}; if the run has begun, go on with the same "
            f"{command_or_call()} and {option('resume', True)}"
        )


class StopSignals(_WhileEntered):
    """While entered, takes note of SIGINT and SIGTERM; a second one stops at once."""

    def __init__(self) -> None:
        self.received: str | None = None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name
