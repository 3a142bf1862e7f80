"""Where the processes of a group meet, and what each takes of its machine."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from verydeep.errors import MachineError
from verydeep.system.device import usable_cores
from verydeep.system.group.membership import Membership


def backends() -> str:
    """Return the backends of a group: gloo for CPU tensors, and NCCL for those on GPUs."""
    import torch
    from torch import distributed

    if torch.cuda.is_available() and distributed.is_nccl_available():
        return "cpu:gloo,cuda:nccl"
    return "gloo"


@dataclass(frozen=True, slots=True)
class Meeting:
    """The store that all processes of a group share, and a number for each joining."""

    store: Any
    joins: Iterator[int] = field(default_factory=count)


MEETING = 1800.0
"""Seconds that the processes wait for the last one to join."""

_MEETINGS: dict[Membership, Meeting] = {}


@contextmanager
def meeting_at(place: Membership, store: Any) -> Iterator[None]:
    """Let this process meet the others in a store that exists already."""
    _MEETINGS[place] = Meeting(store)
    try:
        with own_share(place):
            yield
    finally:
        del _MEETINGS[place]


def meet(place: Membership) -> Meeting:
    """Return where the processes of a group meet.

    Raises:
        MachineError: They cannot be reached.
    """
    if place not in _MEETINGS:
        _take_share(place)
        _MEETINGS[place] = Meeting(_store(place))
    return _MEETINGS[place]


def wait_for_all(store: Any, place: Membership, number: int) -> None:
    """Wait until all processes join: in Python, so that a signal or a thread can end the wait."""
    key = f"verydeep/{number}/here"
    here, pause = store.add(key, 1), 0.001
    deadline = time.monotonic() + MEETING
    while here < place.size:
        if time.monotonic() > deadline:
            raise MachineError(
                f"only {here} of {place.size} processes have come to {place.address}:{place.port} "
                f"within {MEETING / 60:.0f} minutes: see what the others say, and start all again"
            )
        time.sleep(pause)
        pause = min(2 * pause, max(0.05, place.size / 2000))  # rank 0 answers all of them
        here = store.add(key, 0)


def _store(place: Membership) -> Any:
    from torch.distributed import DistError, PrefixStore, TCPStore  # type: ignore[attr-defined]
    from torch.distributed.rendezvous import rendezvous

    try:
        if place.launcher == "torchrun":  # whose agent may hold the store
            return next(rendezvous("env://"))[0]
        store = TCPStore(place.address, place.port, place.size, place.rank == 0)
        # Another job may have this port: its processes are not to be counted among ours.
        return PrefixStore(f"job {place.job}", store) if place.job else store
    except DistError as error:
        reason = str(error).splitlines()[0]
        raise MachineError(
            f"process {place.rank} of {place.size} cannot meet the others at "
            f"{place.address}:{place.port} ({reason}); if another program has this port, set "
            "MASTER_PORT to a free one, and MASTER_ADDR to the machine of rank 0"
        ) from error


@contextmanager
def own_share(place: Membership) -> Iterator[None]:
    """Compute with this process's share of the machine, and afterwards as before."""
    import torch

    threads = torch.get_num_threads()
    _take_share(place)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _take_share(place: Membership) -> None:
    """Take this process's threads and, if there are several, its GPU."""
    import torch

    if place.local_size > 1 and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(usable_cores(place))
    if torch.cuda.is_available() and place.local_rank < torch.cuda.device_count():
        torch.cuda.set_device(place.local_rank)
