"""Process groups started by ``torchrun``. Without one, torch is not imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


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

    def gather(self, value: T) -> list[T]:
        """Return a small value of every process, by rank; values are pickled."""
        if self.size == 1:
            return [value]
        from torch import distributed

        values: list[T] = [value] * self.size
        distributed.all_gather_object(values, value)
        return values

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


@contextmanager
def joined() -> Iterator[Group]:
    """Join the process group of ``torchrun``; without it, a group of one."""
    if _world_size() == 1 and "torch" not in sys.modules:
        yield Group()
        return
    from torch import distributed
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]

    if distributed.is_available() and distributed.is_initialized():
        yield Group(distributed.get_rank(), distributed.get_world_size())
    elif _world_size() == 1:
        yield Group()
    else:
        store, rank, size = _meet()
        # Only sums and names are exchanged, so gloo is enough, even for nets on GPUs. Each group
        # needs its own part of the store, or it would find the addresses of the last group.
        part = PrefixStore(f"verydeep/{next(_JOINS)}", store)
        distributed.init_process_group("gloo", store=part, rank=rank, world_size=size)
        try:
            yield Group(distributed.get_rank(), distributed.get_world_size())
        finally:
            distributed.destroy_process_group()


def is_first() -> bool:
    """Return whether this process has rank 0; known before joining."""
    return _world_size() == 1 or os.environ.get("RANK", "0") == "0"


_JOINS = count()


@cache
def _meet() -> tuple[Any, int, int]:
    """Return the store shared by all processes, the rank and the number of processes."""
    from torch.distributed.rendezvous import rendezvous

    store, rank, size = next(rendezvous("env://"))
    return store, rank, size


def _world_size() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
