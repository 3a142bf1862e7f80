"""Whether probabilities mean what they say, and the one number that mends them.

Of the pictures that a calibrated model is 80 % sure of, it gets 80 % right. After Guo et al.,
"On Calibration of Modern Neural Networks" (2017).

N pictures, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from verydeep.evaluation.statistics import wilson_interval

BINS = 15


@dataclass(frozen=True, slots=True)
class Bin:
    """The pictures whose likeliest class has a probability in a range.

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
    """A range with pictures in it.

    Attributes:
        bin: Its figures.
        interval: 95 % interval of the share that is right (Wilson), in percent.
    """

    bin: Bin
    interval: tuple[float, float]


def ranges(bins: Iterable[Bin]) -> tuple[Range, ...]:
    """Return the ranges that have pictures, each with the interval of its accuracy."""
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
    """Return the mean distance of confidence and accuracy over the pictures, in percent.

    >>> likely = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
    >>> round(expected_calibration_error(likely, torch.tensor([0, 0])), 4)
    40.0
    """
    ranges = [part for part in reliability(posteriors, labels, bins) if part.images]
    total = sum(part.images for part in ranges)
    gaps = (part.images * abs(part.confidence - part.accuracy) for part in ranges)
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
        loss_after: The same with the temperature.
    """

    temperature: float
    split: str
    protocol: str
    images: int
    loss_before: float
    loss_after: float


def temper(posteriors: Tensor, temperature: float) -> Tensor:
    """Return posteriors at a temperature: their powers 1/T, brought to a sum of one.

    For one view that is the soft-max of scores divided by T. Above 1 they become less sure, below
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


def _log(posteriors: Tensor) -> Tensor:
    """Return logarithms in float64; zeros, which come of underflow, count as the least number."""
    return posteriors.double().clamp(min=torch.finfo(torch.float32).tiny).log()
