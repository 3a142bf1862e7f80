"""Faults as the program tells them: one message with what helps, and an exit code."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import typer

from verydeep.cli.output import without_controls
from verydeep.errors import VeryDeepError, WorkerError

_FEWER_WORKERS = {
    "train": "--set data.workers=0 takes none, --set training.micro_batch=16 less memory",
    "demo": "close other programs",
    "predict": "fewer than 1,024 images at a time are read without them",
    "explain": "fewer than 1,024 images at a time are read without them",
}
"""What helps in a verb without ``--workers`` if its reading processes are killed."""

_LESS_MEMORY = {"train": "--set training.micro_batch=16 takes less"}


class Fault(NamedTuple):
    """How the program ends.

    Attributes:
        message: What to tell; empty if nobody is there to read it.
        exit_code: 2 if the input is at fault, else 1.
    """

    message: str
    exit_code: int = 1


class _OutputLost(Exception):
    """Standard output takes no more."""


@contextlib.contextmanager
def flushed_output() -> Iterator[None]:
    """Write out what has been printed, while it can still be said that this is impossible."""
    try:
        yield
    finally:
        if sys.stdout is not None:
            try:
                sys.stdout.flush()
            except OSError as error:
                _discard_output()
                raise _OutputLost from error


def fault_of(error: Exception, words: Sequence[str]) -> Fault | None:
    """Return how an exception ends the program; None if it is a mistake of ours.

    Args:
        error: What was raised.
        words: Of the command line.
    """
    verb = next((word for word in words if not word.startswith("-")), "")
    cause = error.__cause__ if isinstance(error, _OutputLost) else error
    if isinstance(error, WorkerError):
        help_ = _FEWER_WORKERS.get(verb, "--workers 0 takes none")
        return Fault(f"{error}. Take fewer of them: {help_}")
    if isinstance(error, VeryDeepError):
        return Fault(str(error), error.exit_code)
    if isinstance(cause, OSError):
        return _fault_of_system(cause)
    if isinstance(error, MemoryError) or _is_torchs_lack_of_memory(error):
        help_ = _LESS_MEMORY.get(verb, "close other programs, or take smaller images")
        return Fault(f"there is not enough memory: {help_} (--debug shows where)")
    return None


def complain(message: str) -> None:
    """Print a message of the program to stderr, if that is still there."""
    with contextlib.suppress(OSError):
        typer.echo(f"verydeep: {without_controls(message)}", err=True)


def _fault_of_system(error: OSError) -> Fault:
    if error.errno == errno.EPIPE and not error.filename:  # as after `| head`
        _discard_output()
        return Fault("")
    place = error.filename or "standard output"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return Fault(f"{place}: no room on the disk ({error.strerror}); make room")
    return Fault(f"{place}: {error.strerror or error} (--debug shows where)")


def _is_torchs_lack_of_memory(error: Exception) -> bool:
    if type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _discard_output() -> None:
    """Let what is left of the output go nowhere, instead of failing again at the very end."""
    with contextlib.suppress(OSError, ValueError, io.UnsupportedOperation):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
