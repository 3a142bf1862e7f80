"""Process groups started by ``torchrun``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any, TypeVar

from torch import Tensor, distributed
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

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
            distributed.all_reduce(value)
        return value

    def gather(self, value: T) -> list[T]:
        """Return a small value of every process, by rank; values are pickled."""
        if self.size == 1:
            return [value]
        values: list[T] = [value] * self.size
        distributed.all_gather_object(values, value)
        return values


@contextmanager
def joined() -> Iterator[Group]:
    """Join the process group of ``torchrun``; without it, a group of one."""
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
    store, rank, size = next(rendezvous("env://"))
    return store, rank, size


def _world_size() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
