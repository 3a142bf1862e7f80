"""Several processes that share the work of one program, as ``torchrun`` starts them."""

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
    """The processes that work together; one alone is a group as well.

    Attributes:
        rank: Number of this process.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    def sum(self, value: Tensor) -> Tensor:
        """Return the sum of a CPU tensor over the processes; the tensor itself is changed."""
        if self.size > 1:
            distributed.all_reduce(value)
        return value

    def gather(self, value: T) -> list[T]:
        """Return a small value of every process, by rank; it must come from a process of ours."""
        if self.size == 1:
            return [value]
        values: list[T] = [value] * self.size
        distributed.all_gather_object(values, value)
        return values


@contextmanager
def joined() -> Iterator[Group]:
    """Join the processes that ``torchrun`` started together; without it, be alone."""
    if distributed.is_available() and distributed.is_initialized():
        yield Group(distributed.get_rank(), distributed.get_world_size())
    elif _world_size() == 1:
        yield Group()
    else:
        store, rank, size = _meet()
        # Only sums and names travel: between processors, also where the nets run on GPUs. Each
        # group needs a part of the store of its own, or it would find the addresses of the last.
        part = PrefixStore(f"verydeep/{next(_JOINS)}", store)
        distributed.init_process_group("gloo", store=part, rank=rank, world_size=size)
        try:
            yield Group(distributed.get_rank(), distributed.get_world_size())
        finally:
            distributed.destroy_process_group()


def is_first() -> bool:
    """Return whether this process speaks for its group; known before any has been joined."""
    return _world_size() == 1 or os.environ.get("RANK", "0") == "0"


_JOINS = count()


@cache
def _meet() -> tuple[Any, int, int]:
    """Find the other processes, once; returns what they all can write to, rank and number."""
    store, rank, size = next(rendezvous("env://"))
    return store, rank, size


def _world_size() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
