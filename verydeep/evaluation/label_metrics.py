"""Measures of multi-label classification, from posteriors and true labels.

Definitions are those of scikit-learn unless stated otherwise. Arguments may be NumPy arrays or
anything that converts to one.

N images, K classes, B resamples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

CLOSEST = 2.0**-25
"""Distance from 0 and 1 that stands for probabilities that float32 has rounded to them."""

RESAMPLES = 200
"""Bootstrap samples of an interval."""

AT_ONCE = 2**21
"""Weights of images in resamples held in memory at once; each takes some 70 bytes."""

Values = NDArray[np.float64]


def binary_log_losses(posteriors: ArrayLike, truth: ArrayLike) -> Values:
    """Return the binary cross-entropy of each image, averaged over the classes, in nats, (N,).

    Args:
        posteriors: (N, K).
        truth: Ones for the classes of each image, else zeros, (N, K).

    >>> binary_log_losses([[0.5, 0.5]], [[1, 0]]).round(4)
    array([0.6931])
    """
    likely = np.asarray(posteriors, np.float64).clip(CLOSEST, 1 - CLOSEST)
    return np.asarray(-np.log(np.where(np.asarray(truth, bool), likely, 1 - likely)).mean(1))


def average_precision(scores: ArrayLike, truth: ArrayLike) -> float:
    """Return the average precision of one class, 0 to 1; NaN without a true image.

    It is the sum of the precisions at all thresholds, weighted with the increase in recall.

    Args:
        scores: (N,).
        truth: bool (N,).

    >>> average_precision([0.9, 0.8, 0.1], [True, False, True]).__round__(4)
    0.8333
    """
    one = np.ones((1, np.size(scores)))
    return float(weighted_precisions(np.asarray(scores), np.asarray(truth, bool), one)[0])


def weighted_precisions(
    scores: NDArray[np.generic], truth: NDArray[np.bool_], weights: Values
) -> Values:
    """Return the average precision of one class for B weightings of the images, (B,).

    Args:
        scores: (N,).
        truth: bool (N,).
        weights: Weight of each image, such as its number of occurrences in a resample, (B, N).
    """
    order, last = by_score(scores)
    weighted = weights[:, order]
    found = np.cumsum(weighted * truth[order], axis=1)[:, last]
    taken = np.cumsum(weighted, axis=1)[:, last]
    steps = np.diff(found, axis=1, prepend=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(taken > 0, found / taken, 0.0)
        return np.asarray((steps * shares).sum(1) / steps.sum(1))


def by_score(scores: NDArray[np.generic]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return indices by descending score, and the last place of each group of equal scores."""
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    ranked = np.asarray(scores)[order]
    return order, np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))[: len(ranked)]


def average_precision_11(scores: ArrayLike, truth: ArrayLike) -> float:
    """Return the average precision of Pascal VOC 2007; NaN without a true image.

    It is the mean over recalls of 0, 0.1 … 1 of the highest precision at that recall or a higher
    one (Everingham et al. 2010).

    Args:
        scores: (N,).
        truth: bool (N,).
    """
    if not np.any(truth):
        return float("nan")
    precision, recall = precision_recall(scores, truth)
    reached = [recall >= share - 1e-12 for share in np.linspace(0, 1, 11)]
    return float(np.mean([precision[those].max(initial=0.0) for those in reached]))


def precision_recall(scores: ArrayLike, truth: ArrayLike) -> tuple[Values, Values]:
    """Return precision and recall at every threshold, the highest first; NaN recalls if undefined.

    Args:
        scores: (N,).
        truth: bool (N,).
    """
    true = np.asarray(truth, bool)
    order, last = by_score(np.asarray(scores))
    found = np.cumsum(true[order])[last].astype(np.float64)
    with np.errstate(invalid="ignore"):
        return found / (last + 1), found / true.sum()


def average_precisions(posteriors: ArrayLike, truth: ArrayLike) -> Values:
    """Return the average precision of every class, (K,); NaN for classes without a true image.

    Args:
        posteriors: (N, K).
        truth: bool (N, K).
    """
    pairs = zip(np.asarray(posteriors).T, np.asarray(truth, bool).T, strict=True)
    return np.array([average_precision(scores, true) for scores, true in pairs], np.float64)


def mean_of_known(values: ArrayLike) -> float:
    """Return the mean of all values but NaN; NaN if there are none.

    >>> mean_of_known([0.5, float("nan"), 1.0])
    0.75
    """
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else float("nan")


