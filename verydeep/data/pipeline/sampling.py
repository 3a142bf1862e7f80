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
    """Return one process's slice of images in distributed training.

    >>> [of_rank(np.arange(5), rank, 2).tolist() for rank in range(2)]
    [[0, 1, 2], [3, 4]]
    """
    return np.array_split(step, world)[rank]


def micro_batches(
    step: Indices, micro_batch: int, rank: int = 0, world: int = 1
) -> Iterator[Indices]:
    """Yield one process's slices of the micro-batches of a step.

    The step is cut first, as even as possible, and then each micro-batch is shared by the
    processes. So a micro-batch holds the same images for any number of them, and all processes have
    the same number of slices; a slice may be empty.

    Args:
        step: Images of the step.
        micro_batch: Maximum images of a micro-batch, over all processes.
        rank: Rank of the process.
        world: Number of processes.

    >>> [[part.tolist() for part in micro_batches(np.arange(7), 4, r, 2)] for r in range(2)]
    [[[0, 1], [4, 5]], [[2, 3], [6]]]
    """
    for part in np.array_split(step, max(1, -(-len(step) // micro_batch))):
        yield of_rank(part, rank, world)
