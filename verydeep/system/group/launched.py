"""A process that our launcher has started: it makes the same call as the first one, silently."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

from verydeep.system.group.meeting import own_share
from verydeep.system.group.membership import Membership, being
from verydeep.system.option_names import flags_in_messages
from verydeep.system.workers.failures import Failure
from verydeep.system.workers.parent_watch import Owner, end_with


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it goes to another process, before the call itself.

    Attributes:
        place: Place of the process.
        owner: The process that started it.
        arguments: Command line of that process, for records.
        in_program: Whether messages name flags.
    """

    place: Membership
    owner: Owner
    arguments: list[str]
    in_program: bool


def main() -> None:
    """Read a call from standard input, make it, and write how it failed to standard output."""
    source, report = _private_streams()
    call: Call = pickle.load(source)  # noqa: S301 - our own
    end_with(call.owner)
    _leave_signals_to_the_owner()
    warnings.simplefilter("ignore")  # the first process shows the same ones
    sys.argv = call.arguments
    failure = _make(call, source)
    if failure:
        pickle.dump(failure, report)
        report.close()
        sys.exit(1)


def _make(call: Call, source: IO[bytes]) -> Failure | None:
    names = flags_in_messages() if call.in_program else contextlib.nullcontext()
    try:
        with names, being(call.place), own_share(call.place):
            function, given, named = _read(source)
            function(*given, **named)
    except BaseException as error:
        return Failure.of(error)
    return None


def _read(source: IO[bytes]) -> tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]:
    with source:
        return pickle.load(source)  # type: ignore[no-any-return]  # noqa: S301 - our own


def _private_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Return standard input and output as files; nothing else reads or writes them from now on."""
    streams = []
    for number, mode, free in ((0, "rb", os.O_RDONLY), (1, "wb", os.O_WRONLY)):
        streams.append(os.fdopen(os.dup(number), mode))
        nowhere = os.open(os.devnull, free)
        os.dup2(nowhere, number)
        os.close(nowhere)
    return streams[0], streams[1]


def _leave_signals_to_the_owner() -> None:
    """Block signals to stop, which may reach all processes: the first one decides for all."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(
            signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1}
        )
