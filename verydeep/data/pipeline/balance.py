"""Class imbalance: loss weights, or balanced sampling.

N images, K classes. Neither is in the paper: ImageNet's classes are nearly balanced.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def class_weights(labels: ArrayLike, classes: int) -> tuple[float, ...]:
    """Return the weight N / (K·n) of each class of n images; the mean over all images is 1.

    Args:
        labels: Class indices of the N images.
        classes: K; a class without images counts as having one.

    >>> class_weights([0, 0, 0, 1], 2)
    (0.6666666666666666, 2.0)
    """
    return weights_of_counts(np.bincount(np.asarray(labels), minlength=classes))


def weights_of_counts(given: ArrayLike) -> tuple[float, ...]:
    """Return the same weights from the number of images per class."""
    counts, classes = np.asarray(given), np.size(given)
    return tuple((counts.sum() / (classes * counts.clip(min=1))).tolist())


def positive_weights(counts: ArrayLike, images: int) -> tuple[float, ...]:
    """Return the weight (N − n) / n of the presence of each class that n of N images have.

    With it, presence and absence of a class weigh the same in the loss. A class that all images
    have has the weight 1: 0 would not train it.

    Args:
        counts: n of each class; 0 counts as 1.
        images: N.

    >>> positive_weights([1, 2, 4], 4)
    (3.0, 1.0, 1.0)
    """
    there = np.asarray(counts, np.float64).clip(min=1)
    return tuple(np.where(there < images, (images - there) / there, 1.0).tolist())


def balanced_draws(labels: ArrayLike, generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw N of N images with equal numbers per class, up to one.

    Images of a small class are repeated equally often, up to one; of a large class, each epoch
    draws another part.

    Args:
        labels: Class indices of the N images.
        generator: Random generator.

    Returns:
        N distinct numbers, class by class: p + N·t for the t-th draw of image p, so that each draw
        can be augmented differently.
    """
    truth = np.asarray(labels)
    present, counts = np.unique(truth, return_counts=True)
    by_class = np.split(np.argsort(truth, kind="stable"), np.cumsum(counts)[:-1])
    quota = np.full(len(present), len(truth) // len(present))
    quota[generator.permutation(len(present))[: len(truth) % len(present)]] += 1
    draws = []
    for pictures, wanted in zip(by_class, quota, strict=True):
        rounds = -(-wanted // len(pictures))
        numbers = [generator.permutation(pictures) + len(truth) * t for t in range(rounds)]
        draws.append(np.concatenate([np.empty(0, np.int64), *numbers])[:wanted])
    return np.concatenate(draws)
