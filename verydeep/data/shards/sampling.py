"""Order of the samples in a stream of shards, as pure functions of seed and epoch.

Each epoch shuffles the shards into one long line of samples. Each of the P readers (processes of
all ranks) takes an equal stretch of it, up to one sample, so exactly one reader reads each sample.
A reader goes through its stretch sequentially and yields samples from a shuffle buffer.

The buffer is emptied after every section of :data:`SECTION` samples. The state of a reader thus
follows from the section and the number of samples yielded from it, and an interrupted epoch
resumes at the next sample without a stored buffer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

SECTION = 2**17
"""Samples after which a shuffle buffer is emptied."""


def shard_order(shards: int, seed: int, epoch: int) -> Numbers:
    """Return the order of the shards in an epoch."""
    return _generator(seed, epoch, 2, 0).permutation(shards)


def stretch(total: int, readers: int, reader: int) -> range:
    """Return a reader's stretch of the line.

    >>> [stretch(10, 3, reader) for reader in range(3)]
    [range(0, 3), range(3, 6), range(6, 10)]
    """
    share, more = divmod(total, readers)
    first = reader * share + max(0, reader + more - readers)
    return range(first, first + (total + reader) // readers)


def draws(stretch: range, buffer: int, seed: int, epoch: int, start: int = 0) -> Iterator[int]:
    """Yield the positions on the line in the order in which a reader yields them.

    Args:
        stretch: Stretch of the reader.
        buffer: Size of the shuffle buffer; 1 keeps the order.
        seed: Seed of the run.
        epoch: Epoch number.
        start: Number of samples already yielded.
    """
    begun = start // SECTION * SECTION
    for first in range(stretch.start + begun, stretch.stop, SECTION):
        length = min(SECTION, stretch.stop - first)
        order = section_order(length, buffer, _generator(seed, epoch, 3, first))
        skipped = max(0, start - (first - stretch.start))
        yield from (first + order[skipped:]).tolist()


def section_order(length: int, buffer: int, generator: np.random.Generator) -> Numbers:
    """Return the order in which a section leaves the buffer.

    Each sample is drawn from the at most ``buffer`` samples held, and the next one read takes its
    place. So sample i leaves at position i - buffer + 1 at the earliest.
    """
    held = list(range(min(buffer, length)))
    following = iter(range(len(held), length))
    order = np.empty(length, np.int64)
    for number, share in enumerate(generator.random(length).tolist()):
        place = int(share * len(held))
        order[number] = held[place]
        last = held.pop() if (new := next(following, None)) is None else new
        if place < len(held):
            held[place] = last
    return order


def given_before(total: int, readers: int, steps: int, step: int) -> Numbers:
    """Return the number of samples each reader has given before an update.

    Numbers per update differ by at most one, and so do those per reader within an update.

    >>> [given_before(10, 3, 4, step).tolist() for step in range(5)]
    [[0, 0, 0], [0, 1, 1], [1, 2, 2], [2, 2, 3], [3, 3, 4]]
    """
    return (total * step // steps + np.arange(readers)) // readers


def given(total: int, readers: int, steps: int, step: int) -> Numbers:
    """Return the number of samples each reader gives to an update."""
    before, after = (given_before(total, readers, steps, s) for s in (step, step + 1))
    return after - before


def located(ends: Sequence[int] | Numbers, place: int) -> tuple[int, int]:
    """Return the shard at a position on the line, and the sample's index within that shard.

    >>> located([3, 3, 7], 3)
    (2, 0)
    """
    shard = int(np.searchsorted(ends, place, side="right"))
    return shard, place - (int(ends[shard - 1]) if shard else 0)


def _generator(seed: int, epoch: int, purpose: int, place: int) -> np.random.Generator:
    # The second word of the counter separates these draws from those of crops (0) and plans (1).
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, purpose, epoch, place]))
