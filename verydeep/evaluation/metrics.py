"""Errors from posteriors.

N images, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    """Return the percentage of images whose class is not among the k likeliest.

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
    """Return −log of the true class's probability of every image, in nats, float64 (N,).

    Args:
        posteriors: (N, K).
        labels: int64 (N,).
    """
    likely = posteriors.gather(1, labels[:, None])[:, 0].double()
    # A probability of zero, which softmax gives only by underflow, would cost infinitely much.
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


TITLES = {"top1_error": "top-1 error", "localization_error": "localization error"}
"""By the name in results and logs, in percent."""


def has_top5(figures: Mapping[str, Any]) -> bool:
    """Return whether the top-5 error of a test says anything: of five classes or fewer it is 0.

    Results of earlier versions do not say how many classes there are.

    >>> has_top5({"classes": 6}), has_top5({"classes": 3}), has_top5({})
    (True, False, True)
    """
    classes = figures.get("classes")
    return classes is None or int(classes) > 5


def is_optimistic(figures: Mapping[str, Any]) -> str | None:
    """Return why a test shows the net better than it is; None if it does not, as far as is known.

    Args:
        figures: Of a test, or ``metrics.json`` of a run.
    """
    images = int(figures["images"])
    trained, validated = figures.get("trained_on"), figures.get("validated_on")
    if trained:
        return f"trained on {trained:,} of these {images:,} images: the error is too low"
    if figures.get("selected_on") == figures.get("split") and figures.get("split"):
        validated = images
    if validated:
        return (
            f"{validated:,} of these {images:,} images also chose the epoch: the error is "
            "optimistic"
        )
    return None


def error_of(figures: Mapping[str, Any], prefix: str = "") -> str:
    """Return the name of the error among the figures of a test or (``val_``) of an epoch.

    >>> error_of({"loss": 1.0, "localization_error": 20.0}), error_of({"val_top1_error": 1}, "val_")
    ('localization_error', 'top1_error')
    """
    return next(name for name in TITLES if prefix + name in figures)
