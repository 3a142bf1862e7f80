"""Error reporting of the program: one message with a remedy, and an exit code."""

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
from verydeep.system.group.lost_process import lost_connection
from verydeep.system.memory import is_lack_of_memory

_FEWER_WORKERS = {
    **dict.fromkeys(
        ("check", "shard", "evaluate", "calibrate", "features", "quantize"),
        "--workers 0 takes none",
    ),
    "train": "--set data.workers=0 takes none, --set training.micro_batch=16 less memory",
    "predict": "fewer than 1,024 images at a time are read without them",
    "explain": "fewer than 1,024 images at a time are read without them",
    "serve": "--decoders 1 takes one",
    "reproduce": "--jobs 1 does one part at a time",
}
"""How to take fewer workers, by verb; the other verbs have no option for it."""

_LESS_MEMORY = {"train": "--set training.micro_batch=16 takes less"}


class Fault(NamedTuple):
    """Error message and exit code.

    Attributes:
        message: Message to print; empty if there is no reader.
        exit_code: 2 for invalid input, else 1.
    """

    message: str
    exit_code: int = 1


class _OutputLost(Exception):
    """Writing to standard output failed."""


@contextlib.contextmanager
def flushed_output() -> Iterator[None]:
    """Flush standard output at the end, while a failure can still be reported."""
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
    """Return the message and exit code for an exception; None if it is a bug.

    Args:
        error: Raised exception.
        words: Arguments of the command line.
    """
    verb = next((word for word in words if not word.startswith("-")), "")
    cause = error.__cause__ if isinstance(error, _OutputLost) else error
    if isinstance(error, WorkerError):
        fewer = _FEWER_WORKERS.get(verb)
        way = f"Take fewer of them: {fewer}" if fewer else "Close other programs to make room"
        return Fault(f"{error}. {way}")
    if isinstance(error, VeryDeepError):
        return Fault(str(error), error.exit_code)
    if isinstance(cause, OSError):
        return _fault_of_system(cause)
    if lost_connection(error):
        return Fault(
            "another process of the group has ended; see what it says (--debug shows more)"
        )
    if is_lack_of_memory(error):
        help_ = _LESS_MEMORY.get(verb, "close other programs, or take smaller images")
        return Fault(f"there is not enough memory: {help_} (--debug shows where)")
    return None


def complain(message: str) -> None:
    """Print a message to stderr, if it is still open."""
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


def _discard_output() -> None:
    """Redirect remaining output to the null device, to avoid a second failure at exit."""
    with contextlib.suppress(OSError, ValueError, io.UnsupportedOperation):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
