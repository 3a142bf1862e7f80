"""From scores to posteriors, averaged over views, scales and nets (section 3.2).

What is averaged: scores over the positions of a map, before the soft-max; then posteriors over
views (mirror images, crops), scales and nets.

N images, K classes, H height, W width; h, w sides of a score map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from verydeep.data.testing import TestPictures
from verydeep.progress import Task


class Scorer(Protocol):
    """All that is asked of a net to be tested."""

    @property
    def input_size(self) -> int:
        """Side of the smallest picture that it takes, in pixels."""

    def score_map(self, pictures: Tensor) -> Tensor:
        """Return scores (N, K, h, w) before the soft-max, from uint8 pictures (N, 3, H, W)."""


Views = Callable[[Tensor, int], Iterable[Tensor]]
"""From rescaled pictures (N, 3, H, W) and a net's input size to what the net is shown of them."""


def whole(pictures: Tensor, input_size: int) -> Iterator[Tensor]:
    """Yield the whole pictures and their mirror images: the dense test."""
    yield pictures
    yield pictures.flip(3)


def average_posteriors(
    nets: Sequence[Scorer],
    classes: int,
    pictures: TestPictures,
    views: Views = whole,
    task: Task | None = None,
) -> Tensor:
    """Return the class probabilities of many pictures.

    Args:
        nets: Of the same classes.
        classes: K.
        pictures: At one scale or several. Which are unreadable it knows afterwards.
        views: What the nets are shown.
        task: Told how many pictures are done.

    Returns:
        float32 (N, K) on the CPU; rows sum to one, those of unreadable pictures are zero.
    """
    total = torch.zeros(len(pictures.pictures), classes)
    counts = torch.zeros(len(pictures.pictures), 1)
    done = 0
    for batch in pictures:
        rows = torch.tensor(batch.indices)
        for net in nets:
            for view in views(batch.pictures, net.input_size):
                total[rows] += net.score_map(view).mean((2, 3)).softmax(1).cpu()
                counts[rows] += 1
        done += len(rows)
        if task:
            task.update(done // len(pictures.scales))
    return total / counts.clamp(min=1)
