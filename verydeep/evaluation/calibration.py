"""Calibration of probabilities, and the temperature that corrects them.

A calibrated model is right on 80 % of the images that it is 80 % confident about. After Guo et
al., "On Calibration of Modern Neural Networks" (2017).

N images, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from verydeep.evaluation.metrics import log_losses
from verydeep.evaluation.significance import wilson_interval

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


def reliability(posteriors: Tensor, labels: Tensor, bins: int = BINS) -> list[Bin]:
    """Return confidence and accuracy in bins of equal width.

    Args:
        posteriors: (N, K).
        labels: int64 (N,).
        bins: Number of bins.
    """
    confidence, guess = posteriors.double().max(1)
    return reliability_of(confidence, guess == labels, bins)


def reliability_of(confidence: Tensor, right: Tensor, bins: int = BINS) -> list[Bin]:
    """Return confidence and accuracy in bins of equal width.

    Args:
        confidence: Probability of the most likely class, float64 (N,).
        right: True where that class is correct, bool (N,).
        bins: Number of bins.
    """
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    count = torch.bincount(place, minlength=bins)
    sure = torch.bincount(place, confidence, bins) / count
    correct = torch.bincount(place, right.double(), bins) / count
    return [
        Bin(i / bins, (i + 1) / bins, int(count[i]), float(sure[i]), float(correct[i]))
        for i in range(bins)
    ]


def expected_calibration_error(posteriors: Tensor, labels: Tensor, bins: int = BINS) -> float:
    """Return the mean gap between confidence and accuracy over the images, in percent.

    >>> likely = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
    >>> round(expected_calibration_error(likely, torch.tensor([0, 0])), 4)
    40.0
    """
    return _mean_gap(reliability(posteriors, labels, bins))


DRAWS = 100
"""Random draws of the outcomes of a perfectly calibrated net."""


def calibration_error_by_chance(confidence: Tensor, bins: int = BINS) -> float:
    """Return the mean calibration error of a perfectly calibrated net, in percent.

    Even then, accuracy in a bin equals confidence only on average. On few images, a calibration
    error means little unless it is well above this value.

    Args:
        confidence: Probability of the most likely class, float64 (N,).
        bins: Number of bins.
    """
    if not len(confidence):
        return float("nan")
    lots = torch.Generator().manual_seed(0)
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    sure = torch.bincount(place, confidence, bins)
    gaps = 0.0
    for _ in range(DRAWS):
        right = torch.rand(len(confidence), generator=lots, dtype=torch.float64) < confidence
        gaps += float((torch.bincount(place, right.double(), bins) - sure).abs().sum())
    return 100 * gaps / DRAWS / len(confidence)


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
    posteriors: Tensor, labels: Tensor, *, split: str, protocol: str
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
    temperature = fit_temperature(posteriors, labels)
    before = log_losses(posteriors, labels)
    after = log_losses(temper(posteriors, temperature), labels)
    held = cross_fitted(posteriors, labels) if len(labels) > 1 else before
    gain = before - held
    surest = posteriors[posteriors.max(1).values.argmax()][None]
    second = surest.argsort(dim=1, descending=True, stable=True)[:, min(1, surest.shape[1] - 1)]
    if_wrong = log_losses(surest, second) - log_losses(temper(surest, temperature), second)
    return Calibration(
        temperature=temperature,
        split=split,
        protocol=protocol,
        images=len(labels),
        loss_before=float(before.mean()),
        loss_after=float(after.mean()),
        loss_held_out=float(held.mean()),
        gain=mean_interval(gain) if len(labels) > 1 else None,
        kept=bool(gain.sum() > 0) and bool(gain.sum() + if_wrong.sum() > 0),
    )


def temper(posteriors: Tensor, temperature: float) -> Tensor:
    """Return posteriors at a temperature: raised to the power 1/T, then scaled to sum to one.

    For one view this is the softmax of scores divided by T. T > 1 lowers the confidence, T < 1
    raises it; the order of the classes stays. Rows of zeros stay zeros.

    Args:
        posteriors: (N, K).
        temperature: T > 0.

    >>> temper(torch.tensor([[0.8, 0.2]]), 2.0)
    tensor([[0.6667, 0.3333]])
    """
    read = posteriors.sum(1, keepdim=True) > 0
    tempered = (_log(posteriors) / temperature).softmax(1)
    return (tempered * read).to(posteriors.dtype)


def fit_temperature(posteriors: Tensor, labels: Tensor) -> float:
    """Return the temperature from 0.05 to 20 with the lowest loss.

    Args:
        posteriors: (N, K), N ≥ 1.
        labels: int64 (N,).
    """
    from scipy import optimize  # slow to import and rarely needed

    logs = _log(posteriors)

    def loss(inverse: float) -> float:
        return float(torch.nn.functional.cross_entropy(logs * inverse, labels))

    # The loss is convex in 1/T, so one bounded search finds the minimum.
    found = optimize.minimize_scalar(
        loss, bounds=(1 / 20, 20), method="bounded", options={"xatol": 1e-6}
    )
    return 1 / float(found.x)


FOLDS = 20
"""Maximum number of folds for cross-fitting."""


def cross_fitted(posteriors: Tensor, labels: Tensor, folds: int = FOLDS) -> Tensor:
    """Return each image's loss at a temperature fitted to other images, float64 (N,).

    The images are divided into folds stratified by class; each fold is held out in turn.

    Args:
        posteriors: (N, K), N ≥ 2.
        labels: int64 (N,).
        folds: Number of folds; with fewer images, each image is a fold.
    """
    folds = min(folds, len(labels))
    part = torch.empty_like(labels)
    part[labels.argsort(stable=True)] = torch.arange(len(labels)) % folds
    losses = torch.empty(len(labels), dtype=torch.float64)
    for number in range(folds):
        held = part == number
        temperature = fit_temperature(posteriors[~held], labels[~held])
        losses[held] = log_losses(temper(posteriors[held], temperature), labels[held])
    return losses


def mean_interval(values: Tensor, confidence: float = 0.95) -> tuple[float, float]:
    """Return Student's t interval of a mean.

    Args:
        values: At least two.
        confidence: Confidence level.

    >>> [round(edge, 3) for edge in mean_interval(torch.tensor([1.0, 2.0, 3.0]))]
    [-0.484, 4.484]
    """
    from scipy import stats

    count, mean = len(values), float(values.mean())
    reach = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * float(values.std()) / count**0.5
    return mean - reach, mean + reach


def _log(posteriors: Tensor) -> Tensor:
    """Return logarithms in float64; zeros, from underflow, become the smallest normal float32."""
    return posteriors.double().clamp(min=torch.finfo(torch.float32).tiny).log()
