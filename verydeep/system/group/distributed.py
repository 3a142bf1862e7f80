"""Process groups of torchrun, Slurm, Ray or our own launcher. Without one, torch is not imported.

Who belongs to the group is said by :mod:`verydeep.system.group.membership`.
"""

from __future__ import annotations

import pickle
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from verydeep.errors import ProcessLost
from verydeep.system.group.connections import forget_connections, noted_connections
from verydeep.system.group.lost_process import leave_failed_group
from verydeep.system.group.meeting import backends, meet, wait_for_all
from verydeep.system.group.membership import Membership, membership

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

PATIENCE = timedelta(days=1)
"""Time for which processes wait for one another; a process that ends is noticed much earlier."""

CONNECTING = timedelta(minutes=5)
"""Time in which processes that have met must connect to one another."""

_LONGEST_PAUSE = 0.02
"""Seconds between two looks at an operation that may take long."""


class Pending(Protocol):
    """An operation of all processes that has been started."""

    def wait(self) -> object:
        """Wait for the end."""

    def is_completed(self) -> bool:
        """Return whether it has ended."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group of cooperating processes, perhaps only one.

    Attributes:
        rank: Rank of this process.
        size: Number of processes.
    """

    rank: int = 0
    size: int = 1

    def sum(self, value: Tensor) -> Tensor:
        """Sum a CPU tensor over the processes, in place, and return it."""
        if self.size > 1:
            from torch import distributed

            distributed.all_reduce(value)
        return value

    def start_sum(self, value: Tensor) -> Pending:
        """Start to sum a tensor over the processes, in place; it is complete after ``wait``."""
        from torch import distributed

        work: Pending = distributed.all_reduce(value, async_op=True)
        return work

    def copy_first(self, value: Tensor) -> None:
        """Overwrite a tensor with that of rank 0."""
        if self.size == 1:
            return
        from torch import distributed

        dense = value.detach().contiguous()
        distributed.broadcast(dense, 0)
        value.detach().copy_(dense)

    def broadcast(self, value: T) -> T:
        """Return the value of rank 0, which is pickled; that of the others is ignored.

        The others wait for as long as rank 0 takes, and can be interrupted meanwhile.
        """
        if self.size == 1:
            return value
        import torch
        from torch import distributed

        content = np.frombuffer(pickle.dumps(value if self.first else None), np.uint8).copy()
        length = torch.tensor([len(content)])
        _wait(cast(Pending, distributed.broadcast(length, 0, async_op=True)))
        data = torch.from_numpy(content if self.first else np.empty(int(length), np.uint8))
        _wait(cast(Pending, distributed.broadcast(data, 0, async_op=True)))
        if self.first:
            return value
        return cast(T, pickle.loads(data.numpy().tobytes()))  # noqa: S301 - of our own rank 0

    def wait_for_all(self) -> None:
        """Wait until all processes have come to this point; can be interrupted."""
        if self.size > 1:
            import torch

            _wait(self.start_sum(torch.zeros(1)))

    @property
    def first(self) -> bool:
        """Whether this process has rank 0."""
        return self.rank == 0

    def gather(self, value: T) -> list[T]:
        """Return a small value of every process, by rank; values are pickled."""
        if self.size == 1:
            return [value]
        from torch import distributed

        values: list[T] = [value] * self.size
        distributed.all_gather_object(values, value)
        return values

    def rows_for_first(self, rows: Iterator[T]) -> Iterator[T]:
        """Yield the values that all processes make, in the first one; in others, make them only.

        Large values go one by one, so that none waits in memory for others.

        Args:
            rows: Values of this process, any number; pickled.
        """
        if self.size == 1:
            yield from rows
            return
        import torch
        from torch import distributed

        while True:
            own = next(rows, None)
            if not int(self.sum(torch.tensor([own is not None]).long())):
                return
            parts: list[T | None] | None = [None] * self.size if self.first else None
            distributed.gather_object(own, parts, 0)
            yield from (part for part in parts or () if part is not None)

    def share(self, count: int, block: int) -> list[int]:
        """Return which of ``count`` items this process takes: every size-th block of neighbours.

        >>> Group(1, 2).share(10, 3)
        [3, 4, 5, 9]
        """
        return [i for i in range(count) if i // block % self.size == self.rank]

    def join_rows(
        self, rows: NDArray[np.float32], mine: Sequence[int], count: int, axis: int = 0
    ) -> NDArray[np.float32]:
        """Return the rows of all processes in one array, from those of each.

        Args:
            rows: Rows of this process, along ``axis``.
            mine: Their indices, from :meth:`share`.
            count: Number of all rows.
            axis: Axis of the rows.
        """
        if self.size == 1:
            return rows
        import torch

        total = np.zeros((*rows.shape[:axis], count, *rows.shape[axis + 1 :]), rows.dtype)
        np.moveaxis(total, axis, 0)[list(mine)] = np.moveaxis(rows, axis, 0)
        self.sum(torch.from_numpy(total))  # in place
        return total

    def join_values(self, values: Mapping[int, T], mine: Sequence[int]) -> dict[int, T]:
        """Return the values of all processes by index, from those of each by place in ``mine``."""
        own = {mine[place]: value for place, value in values.items()}
        return {index: value for part in self.gather(own) for index, value in part.items()}


def _wait(pending: Pending) -> None:
    """Wait in short pauses, in which Python can handle signals and other interruptions."""
    pause = 1e-4
    while not pending.is_completed():
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, 1.5 * pause)
    pending.wait()


@contextmanager
def joined() -> Iterator[Group]:
    """Join the group of processes that this one was started in; without it, a group of one.

    A group that exists already, as Ray or the caller makes it, is used and left alone.

    Raises:
        MachineError: The processes do not find each other.
        ProcessLost: One of them has ended before they were connected.
    """
    place = membership()
    if place.size == 1 and "torch" not in sys.modules:
        yield Group()
        return
    from torch import distributed
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]

    if distributed.is_available() and distributed.is_initialized():
        yield Group(distributed.get_rank(), distributed.get_world_size())
    elif place.size == 1:
        yield Group()
    else:
        meeting = meet(place)
        # Each group needs its own part of the store, or it would find the addresses of the last.
        number = next(meeting.joins)
        wait_for_all(meeting.store, place, number)
        try:
            yield _connect(PrefixStore(f"verydeep/{number}", meeting.store), place)
        except BaseException:
            leave_failed_group()
            raise
        distributed.destroy_process_group()
        forget_connections()


def _connect(store: Any, place: Membership) -> Group:
    """Make the group of torch, whose operations wait longer than its connections."""
    from torch import distributed

    # Torch counts groups, and processes with other counts never meet. One whose last attempt to
    # connect has failed has counted it.
    distributed.distributed_c10d._world.group_count = 0
    try:
        with noted_connections():
            distributed.init_process_group(
                backends(), store=store, rank=place.rank, world_size=place.size, timeout=CONNECTING
            )
        group = Group(distributed.get_rank(), distributed.get_world_size())
        group.wait_for_all()  # one that leaves early would break connections that are being made
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ProcessLost(
            f"process {place.rank} of {place.size} has met the others, but cannot connect to them "
            f"({reason}): see what they say, and start all again"
        ) from error
    set_timeout = getattr(distributed, "set_timeout", distributed.distributed_c10d._set_pg_timeout)
    set_timeout(PATIENCE)
    return group


def is_first() -> bool:
    """Return whether this process has rank 0; known before joining."""
    if "torch" in sys.modules:
        from torch import distributed

        if distributed.is_available() and distributed.is_initialized():
            return distributed.get_rank() == 0
    return membership().rank == 0
