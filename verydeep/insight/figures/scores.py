"""Soft-max and loss of given scores, by the functions that test and train the nets.

N points, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from verydeep.data.batches import MicroBatch
from verydeep.evaluation.posteriors import ANSWERS
from verydeep.training.objective import Classification

LIMIT = 6.0
"""The plane is drawn from minus this to this, in both scores."""


def soft_max(scores: Tensor) -> Tensor:
    """Return the posteriors (N, K) of scores (N, K), as a test computes them.

    >>> soft_max(torch.tensor([[0.0, 0.0]]))
    tensor([[0.5000, 0.5000]])
    """
    return ANSWERS["paper"](scores[:, :, None, None])


def loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Return soft-max and cross entropy (N,) in nats of scores (N, K), as a training computes it.

    Args:
        scores: (N, K).
        labels: int64 (N,), the true classes.

    >>> loss(torch.zeros(1, 2), torch.tensor([0])).exp()
    tensor([2.])
    """
    points, classes = scores.shape
    no_pictures = torch.empty(points, 3, 0, 0, dtype=torch.uint8)
    batch = MicroBatch(no_pictures, labels, torch.zeros(points, 3), 0, 1.0, True)
    return Classification(classes).losses(scores, batch)


def first_true(scores: Tensor) -> Tensor:
    """Return the loss (N,) of scores (N, K) where the first class is the true one."""
    return loss(scores, torch.zeros(len(scores), dtype=torch.long))


def first_likely(scores: Tensor) -> Tensor:
    """Return the first component (N,) of the soft-max of scores (N, K)."""
    return soft_max(scores)[:, 0]


def plane(steps: int = 241) -> tuple[Tensor, Tensor]:
    """Return a square lattice of two scores.

    Returns:
        The values along each axis, float64 (steps,); and the points (x1, x2), float64
        (steps², 2), with x1 running fastest.
    """
    axis = torch.linspace(-LIMIT, LIMIT, steps, dtype=torch.float64)
    x2, x1 = torch.meshgrid(axis, axis, indexing="ij")
    return axis, torch.stack([x1.flatten(), x2.flatten()], 1)


def along(axis: Tensor) -> Tensor:
    """Return the points (N, 2) of the line x2 = 0."""
    return torch.stack([axis, torch.zeros_like(axis)], 1)
