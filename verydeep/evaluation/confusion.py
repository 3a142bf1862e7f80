"""Which classes are taken for which.

N images, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from verydeep.evaluation.metrics import likeliest


def confusion_matrix(posteriors: Tensor, labels: Tensor) -> Tensor:
    """Count the images by true class (rows) and likeliest class (columns).

    Args:
        posteriors: (N, K).
        labels: int64 (N,).

    Returns:
        int64 (K, K).

    >>> confusion_matrix(torch.tensor([[0.9, 0.1], [0.6, 0.4]]), torch.tensor([0, 1]))
    tensor([[1, 0],
            [1, 0]])
    """
    return count_pairs(labels, likeliest(posteriors, 1)[:, 0], posteriors.shape[1])


def count_pairs(labels: Tensor, guesses: Tensor, classes: int) -> Tensor:
    """Count the images by true class (rows) and guess (columns), int64 (K, K).

    Args:
        labels: int64 (N,).
        guesses: int64 (N,).
        classes: K.

    >>> count_pairs(torch.tensor([0, 1, 1]), torch.tensor([1, 1, 1]), 2)
    tensor([[0, 1],
            [0, 2]])
    """
    codes = labels * classes + guesses
    return torch.bincount(codes, minlength=classes**2).view(classes, classes)


@dataclass(frozen=True, slots=True)
class ClassErrors:
    """How one class fared.

    Attributes:
        name: The class.
        images: Images of it.
        top1_error: Share of them taken for another, in percent; NaN without images.
        precision: Share of the images taken for it that are of it, in percent; NaN if none was.
        recall: Share of its images that are taken for it, in percent; NaN without images.
        f1: Harmonic mean of both, in percent; NaN if it neither occurs nor is guessed.
        mostly_taken_for: The other class that took most of them, and how many; None if none did.
    """

    name: str
    images: int
    top1_error: float
    precision: float
    recall: float
    f1: float
    mostly_taken_for: tuple[str, int] | None


def class_errors(confusion: Tensor, names: tuple[str, ...]) -> list[ClassErrors]:
    """Return the errors of every class.

    Args:
        confusion: int64 (K, K), from :func:`confusion_matrix`.
        names: Of the K classes.
    """
    images, taken, right = confusion.sum(1), confusion.sum(0), confusion.diagonal()
    others = confusion - torch.diag(right)
    most, other = others.max(1)
    found = {
        k: (names[guess], count)
        for k, (guess, count) in enumerate(zip(other.tolist(), most.tolist(), strict=True))
        if count
    }
    return rate_classes(names, images, taken, right, found)


def rate_classes(
    names: Sequence[str],
    images: Tensor,
    taken: Tensor,
    right: Tensor,
    mostly_taken_for: Mapping[int, tuple[str, int]],
) -> list[ClassErrors]:
    """Return the errors of every class from counts.

    Args:
        names: Of the K classes.
        images: Images of each class, int64 (K,).
        taken: Images taken for it, int64 (K,).
        right: Images of it that were, int64 (K,).
        mostly_taken_for: The other class that took most, and how many, by number of the class.
    """
    right = right.double()
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
