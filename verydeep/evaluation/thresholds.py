"""Thresholds of a multi-label classifier: the probability above which a class is predicted.

N images, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from verydeep.evaluation.label_metrics import by_score

USUAL = 0.5
"""Threshold of a class where none was fitted."""

ENOUGH = 10
"""True images from which a class gets a threshold of its own."""


@dataclass(frozen=True)
class Thresholds:
    """Fitted thresholds.

    Attributes:
        values: Threshold of each class, K; a class is predicted if its probability is at least
            that.
        own: Whether each threshold was fitted on its class alone; the others are shared.
        split: Split that they were fitted on.
        protocol: Test protocol of the probabilities.
        images: Number of images.
    """

    values: tuple[float, ...]
    own: tuple[bool, ...]
    split: str
    protocol: str
    images: int


def fit_thresholds(
    posteriors: ArrayLike, truth: ArrayLike, *, split: str, protocol: str
) -> Thresholds:
    """Return thresholds of the highest F1.

    A class with fewer than :data:`ENOUGH` true images would be fitted to chance: it takes the
    threshold of the highest micro F1, which is fitted on all classes together.

    Args:
        posteriors: (N, K).
        truth: bool (N, K).
        split: Name of the split, for the record.
        protocol: Name of the protocol, for the record.
    """
    likely, true = np.asarray(posteriors, np.float64), np.asarray(truth, bool)
    shared = best_threshold(likely.ravel(), true.ravel())
    own = true.sum(0) >= ENOUGH
    values = [
        best_threshold(likely[:, label], true[:, label]) if fitted else shared
        for label, fitted in enumerate(own.tolist())
    ]
    return Thresholds(tuple(values), tuple(own.tolist()), split, protocol, len(likely))


def best_threshold(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Return the threshold of the highest F1; of several equally good ones, that nearest to 0.5.

    It lies in the middle between two neighbouring scores, or halfway from the lowest score to 0.

    Args:
        scores: Probabilities, (N,).
        truth: bool (N,).

    Returns:
        The usual threshold if no image is true.

    >>> best_threshold(np.array([0.9, 0.4, 0.2]), np.array([True, True, False])).__round__(3)
    0.3
    """
    if not truth.any():
        return USUAL
    order, last = by_score(scores)
    ranked = scores[order]
    f1 = 2 * np.cumsum(truth[order])[last] / (last + 1 + truth.sum())
    between = (ranked[last] + np.append(ranked, 0.0)[last + 1]) / 2
    best = between[f1 >= f1.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - USUAL))])
