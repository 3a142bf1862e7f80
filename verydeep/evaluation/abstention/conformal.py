"""Conformal prediction: sets of classes that contain the true one with a promised probability.

Split conformal prediction (Vovk, Gammerman & Shafer, "Algorithmic Learning in a Random World",
2005) ranks a score of a new image among those of n calibration images. If all n + 1 images are
exchangeable, every rank is equally likely, whatever the net. The promise is an average over new
images and over the draw of the calibration images.

Arguments may be NumPy arrays or anything that converts to one.

N images, K classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class ClassSets:
    """Sets of classes with a promised coverage.

    A set holds every class with at least the probability ``least``, and always the most likely one
    (Sadinle, Lei & Wasserman, "Least Ambiguous Set-Valued Classifiers With Bounded Error Levels",
    2019). Nothing is drawn at random, so an image always gets the same set.

    Attributes:
        least: Smallest probability of a class in a set.
        coverage: Promised share of images whose true class is in their set, in percent.
        images: Number of calibration images.
        mean_size: Mean number of classes in the sets of these.
    """

    least: float
    coverage: float
    images: int
    mean_size: float

    def of(self, posteriors: ArrayLike) -> NDArray[np.bool_]:
        """Return the sets of images with posteriors (N, K), bool (N, K)."""
        return sets_above(posteriors, self.least)


def fit_class_sets(posteriors: ArrayLike, labels: ArrayLike, coverage: float) -> ClassSets | None:
    """Return the sets that cover new images with a promised probability.

    Args:
        posteriors: Of calibration images, (N, K).
        labels: True classes, int64 (N,).
        coverage: In percent, below 100.

    Returns:
        None if there are fewer than :func:`fewest_images`.
    """
    likely, true = np.asarray(posteriors), np.asarray(labels)
    own = likely[np.arange(len(true)), true]
    worst = conformal_limit(-own.astype(np.float64), 100 - coverage)
    if worst is None:
        return None
    size = sets_above(likely, -worst).sum(1).mean()
    return ClassSets(-worst, coverage, len(true), float(size))


def sets_above(posteriors: ArrayLike, least: float) -> NDArray[np.bool_]:
    """Return the classes of at least a probability, and the most likely one, bool (N, K).

    >>> sets_above([[0.6, 0.3, 0.1], [0.4, 0.35, 0.25]], 0.5).astype(int)
    array([[1, 0, 0],
           [1, 0, 0]])
    """
    likely = np.asarray(posteriors)
    sets = likely >= least
    if len(likely):
        sets[np.arange(len(likely)), likely.argmax(1)] = True
    return np.asarray(sets)


def conformal_limit(scores: ArrayLike, exceeded: float) -> float | None:
    """Return a limit that the score of a new image exceeds with at most a probability.

    It is the ⌈(N + 1)(1 − α)⌉-th smallest of the calibration scores.

    Args:
        scores: Of calibration images, float64 (N,).
        exceeded: α, in percent.

    Returns:
        None if there are fewer than :func:`fewest_images`.

    >>> conformal_limit(range(1, 20), 5), conformal_limit(range(1, 19), 5)
    (19.0, None)
    """
    ordered = np.sort(np.asarray(scores, np.float64))
    beyond = images_beyond(len(ordered), exceeded)
    return float(ordered[len(ordered) - beyond]) if beyond else None


def images_beyond(images: int, exceeded: float) -> int:
    """Return ⌊(N + 1)α⌋, the place of the limit from the end of the sorted scores.

    Args:
        images: N.
        exceeded: α, in percent.
    """
    # A product such as 20 · 0.05 must not fall below the whole number that it is.
    return math.floor(round((images + 1) * exceeded / 100, 9))


def fewest_images(exceeded: float) -> int:
    """Return the fewest images that give a limit which is exceeded in so many percent of cases.

    >>> fewest_images(1.0), fewest_images(5.0), fewest_images(10.0)
    (99, 19, 9)
    """
    return math.ceil(round(100 / exceeded, 9)) - 1


def coverage_range(images: int, coverage: float, share: float = 90.0) -> tuple[float, float]:
    """Return the range of the true coverage after calibration on N images, in percent.

    The promise is a mean over calibrations. For a single one, the true coverage of a continuous
    score follows a Beta(N + 1 − l, l) law with l = ⌊(N + 1)α⌋ (Vovk, "Conditional Validity of
    Inductive Conformal Predictors", 2012).

    Args:
        images: N, at least :func:`fewest_images`.
        coverage: Promised coverage 1 − α, in percent.
        share: Share of the calibrations whose coverage lies in the range, in percent.

    >>> [round(edge, 1) for edge in coverage_range(500, 90.0)]
    [87.7, 92.1]
    """
    from scipy import stats  # slow to import and rarely needed

    beyond = images_beyond(images, 100 - coverage)
    law = stats.beta(images + 1 - beyond, beyond)
    tail = (100 - share) / 200
    return 100 * float(law.ppf(tail)), 100 * float(law.ppf(1 - tail))


def class_coverage(covered: ArrayLike, labels: ArrayLike, classes: int) -> NDArray[np.float64]:
    """Return the coverage of every class in percent, float64 (K,); NaN without images.

    Args:
        covered: True where the set holds the true class, bool (N,).
        labels: int64 (N,).
        classes: K.
    """
    true = np.asarray(labels)
    images = np.bincount(true, minlength=classes)
    hits = np.bincount(true, np.asarray(covered, np.float64), minlength=classes)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
        return np.asarray(100 * hits / images)
