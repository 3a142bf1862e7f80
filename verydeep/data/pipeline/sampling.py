"""Order of the images in an epoch, a pure function of seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from verydeep.data.pipeline.balance import balanced_draws

Indices = NDArray[np.int64]


def steps_of_epoch(count: int, batch: int) -> int:
    """Return the number of updates in an epoch.

    >>> steps_of_epoch(5000, 256)
    20
    """
    return -(-count // batch)


def plan_epoch(
    count: int, batch: int, seed: int, epoch: int, balance: ArrayLike | None = None
) -> list[Indices]:
    """Return the images of every update of an epoch, each image exactly once.

    Update sizes differ by at most one, so that no small remainder gives a noisy gradient.

    Args:
        count: Images in the training set.
        batch: Maximum images per update.
        seed: Seed of the run.
        epoch: Epoch number; each has its own order.
        balance: Labels of the images, to draw all classes equally often; the results are then
            draws of :func:`~verydeep.data.pipeline.balance.balanced_draws`.

    >>> [len(step) for step in plan_epoch(10, 4, seed=0, epoch=0)]
    [4, 3, 3]
    """
    generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 1, epoch, 0]))
    if balance is None:
        order = generator.permutation(count)
    else:
        order = generator.permutation(balanced_draws(balance, generator))
    return np.array_split(order, steps_of_epoch(count, batch))


def of_rank(step: Indices, rank: int, world: int) -> Indices:
    """Return one process's part of a step in distributed training.

    >>> [of_rank(np.arange(5), rank, 2).tolist() for rank in range(2)]
    [[0, 1, 2], [3, 4]]
    """
    return np.array_split(step, world)[rank]


def micro_batches(step: Indices, micro_batch: int) -> Iterator[Indices]:
    """Yield the micro-batches of a step, as even as possible.

    An empty step still has one part, which completes it.
    """
    yield from np.array_split(step, max(1, -(-len(step) // micro_batch)))
