"""Errors from posteriors.

N images, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor


def likeliest(posteriors: Tensor, k: int) -> Tensor:
    """Return the k likeliest classes, the likeliest first; of equally likely ones the first.

    Args:
        posteriors: (N, K).
        k: How many; with fewer than k classes, all.

    Returns:
        int64 (N, min(k, K)).
    """
    return posteriors.argsort(dim=1, descending=True, stable=True)[:, :k]


def topk_error(posteriors: Tensor, labels: Tensor, k: int) -> float:
    """Return the percentage of pictures whose class is not among the k likeliest.

    With fewer than k classes, top-k is top-K. Of equally likely classes the first come first.

    Args:
        posteriors: (N, K).
        labels: int64 (N,).
        k: How many guesses are allowed.

    >>> topk_error(torch.tensor([[0.6, 0.3, 0.1], [0.5, 0.1, 0.4]]), torch.tensor([0, 2]), 1)
    50.0
    """
    if not len(labels):
        return float("nan")
    missed = int((likeliest(posteriors, k) != labels[:, None]).all(1).sum())
    return 100 * missed / len(labels)


def log_loss(posteriors: Tensor, labels: Tensor) -> float:
    """Return the mean of −log of the true class's probability, in nats.

    Args:
        posteriors: (N, K).
        labels: int64 (N,).

    >>> round(log_loss(torch.tensor([[0.5, 0.5]]), torch.tensor([1])), 4)
    0.6931
    """
    if not len(labels):
        return float("nan")
    likely = posteriors.gather(1, labels[:, None]).double()
    # A probability of zero, which soft-max gives only by underflow, would cost infinitely much.
    return -likely.clamp(min=torch.finfo(torch.float32).tiny).log().mean().item()
