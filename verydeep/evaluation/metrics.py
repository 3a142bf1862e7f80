"""Error rates and losses from posteriors.

Arguments may be NumPy arrays or anything that converts to one, such as tensors on the CPU.

N images, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

SMALLEST = float(np.finfo(np.float32).tiny)
"""Smallest normal float32, in place of probabilities of zero."""


def likeliest(posteriors: ArrayLike, k: int) -> NDArray[np.int64]:
    """Return the k most likely classes in descending order; ties go to the first class.

    Values that are not numbers come last.

    Args:
        posteriors: (N, K).
        k: Number of classes to return; all if there are fewer.

    Returns:
        int64 (N, min(k, K)).
    """
    likely: NDArray[Any] = np.asarray(posteriors)
    if k == 1 and likely.shape[1]:
        first: NDArray[np.int64] = likely.argmax(1)[:, None]
        strange = np.isnan(np.take_along_axis(likely, first, 1)[:, 0])
        first[strange] = _ranked(likely[strange])[:, :1]
        return first
    if k >= likely.shape[1]:
        return _ranked(likely)
    # Those above the k-th largest value, and as many of those equal to it as there is room for.
    least = np.partition(likely, -k, axis=1)[:, -k, None]
    found = np.empty((len(likely), k), np.int64)
    chosen = likely >= least
    simple = chosen.sum(1) == k
    classes = np.nonzero(chosen[simple])[1].reshape(-1, k)  # ascending
    order = _ranked(np.take_along_axis(likely[simple], classes, 1))
    found[simple] = np.take_along_axis(classes, order, 1)
    found[~simple] = _ranked(likely[~simple])[:, :k]  # ties at the k-th, or not a number
    return found


def _ranked(values: NDArray[Any]) -> NDArray[np.int64]:
    """Return the columns in descending order of their values; ties in ascending order."""
    return np.argsort(-values, axis=1, kind="stable")


def topk_error(posteriors: ArrayLike, labels: ArrayLike, k: int) -> float:
    """Return the percentage of images whose class is not among the k most likely.

    With fewer than k classes, top-k is top-K. Ties go to the first class.

    Args:
        posteriors: (N, K).
        labels: int64 (N,).
        k: Number of guesses allowed.

    >>> topk_error([[0.6, 0.3, 0.1], [0.5, 0.1, 0.4]], [0, 2], 1)
    50.0
    """
    true = np.asarray(labels)
    if not len(true):
        return float("nan")
    missed = int((likeliest(posteriors, k) != true[:, None]).all(1).sum())
    return 100 * missed / len(true)


def log_loss(posteriors: ArrayLike, labels: ArrayLike) -> float:
    """Return the mean −log probability of the true class, in nats.

    Args:
        posteriors: (N, K).
        labels: int64 (N,).

    >>> round(log_loss([[0.5, 0.5]], [1]), 4)
    0.6931
    """
    losses = log_losses(posteriors, labels)
    return float(losses.mean()) if len(losses) else float("nan")


def log_losses(posteriors: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """Return the −log probability of each image's true class, in nats, float64 (N,).

    Args:
        posteriors: (N, K).
        labels: int64 (N,).
    """
    likely, true = np.asarray(posteriors), np.asarray(labels)
    own = likely[np.arange(len(true)), true].astype(np.float64)
    # A zero probability, which softmax gives only by underflow, would have an infinite loss.
    return np.asarray(-np.log(own.clip(min=SMALLEST)))


def macro_f1(guesses: ArrayLike, labels: ArrayLike) -> float:
    """Return the unweighted mean F1 of the classes, in percent.

    F1 of a class is the harmonic mean of precision and recall, 2·TP / (2·TP + FP + FN). Classes
    that neither occur nor are predicted are left out, as in scikit-learn.

    Args:
        guesses: Most likely classes, int64 (N,).
        labels: int64 (N,).

    >>> round(macro_f1([0, 0, 1], [0, 1, 1]), 2)
    66.67
    """
    found, true = np.asarray(guesses), np.asarray(labels)
    if not len(true):
        return float("nan")
    classes = int(max(found.max(), true.max())) + 1
    right = np.bincount(true[found == true], minlength=classes)
    both = np.bincount(true, minlength=classes) + np.bincount(found, minlength=classes)
    there = both > 0
    return 100 * float((2 * right[there] / both[there]).mean())


TITLES = {
    "top1_error": "top-1 error",
    "localization_error": "localization error",
    "subset_error": "subset error",
}
"""Title of each error, which is in percent, by its name in results and logs."""


def has_top5(figures: Mapping[str, Any]) -> bool:
    """Return True if a test's top-5 error is informative: with five classes or fewer it is 0.

    Results of earlier versions lack the number of classes.

    >>> has_top5({"classes": 6}), has_top5({"classes": 3}), has_top5({})
    (True, False, True)
    """
    classes = figures.get("classes")
    return classes is None or int(classes) > 5


def is_optimistic(figures: Mapping[str, Any]) -> str | None:
    """Return why a test's error is too low; None if it is not, as far as is known.

    Args:
        figures: Results of a test, or ``metrics.json`` of a run.
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
    """Return the name of the error in the results of a test or (``val_``) an epoch.

    >>> error_of({"loss": 1.0, "localization_error": 20.0}), error_of({"val_top1_error": 1}, "val_")
    ('localization_error', 'top1_error')
    """
    return next(name for name in TITLES if prefix + name in figures)
