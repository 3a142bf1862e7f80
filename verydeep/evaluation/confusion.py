"""Confusion between classes, and error rates of each.

N images, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from verydeep.evaluation.metrics import likeliest


def confusion_matrix(posteriors: ArrayLike, labels: ArrayLike) -> NDArray[np.int64]:
    """Count the images by true class (rows) and most likely class (columns).

    Args:
        posteriors: (N, K).
        labels: int64 (N,).

    Returns:
        int64 (K, K).

    >>> confusion_matrix([[0.9, 0.1], [0.6, 0.4]], [0, 1])
    array([[1, 0],
           [1, 0]])
    """
    likely = np.asarray(posteriors)
    return count_pairs(labels, likeliest(likely, 1)[:, 0], likely.shape[1])


def count_pairs(labels: ArrayLike, guesses: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Count the images by true class (rows) and guess (columns), int64 (K, K).

    Args:
        labels: int64 (N,).
        guesses: int64 (N,).
        classes: K.

    >>> count_pairs([0, 1, 1], [1, 1, 1], 2)
    array([[0, 1],
           [0, 2]])
    """
    codes = np.asarray(labels) * classes + np.asarray(guesses)
    return np.bincount(codes, minlength=classes**2).reshape(classes, classes)


@dataclass(frozen=True, slots=True)
class ClassErrors:
    """Error rates of one class.

    Attributes:
        name: Name of the class.
        images: Number of its images.
        top1_error: Share of its images assigned to another class, in percent; NaN without images.
        precision: Share of the images assigned to it that belong to it, in percent; NaN if none
            was.
        recall: Share of its images assigned to it, in percent; NaN without images.
        f1: Harmonic mean of precision and recall, in percent; NaN if the class neither occurs nor
            is predicted.
        mostly_taken_for: Class it is most often mistaken for, and the number of images; None
            without mistakes.
    """

    name: str
    images: int
    top1_error: float
    precision: float
    recall: float
    f1: float
    mostly_taken_for: tuple[str, int] | None


def class_errors(confusion: ArrayLike, names: tuple[str, ...]) -> list[ClassErrors]:
    """Return the errors of every class.

    Args:
        confusion: int64 (K, K), from :func:`confusion_matrix`.
        names: Names of the K classes.
    """
    counts = np.asarray(confusion)
    images, taken, right = counts.sum(1), counts.sum(0), counts.diagonal()
    others = counts - np.diag(right)
    most, other = others.max(1), others.argmax(1)
    found = {
        k: (names[guess], count)
        for k, (guess, count) in enumerate(zip(other.tolist(), most.tolist(), strict=True))
        if count
    }
    return rate_classes(names, images, taken, right, found)


def rate_classes(
    names: Sequence[str],
    images: NDArray[np.int64],
    taken: NDArray[np.int64],
    right: NDArray[np.int64],
    mostly_taken_for: Mapping[int, tuple[str, int]],
) -> list[ClassErrors]:
    """Return the errors of every class from counts.

    Args:
        names: Names of the K classes.
        images: Images of each class, int64 (K,).
        taken: Images assigned to it, int64 (K,).
        right: Its images among these, int64 (K,).
        mostly_taken_for: By class index, the class it is most often mistaken for and the number
            of images.
    """
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
        recall, precision, f1 = right / images, right / taken, 2 * right / (images + taken)
    return [
        ClassErrors(
            name,
            int(images[k]),
            float(100 - 100 * recall[k]),
            float(100 * precision[k]),
            float(100 * recall[k]),
            float(100 * f1[k]),
            mostly_taken_for.get(k),
        )
        for k, name in enumerate(names)
    ]
