"""How unlike the training images an image is: the angle between its features and a class's.

The features are divided by their length. The distance is one minus the cosine to the nearest mean
of a class. Of the distances that were tried (to the nearest neighbours, of Mahalanobis), it told
unlike images best, and needs the least memory; see ``benchmarks/unlike_images.py``.

N images, M training images, K classes, D features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

SHORTEST = 1e-12
"""Length that features are divided by at least, so that those of length zero stay zero."""


class FeatureDistance(Protocol):
    """A distance from the training images, from what a net gives besides its scores."""

    def distances(self, features: ArrayLike) -> NDArray[np.float32]:
        """Return the distances of images, float32 (N,), from means over positions and views."""


@dataclass(frozen=True, eq=False)
class Familiarity:
    """Mean features of the classes of training images, to compare others with.

    Attributes:
        means: Means of length one, float32 (K', D), of the K' ≤ K classes that have images.
        images: Number of training images, M.
    """

    means: NDArray[np.float32]
    images: int

    def distances(self, features: ArrayLike) -> NDArray[np.float32]:
        """Return the distances of images from the training images.

        Args:
            features: Features of the same layer, (N, D), of any length.

        Returns:
            One minus the cosine to the nearest mean, from 0 to 2, float32 (N,).
        """
        cosines = unit_length(np.asarray(features, np.float64)) @ self.means.T.astype(np.float64)
        return np.asarray(1 - cosines.max(1), np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is kept in a file."""
        return {"means": self.means, "images": np.array([self.images], np.int64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], features: int) -> Familiarity:
        """Return what :meth:`arrays` has kept.

        Args:
            arrays: The arrays.
            features: Number D of features of the net.

        Raises:
            ValueError: An array is missing, or has another shape or type.
        """
        means, images = arrays.get("means"), arrays.get("images")
        if means is None or images is None or images.shape != (1,):
            raise ValueError("the arrays means and images are expected")
        if means.dtype != np.float32 or means.ndim != 2 or means.shape[1] != features:
            raise ValueError(f"means of {features} features in float32 are expected")
        if not len(means) or not np.isfinite(means).all():
            raise ValueError("means of at least one class, all finite, are expected")
        return cls(means, int(images[0]))


@dataclass(frozen=True)
class ProjectedFamiliarity:
    """The same distance without the means, from projections of features on them.

    An exported file gives features and their scalar products with the means. Both may be averaged
    over views before the distance is taken, as the products are linear in the features.

    Attributes:
        features: Number D of features.
        means: Number K' of means.
    """

    features: int
    means: int

    @property
    def columns(self) -> int:
        """Length of the rows that :meth:`distances` takes."""
        return self.features + self.means

    def distances(self, features: ArrayLike) -> NDArray[np.float32]:
        """Return the distances of images from the training images.

        Args:
            features: Features, followed by their products with the means, (N, D + K').

        Returns:
            As :meth:`Familiarity.distances` of the features, float32 (N,).
        """
        rows = np.asarray(features, np.float64)
        lengths = np.linalg.norm(rows[:, : self.features], axis=1)
        nearest = rows[:, self.features :].max(1)
        return np.asarray(1 - nearest / np.maximum(lengths, SHORTEST), np.float32)


def fit_familiarity(features: ArrayLike, labels: ArrayLike) -> Familiarity:
    """Return the mean features of classes.

    Args:
        features: Features of training images, (M, D), M ≥ 1.
        labels: Their classes, int64 (M,).
    """
    vectors = unit_length(np.asarray(features, np.float64))
    classes, places = np.unique(np.asarray(labels), return_inverse=True)
    sums = np.zeros((len(classes), vectors.shape[1]))
    np.add.at(sums, places, vectors)
    return Familiarity(unit_length(sums).astype(np.float32), len(vectors))


def unit_length(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return features (N, D) divided by their lengths; rows of zeros stay zeros.

    >>> unit_length(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, SHORTEST))
