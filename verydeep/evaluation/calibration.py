"""Calibration of probabilities, and the temperature that corrects them.

A calibrated model is right on 80 % of the images that it is 80 % confident about. After Guo et
al., "On Calibration of Modern Neural Networks" (2017).

Arguments may be NumPy arrays or anything that converts to one, such as tensors on the CPU.

N images, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from verydeep.evaluation.metrics import SMALLEST, likeliest, log_losses
from verydeep.evaluation.significance import wilson_interval
from verydeep.evaluation.softmax import softmax

BINS = 15


@dataclass(frozen=True, slots=True)
class Bin:
    """Images whose most likely class has a probability in a range.

    Attributes:
        low: Lower edge, exclusive except in the first bin.
        high: Upper edge, inclusive.
        images: Number of images.
        confidence: Mean probability of the most likely class; NaN without images.
        accuracy: Share of images classified correctly; NaN without images.
    """

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Range:
    """A bin that contains images.

    Attributes:
        bin: The bin.
        interval: 95 % confidence interval of its accuracy (Wilson), in percent.
    """

    bin: Bin
    interval: tuple[float, float]


def ranges(bins: Iterable[Bin]) -> tuple[Range, ...]:
    """Return the bins that contain images, each with the interval of its accuracy."""
    return tuple(
        Range(part, wilson_interval(round(part.accuracy * part.images), part.images))
        for part in bins
        if part.images
    )


def reliability(posteriors: ArrayLike, labels: ArrayLike, bins: int = BINS) -> list[Bin]:
    """Return confidence and accuracy in bins of equal width.

    Args:
        posteriors: (N, K).
        labels: int64 (N,).
        bins: Number of bins.
    """
    likely = np.asarray(posteriors, np.float64)
    return reliability_of(likely.max(1), likely.argmax(1) == np.asarray(labels), bins)


def reliability_of(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = BINS
) -> list[Bin]:
    """Return confidence and accuracy in bins of equal width.

    Args:
        confidence: Probability of the most likely class, float64 (N,).
        right: True where that class is correct, bool (N,).
        bins: Number of bins.
    """
    place = _bin_of(confidence, bins)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
        sure = np.bincount(place, confidence, bins) / count
        correct = np.bincount(place, right.astype(np.float64), bins) / count
    return [
        Bin(i / bins, (i + 1) / bins, int(count[i]), float(sure[i]), float(correct[i]))
        for i in range(bins)
    ]


def _bin_of(confidence: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    return np.ceil(confidence * bins).astype(np.int64).clip(1, bins) - 1


def expected_calibration_error(posteriors: ArrayLike, labels: ArrayLike, bins: int = BINS) -> float:
    """Return the mean gap between confidence and accuracy over the images, in percent.

    >>> round(expected_calibration_error([[0.9, 0.1], [0.1, 0.9]], [0, 0]), 4)
    40.0
    """
    return _mean_gap(reliability(posteriors, labels, bins))


DRAWS = 100
"""Random draws of the outcomes of a perfectly calibrated net."""


def calibration_error_by_chance(confidence: ArrayLike, bins: int = BINS) -> float:
    """Return the mean calibration error of a perfectly calibrated net, in percent.

    Even then, accuracy in a bin equals confidence only on average. On few images, a calibration
    error means little unless it is well above this value.

    Args:
        confidence: Probability of the most likely class, float64 (N,).
        bins: Number of bins.
    """
    likely = np.asarray(confidence, np.float64)
    if not len(likely):
        return float("nan")
    lots = np.random.default_rng(0)
    place = _bin_of(likely, bins)
    sure = np.bincount(place, likely, bins)
    gaps = 0.0
    for _ in range(DRAWS):
        right = (lots.random(len(likely)) < likely).astype(np.float64)
        gaps += float(np.abs(np.bincount(place, right, bins) - sure).sum())
    return 100 * gaps / DRAWS / len(likely)


def _mean_gap(found: Iterable[Bin]) -> float:
    parts = [part for part in found if part.images]
    total = sum(part.images for part in parts)
    gaps = (part.images * abs(part.confidence - part.accuracy) for part in parts)
    return 100 * sum(gaps) / total if total else float("nan")


@dataclass(frozen=True, slots=True)
class Calibration:
    """A temperature and how it was fitted.

    Attributes:
        temperature: T of :func:`temper`.
        split: Split that it was fitted on.
        protocol: Test protocol of the posteriors that it was fitted to.
        images: Number of these images.
        loss_before: Mean −log probability of their true class, in nats.
        loss_after: The same at the temperature. It is never above ``loss_before``, because the
            temperature was fitted to these images.
        loss_held_out: The same, each image at a temperature fitted to other images; None for
            models calibrated by earlier versions.
        gain: 95 % confidence interval of ``loss_before`` − ``loss_held_out``, in nats; None for
            such models and for a single image.
        kept: Whether the temperature is worth using; see :func:`fit_calibration`.
    """

    temperature: float
    split: str
    protocol: str
    images: int
    loss_before: float
    loss_after: float
    loss_held_out: float | None = None
    gain: tuple[float, float] | None = None
    kept: bool = True


def fit_calibration(
    posteriors: ArrayLike, labels: ArrayLike, *, split: str, protocol: str
) -> Calibration:
    """Fit a temperature, and test on held-out images whether it is worth using.

    It is kept if it lowers the held-out loss even with one image added: the most confident image
    again, but wrong, with its second class as the true one. Without that image, few mistakes on
    few images would make the net almost certain.

    Args:
        posteriors: (N, K), N ≥ 1.
        labels: int64 (N,).
        split: Name of the split.
        protocol: Test protocol of the posteriors.
    """
    likely, true = np.asarray(posteriors), np.asarray(labels)
    temperature = fit_temperature(likely, true)
    before = log_losses(likely, true)
    after = log_losses(temper(likely, temperature), true)
    held = cross_fitted(likely, true) if len(true) > 1 else before
    gain = before - held
    surest = likely[likely.max(1).argmax()][None]
    second = likeliest(surest, 2)[:, -1]
    if_wrong = log_losses(surest, second) - log_losses(temper(surest, temperature), second)
    return Calibration(
        temperature=temperature,
        split=split,
        protocol=protocol,
        images=len(true),
        loss_before=float(before.mean()),
        loss_after=float(after.mean()),
        loss_held_out=float(held.mean()),
        gain=mean_interval(gain) if len(true) > 1 else None,
        kept=bool(gain.sum() > 0) and bool(gain.sum() + if_wrong.sum() > 0),
    )


def temper(posteriors: ArrayLike, temperature: float) -> NDArray[Any]:
    """Return posteriors at a temperature: raised to the power 1/T, then scaled to sum to one.

    For one view this is the softmax of scores divided by T. T > 1 lowers the confidence, T < 1
    raises it; the order of the classes stays. Rows of zeros stay zeros.

    Args:
        posteriors: (N, K).
        temperature: T > 0.

    >>> temper([[0.8, 0.2]], 2.0).round(4)
    array([[0.6667, 0.3333]])
    """
    likely = np.asarray(posteriors)
    read = likely.sum(1, keepdims=True) > 0
    tempered = softmax(_log(likely) / temperature, 1)
    return np.asarray(tempered * read, likely.dtype)


def fit_temperature(posteriors: ArrayLike, labels: ArrayLike) -> float:
    """Return the temperature from 0.05 to 20 with the lowest loss.

    Args:
        posteriors: (N, K), N ≥ 1.
        labels: int64 (N,).
    """
    from scipy import optimize  # slow to import and rarely needed

    logs, true = _log(posteriors), np.asarray(labels)
    rows = np.arange(len(true))

    def loss(inverse: float) -> float:
        scores = logs * inverse
        highest = scores.max(1)
        total = np.log(np.exp(scores - highest[:, None]).sum(1)) + highest
        return float((total - scores[rows, true]).mean())

    # The loss is convex in 1/T, so one bounded search finds the minimum.
    found = optimize.minimize_scalar(
        loss, bounds=(1 / 20, 20), method="bounded", options={"xatol": 1e-6}
    )
    return 1 / float(found.x)


FOLDS = 20
"""Maximum number of folds for cross-fitting."""


def cross_fitted(
    posteriors: ArrayLike, labels: ArrayLike, folds: int = FOLDS
) -> NDArray[np.float64]:
    """Return each image's loss at a temperature fitted to other images, float64 (N,).

    The images are divided into folds stratified by class; each fold is held out in turn.

    Args:
        posteriors: (N, K), N ≥ 2.
        labels: int64 (N,).
        folds: Number of folds; with fewer images, each image is a fold.
    """
    likely, true = np.asarray(posteriors), np.asarray(labels)
    folds = min(folds, len(true))
    part = np.empty_like(true)
    part[np.argsort(true, kind="stable")] = np.arange(len(true)) % folds
    losses = np.empty(len(true), np.float64)
    for number in range(folds):
        held = part == number
        temperature = fit_temperature(likely[~held], true[~held])
        losses[held] = log_losses(temper(likely[held], temperature), true[held])
    return losses


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Return Student's t interval of a mean.

    Args:
        values: At least two.
        confidence: Confidence level.

    >>> [round(edge, 3) for edge in mean_interval([1.0, 2.0, 3.0])]
    [-0.484, 4.484]
    """
    from scipy import stats

    given = np.asarray(values)
    count, mean, spread = len(given), float(given.mean()), float(given.std(ddof=1))
    reach = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * spread / count**0.5
    return mean - reach, mean + reach


def _log(posteriors: ArrayLike) -> NDArray[np.float64]:
    """Return logarithms in float64; zeros, from underflow, become the smallest normal float32."""
    return np.asarray(np.log(np.asarray(posteriors, np.float64).clip(min=SMALLEST)))