def interval_of_mean(
    posteriors: ArrayLike, truth: ArrayLike, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Return a 95 % interval of the mean average precision: a bootstrap over images.

    Args:
        posteriors: (N, K).
        truth: bool (N, K).
        resamples: B.
        seed: Random seed.
    """
    measured = mean_of_known(average_precisions(posteriors, truth))
    return middle_of(resampled_means(posteriors, truth, resamples, seed), measured, least=0.0)


def middle_of(values: Values, measured: float, least: float) -> tuple[float, float]:
    """Return the limits of the middle 95 % of values, moved so that their mean is as measured.

    A resample holds some images several times. Among few true images of a class, these repetitions
    improve the ranking, so that resamples have a higher precision than further images would have.

    Args:
        values: Of resamples, (B,); NaN are left out.
        measured: The value of all images.
        least: Lowest possible value; the highest is 1.

    Returns:
        From ``least`` to 1; NaN if all values are.

    >>> low, high = middle_of(np.linspace(0.2, 0.4, 1001), 0.25, least=0.0)
    >>> round(low, 3), round(high, 3)
    (0.155, 0.345)
    """
    if not np.isfinite(values).any():
        return float("nan"), float("nan")
    low, high = np.nanquantile(values, (0.025, 0.975)) - np.nanmean(values) + measured
    return max(least, float(low)), min(1.0, float(high))


def resampled_means(
    posteriors: ArrayLike, truth: ArrayLike, resamples: int = RESAMPLES, seed: int = 0
) -> Values:
    """Return the mean average precision of bootstrap samples of the images, (B,).

    The samples depend on ``seed`` and N alone: those of two tests of the same images are pairs.

    Args:
        posteriors: (N, K).
        truth: bool (N, K).
        resamples: B.
        seed: Random seed.
    """
    scores, true = np.asarray(posteriors), np.asarray(truth, bool)
    images = len(scores)
    generator, found = np.random.default_rng(seed), list[float]()
    known = np.flatnonzero(true.any(0))
    while len(found) < resamples:  # in blocks: all at once would not fit into memory
        block = min(resamples - len(found), max(1, AT_ONCE // images))
        drawn = generator.integers(images, size=(block, images))
        weights = np.stack([np.bincount(row, minlength=images) for row in drawn]).astype(float)
        by_class = [weighted_precisions(scores[:, c], true[:, c], weights) for c in known]
        found += (
            [mean_of_known(row) for row in np.stack(by_class, 1)] if by_class else [np.nan] * block
        )
    return np.array(found, np.float64)


def counts_of(predicted: ArrayLike, truth: ArrayLike) -> NDArray[np.int64]:
    """Return true positives, predicted and true images of every class, int64 (3, K).

    Args:
        predicted: bool (N, K).
        truth: bool (N, K).
    """
    found, true = np.asarray(predicted, bool), np.asarray(truth, bool)
    return np.stack([(found & true).sum(0), found.sum(0), true.sum(0)]).astype(np.int64)


def f1_of(counts: ArrayLike) -> Values:
    """Return 2·TP / (predicted + true) of every class; NaN where neither occurs.

    Args:
        counts: From :func:`counts_of`, (3, …).
    """
    right, found, true = np.asarray(counts, np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * right / (found + true))


def coverage_error(posteriors: ArrayLike, truth: ArrayLike) -> float:
    """Return how far to go down the ranking of classes, on average, to meet all true ones.

    Args:
        posteriors: (N, K).
        truth: bool (N, K).
    """
    scores, true = np.asarray(posteriors), np.asarray(truth, bool)
    lowest = np.where(true, scores, np.inf).min(1, keepdims=True)
    return float((scores >= lowest).sum(1).mean())


def ranking_loss(posteriors: ArrayLike, truth: ArrayLike) -> float:
    """Return the mean share of pairs of a true and another class that are not in that order.

    Images with none or all of the classes count as 0.

    Args:
        posteriors: (N, K).
        truth: bool (N, K).
    """
    scores, true = np.asarray(posteriors, np.float64), np.asarray(truth, bool)
    wrong = [float((s[t][:, None] <= s[~t]).sum()) for s, t in zip(scores, true, strict=True)]
    pairs = true.sum(1) * (~true).sum(1)
    return float((np.array(wrong) / pairs.clip(min=1)).mean())
