"""How unlike the training images an image is: the distance of its features to theirs.

The features are divided by their length, and the distance is the Euclidean one to the k-th nearest
training image (Sun et al., "Out-of-Distribution Detection with Deep Nearest Neighbors", 2022). It
assumes nothing about the form of the classes.

N images, M training images, D features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

NEIGHBOURS = 10
"""k; the smallest class should have that many images."""

MOST_KEPT = 2000
"""Largest number M of training images whose features are kept."""

AT_ONCE = 1024
"""Images whose distances to all training images are in memory at once."""


@dataclass(frozen=True, eq=False)
class Familiarity:
    """Features of training images, to compare others with.

    Attributes:
        bank: Features of length one, float16 (M, D).
        neighbours: k, at most M.
    """

    bank: NDArray[np.float16]
    neighbours: int

    @property
    def images(self) -> int:
        """Number of training images, M."""
        return len(self.bank)

    def distances(self, features: ArrayLike) -> NDArray[np.float32]:
        """Return the distances of images from the training images.

        Args:
            features: Features of the same layer, (N, D), of any length.

        Returns:
            Euclidean distances of features of length one, from 0 to 2, float32 (N,).
        """
        vectors = unit_length(np.asarray(features, np.float64))
        bank = unit_length(self.bank.astype(np.float64))
        parts = [
            _kth_distances(vectors[start : start + AT_ONCE], bank, self.neighbours)
            for start in range(0, len(vectors), AT_ONCE)
        ]
        return np.concatenate([np.empty(0, np.float32), *parts])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is kept in a file."""
        return {"bank": self.bank, "neighbours": np.array([self.neighbours], np.int64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], features: int) -> Familiarity:
        """Return what :meth:`arrays` has kept.

        Args:
            arrays: The arrays.
            features: Number D of features of the net.

        Raises:
            ValueError: An array is missing, or has another shape or type.
        """
        bank, neighbours = arrays.get("bank"), arrays.get("neighbours")
        if bank is None or neighbours is None or neighbours.shape != (1,):
            raise ValueError("the arrays bank and neighbours are expected")
        if bank.dtype != np.float16 or bank.ndim != 2 or bank.shape[1] != features:
            raise ValueError(f"a bank of {features} features in float16 is expected")
        if not 1 <= int(neighbours[0]) <= len(bank):
            raise ValueError("fewer images than neighbours")
        return cls(bank, int(neighbours[0]))


def fit_familiarity(features: ArrayLike) -> Familiarity:
    """Keep the features of training images to compare others with.

    Args:
        features: Features, (M, D), M ≥ 1; at most :data:`MOST_KEPT` of them are kept, at random.
    """
    vectors = unit_length(np.asarray(features, np.float64))
    if len(vectors) > MOST_KEPT:
        chosen = np.random.default_rng(0).choice(len(vectors), MOST_KEPT, replace=False)
        vectors = vectors[np.sort(chosen)]
    return Familiarity(vectors.astype(np.float16), min(NEIGHBOURS, len(vectors)))


def unit_length(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return features (N, D) divided by their lengths; rows of zeros stay zeros.

    >>> unit_length(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, 1e-12))


def _kth_distances(
    vectors: NDArray[np.float64], bank: NDArray[np.float64], k: int
) -> NDArray[np.float32]:
    # In float64, because a difference of squares has few digits left where images are close.
    squares = (vectors**2).sum(1)[:, None] + (bank**2).sum(1) - 2 * vectors @ bank.T
    nearest = np.partition(squares, k - 1, axis=1)[:, k - 1]
    return np.asarray(np.sqrt(nearest.clip(min=0)), np.float32)
