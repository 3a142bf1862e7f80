"""A call in several processes of this machine: this one is rank 0, the others are its children.

The children are started anew, not forked, so that a notebook or a program without a ``__main__``
guard may start them and each may use its own GPU. They end with this process, even if it is killed;
if one of them ends early, the call ends with an error that says which and how.
"""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn, ParamSpec, TypeVar

from verydeep.errors import InputError, ProcessLost, VeryDeepError, plural
from verydeep.system.device import machine_cores
from verydeep.system.group.interrupt import PeerLost
from verydeep.system.group.lost_process import lost_connection
from verydeep.system.group.meeting import meeting_at
from verydeep.system.group.membership import LOCALHOST, Membership, being, membership
from verydeep.system.group.peers import Ended, Peers
from verydeep.system.option_names import option
from verydeep.system.progress import choose_progress
from verydeep.system.settings import Compute

P = ParamSpec("P")
R = TypeVar("R")

LAUNCHER = "verydeep"

_FEW = 16
"""Processes that any machine may be asked for."""


def in_several(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function with the keyword ``compute`` run in ``compute.processes`` processes."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        compute = Compute.of(kwargs.get("compute"))  # type: ignore[arg-type]
        if compute.processes in (None, 1):
            return function(*args, **kwargs)
        kwargs["compute"] = replace(compute, processes=None)
        assert compute.processes is not None
        return in_processes(compute.processes, run, *args, **kwargs)  # type: ignore[arg-type]

    return run


def in_processes(
    count: int, call: Callable[..., R], *args: Any, advice: str = "", **kwargs: Any
) -> R:
    """Make a call in several processes that form a group; return its result in this one.

    The call joins the group by :func:`verydeep.system.group.distributed.joined`. Only this process
    shows progress; a signal to stop is its business alone, and what it decides ends the others.

    Args:
        count: Number of processes, this one included.
        call: A function of a module, which the others import.
        args: Its arguments, which are pickled.
        advice: What to do after a process was lost, for the end of the message.
        kwargs: Its keyword arguments; ``progress`` is for this process.

    Raises:
        InputError: The number is out of range, this process belongs to a group already, or an
            argument cannot be given to another process.
        ProcessLost: Another process ended early.
        MachineError: The system cannot start as many processes.
        VeryDeepError: As the call does, here or in another process.
    """
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    check_count(count)
    if count > machine_cores() and not _has_gpus():
        choose_progress(kwargs.get("progress")).log(
            f"{count} processes share {plural(machine_cores(), 'core')}: fewer are faster"
        )
    pickled = _pickled(call, args, kwargs)
    store = TCPStore(LOCALHOST, 0, count, is_master=True, wait_for_workers=False)
    first, *others = (
        Membership(rank, count, rank, count, LOCALHOST, store.port, LAUNCHER)
        for rank in range(count)
    )
    with Peers(others, pickled) as peers:
        try:
            with peers.during(), being(first), meeting_at(first, store):
                result = call(*args, **kwargs)
        except BaseException as error:
            if isinstance(error, PeerLost | ProcessLost) or lost_connection(error):
                _raise_cause(peers.first_failure(), count, advice, error)
            raise
        if failed := peers.finish():
            _raise_cause(failed, count, advice, None)
    return result


def check_count(count: int) -> None:
    """Refuse a number of processes that cannot be started here.

    Raises:
        InputError: It is out of range, or this process belongs to a group already.
    """
    place = membership()
    if place.size > 1:
        raise InputError(
            f"{place.launcher} has started this process as one of {place.size}: omit "
            f"{option('processes')}, which starts processes by itself"
        )
    most = max(_FEW, 4 * machine_cores())
    if not 1 <= count <= most:
        raise InputError(
            f"{option('processes')} must be 1 to {most} on this machine "
            f"({plural(machine_cores(), 'core')}), got {count} instead; one a GPU, or one for "
            "several cores, is usual"
        )


def _has_gpus() -> bool:
    import torch

    return torch.cuda.is_available()


def _pickled(call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    named = {name: value for name, value in kwargs.items() if name != "progress"}
    try:
        return pickle.dumps((call, args, named))
    except Exception as error:
        raise InputError(
            f"an argument cannot be given to another process ({error}): name models and data by "
            f"their folders, or omit {option('processes')}"
        ) from error


def _raise_cause(
    ended: Ended | None, count: int, advice: str, error: BaseException | None
) -> NoReturn:
    """Raise the error that has ended the group."""
    if ended is None:
        if isinstance(error, ProcessLost):
            raise error
        raise ProcessLost(
            f"the connection between the {count} processes was lost ({error}){advice}"
        ) from error
    if ended.failure and not ended.is_consequence:
        if isinstance(ended.failure.error, Exception):
            if isinstance(ended.failure.error, VeryDeepError):
                ended.failure.error.reported = False  # there it was silent
            ended.failure.raise_error()
        raise VeryDeepError(
            f"rank {ended.rank} of {count} processes ended by {ended.failure.error!r}{advice}"
        ) from error
    raise ProcessLost(f"{ended.in_words}, so all {count} processes were stopped{advice}") from error
