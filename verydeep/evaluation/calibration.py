"""Whether probabilities mean what they say, and the one number that mends them.

Of the images that a calibrated model is 80 % sure of, it gets 80 % right. After Guo et al.,
"On Calibration of Modern Neural Networks" (2017).

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
    """The images whose likeliest class has a probability in a range.

    Attributes:
        low: Where the range begins; not in it, but for the first.
        high: Where it ends, inclusive.
        images: How many there are.
        confidence: Mean probability of the likeliest class; NaN if there are none.
        accuracy: Share of them that are right; NaN if there are none.
    """

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Range:
    """A range with images in it.

    Attributes:
        bin: Its figures.
        interval: 95 % interval of the share that is right (Wilson), in percent.
    """

    bin: Bin
    interval: tuple[float, float]


def ranges(bins: Iterable[Bin]) -> tuple[Range, ...]:
    """Return the ranges that have images, each with the interval of its accuracy."""
    return tuple(
        Range(part, wilson_interval(round(part.accuracy * part.images), part.images))
        for part in bins
        if part.images
    )


def reliability(posteriors: Tensor, labels: Tensor, bins: int = BINS) -> list[Bin]:
    """Return confidence and accuracy in ranges of equal width.

    Args:
        posteriors: (N, K).
        labels: int64 (N,).
        bins: Ranges.
    """
    confidence, guess = posteriors.double().max(1)
    return reliability_of(confidence, guess == labels, bins)


def reliability_of(confidence: Tensor, right: Tensor, bins: int = BINS) -> list[Bin]:
    """Return confidence and accuracy in ranges of equal width.

    Args:
        confidence: Probability of the likeliest class, float64 (N,).
        right: Whether it is the true one, bool (N,).
        bins: Ranges.
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
    """Return the mean distance of confidence and accuracy over the images, in percent.

    >>> likely = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
    >>> round(expected_calibration_error(likely, torch.tensor([0, 0])), 4)
    40.0
    """
    return _mean_gap(reliability(posteriors, labels, bins))


DRAWS = 100
"""Times that outcomes are drawn of a net that is perfectly calibrated."""


def calibration_error_by_chance(confidence: Tensor, bins: int = BINS) -> float:
    """Return the calibration error that a perfectly calibrated net shows on average, in percent.

    The images of a range are right as often as the net says only on average: of few images, a
    calibration error means little unless it is well above this.

    Args:
        confidence: Probability of the likeliest class, float64 (N,).
        bins: Ranges.
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
    """A temperature and where it comes from.

    Attributes:
        temperature: T of :func:`temper`.
        split: What it was fitted on.
        protocol: How the posteriors were measured that it was fitted to.
        images: How many.
        loss_before: Mean −log probability of the true class there, in nats.
        loss_after: The same with the temperature. As that was fitted to these very images, it is
            never above ``loss_before``.
        loss_held_out: The same, each image at a temperature that was fitted to others; None of
            models that were calibrated by earlier versions.
        gain: 95 % interval of how much less that is than ``loss_before``, in nats; None likewise.
        kept: Whether the temperature is of use; see :func:`fit_calibration`.
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
    """Fit a temperature, and find out on images that it was not fitted to whether it is of use.

    It is to be kept if the loss of held-out images gets less by it, even if there were one
    image more: the surest one again, but wrong, its second class being the true one. Without that
    image, few mistakes among few images would tell the net to be as good as certain.

    Args:
        posteriors: (N, K), N ≥ 1.
        labels: int64 (N,).
        split: Name of the images.
        protocol: How the posteriors were measured.
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
    """Return posteriors at a temperature: their powers 1/T, brought to a sum of one.

    For one view that is the softmax of scores divided by T. Above 1 they become less sure, below
    more; the order of the classes stays. Rows of zeros stay zeros.

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
    """Return the temperature from 0.05 to 20 at which the loss of posteriors is least.

    Args:
        posteriors: (N, K), N ≥ 1.
        labels: int64 (N,).
    """
    from scipy import optimize  # slow to import, and all else does without it

    logs = _log(posteriors)

    def loss(inverse: float) -> float:
        return float(torch.nn.functional.cross_entropy(logs * inverse, labels))

    # The loss is convex in 1/T, so one bounded search finds its least value.
    found = optimize.minimize_scalar(
        loss, bounds=(1 / 20, 20), method="bounded", options={"xatol": 1e-6}
    )
    return 1 / float(found.x)


FOLDS = 20
"""Parts that images are divided into for cross-fitting, at most."""


def cross_fitted(posteriors: Tensor, labels: Tensor, folds: int = FOLDS) -> Tensor:
    """Return the loss of every image at a temperature that was fitted to others, float64 (N,).

    The images are divided into parts in which the classes are represented alike; each part in
    turn is held out.

    Args:
        posteriors: (N, K), N ≥ 2.
        labels: int64 (N,).
        folds: How many parts; with fewer images, one image is a part.
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
    """Return the interval of a mean after Student.

    Args:
        values: At least two.
        confidence: Share of all samples whose interval holds the true mean.

    >>> [round(edge, 3) for edge in mean_interval(torch.tensor([1.0, 2.0, 3.0]))]
    [-0.484, 4.484]
    """
    from scipy import stats

    count, mean = len(values), float(values.mean())
    reach = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * float(values.std()) / count**0.5
    return mean - reach, mean + reach


def _log(posteriors: Tensor) -> Tensor:
    """Return logarithms in float64; zeros, which come of underflow, count as the least number."""
    return posteriors.double().clamp(min=torch.finfo(torch.float32).tiny).log()
