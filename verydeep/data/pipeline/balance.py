"""Classes of unequal size: weights for the loss, or draws that meet every class as often.

N images, K classes. Neither is in the paper: ImageNet's classes are nearly equal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def class_weights(labels: ArrayLike, classes: int) -> tuple[float, ...]:
    """Return a weight N / (K·n) for each class of n images; their mean over all images is 1.

    Args:
        labels: Of the N images.
        classes: K; one without images counts as if it had one.

    >>> class_weights([0, 0, 0, 1], 2)
    (0.6666666666666666, 2.0)
    """
    return weights_of_counts(np.bincount(np.asarray(labels), minlength=classes))


def weights_of_counts(given: ArrayLike) -> tuple[float, ...]:
    """Return the same from the number of images of each class."""
    counts, classes = np.asarray(given), np.size(given)
    return tuple((counts.sum() / (classes * counts.clip(min=1))).tolist())


def balanced_draws(labels: ArrayLike, generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw as many images as there are, every class as often as any other, up to one.

    A small class is gone through again and again, each image as often as any other of its class,
    up to one; of a large class a part is drawn, anew in each epoch.

    Args:
        labels: Of the N images.
        generator: Source of randomness.

    Returns:
        N numbers, class by class: image p drawn for the t-th time is p + N·t, so that no two are
        equal, and each can be augmented in a way of its own.
    """
    truth = np.asarray(labels)
    present = np.unique(truth)
    quota = np.full(len(present), len(truth) // len(present))
    quota[generator.permutation(len(present))[: len(truth) % len(present)]] += 1
    draws = []
    for label, wanted in zip(present, quota, strict=True):
        pictures = np.flatnonzero(truth == label)
        rounds = -(-wanted // len(pictures))
        numbers = [generator.permutation(pictures) + len(truth) * t for t in range(rounds)]
        draws.append(np.concatenate([np.empty(0, np.int64), *numbers])[:wanted])
    return np.concatenate(draws)
