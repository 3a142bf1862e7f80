"""How other processes end: their exceptions, sent over a pipe, and their exit codes in words."""

from __future__ import annotations

import pickle
import signal
import traceback
from dataclasses import dataclass
from typing import NoReturn

from verydeep.errors import InputError


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception of another process, with its traceback as text."""

    error: BaseException
    text: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Return a failure that can be pickled."""
        return cls(_picklable(error), "".join(traceback.format_exception(error)))

    def raise_error(self) -> NoReturn:
        """Raise the exception here; its cause shows the traceback of the other process."""
        raise self.error from RemoteTraceback(self.text)


class RemoteTraceback(Exception):
    """The cause of another process's exception: its traceback there."""

    def __init__(self, text: str) -> None:
        super().__init__(f"\n{text}")


def ending(code: int | None) -> str:
    """Return how a process ended, with the likely reason, from its exit code.

    >>> ending(3), ending(-9)
    ('ended too early (exit code 3)', 'was killed (SIGKILL), probably for lack of memory')
    """
    if code is None or code >= 0:
        return f"ended too early (exit code {code})"
    number = -code
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    if name == "SIGKILL":
        return "was killed (SIGKILL), probably for lack of memory"
    if name == "SIGBUS":
        return (
            "ran out of shared memory (SIGBUS): give the container more (docker run --shm-size=2g)"
        )
    return f"was ended by {name}"


def _picklable(error: BaseException) -> BaseException:
    """Return an exception, or one with the same message that can be pickled."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:
        if isinstance(error, InputError):
            return InputError(str(error))
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
