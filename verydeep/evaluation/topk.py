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
    return log_losses(posteriors, labels).mean().item() if len(labels) else float("nan")


def log_losses(posteriors: Tensor, labels: Tensor) -> Tensor:
    """Return −log of the true class's probability of every picture, in nats, float64 (N,).

    Args:
        posteriors: (N, K).
        labels: int64 (N,).
    """
    likely = posteriors.gather(1, labels[:, None])[:, 0].double()
    # A probability of zero, which soft-max gives only by underflow, would cost infinitely much.
    return -likely.clamp(min=torch.finfo(torch.float32).tiny).log()


def macro_f1(guesses: Tensor, labels: Tensor) -> float:
    """Return the mean F1 of the classes, in percent, each class counting alike.

    F1 of a class is the harmonic mean of precision and recall, 2·TP / (2·TP + FP + FN). Classes
    that neither occur nor are guessed are left out, as scikit-learn does.

    Args:
        guesses: Likeliest classes, int64 (N,).
        labels: int64 (N,).

    >>> round(macro_f1(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1])), 2)
    66.67
    """
    if not len(labels):
        return float("nan")
    classes = int(torch.cat([guesses, labels]).max()) + 1
    right = labels[guesses == labels].bincount(minlength=classes)
    both = labels.bincount(minlength=classes) + guesses.bincount(minlength=classes)
    there = both > 0
    return 100 * float((2 * right[there].double() / both[there]).mean())
