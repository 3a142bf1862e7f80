"""scikit-learn's handwritten digits, the originals of all built-in sets, and how to deal them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CLASSES = 10


class Dealt(NamedTuple):
    """The original of one image.

    Attributes:
        label: The digit, 0 to 9.
        original: Index of the 8x8 digit in scikit-learn's set.
        use: Number of earlier uses of that digit.
    """

    label: int
    original: int
    use: int


def digits_of_sklearn() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the digits, (1797, 10, 10) with 255 for full ink, and their labels.

    Each has an empty border, so that strokes at its edge fade like all others.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    ink = (data.images * 255 / 16).astype(np.uint8)
    return np.pad(ink, ((0, 0), (1, 1), (1, 1))), data.target


def shuffled(labels: NDArray[np.int64], seed: int) -> list[NDArray[np.int64]]:
    """Return the indices of the digits by class, in random order."""
    generator = np.random.Generator(np.random.PCG64(seed))
    return [generator.permutation(np.flatnonzero(labels == k)) for k in range(CLASSES)]


def deal(originals: Sequence[NDArray[np.int64]], count: int) -> Iterator[Dealt]:
    """Yield the originals of the images of a split: the classes in turn, all about equally often.

    Args:
        originals: Indices of the split's digits by class.
        count: Number of images.
    """
    for index in range(count):
        turn, label = divmod(index, CLASSES)
        own = originals[label]
        yield Dealt(label, int(own[turn % len(own)]), turn // len(own))


def make_class_folders(folder: Path, splits: Iterable[str]) -> None:
    """Make ``SPLIT/DIGIT`` for every split and digit."""
    for split in splits:
        for label in range(CLASSES):
            (folder / split / str(label)).mkdir(parents=True)
