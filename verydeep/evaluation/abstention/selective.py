"""Selective classification: answer the confident images only, with a promise about their error.

A threshold on the confidence divides images into answered and refused. For a threshold that was
chosen beforehand, the number of wrong answers among n answered images is binomial, so the
hypothesis "the error is above r" has an exact p-value. Thresholds are tested in an order that was
fixed on other images, until the first that cannot be rejected (fixed-sequence testing). The last
rejected one keeps the promise with the wanted confidence, at any number of images and for any net:
Angelopoulos et al., "Learn then Test" (2021); Geifman & El-Yaniv, "Selective Classification for
Deep Neural Networks" (2017).

Arguments may be NumPy arrays or anything that converts to one.

N images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST_TESTED = 400
"""Largest number of thresholds that are tried."""

FEWEST = 20
"""Number of answered images below which an observed error says too little to plan by."""

MOST_IMAGES = 10**7
"""Number of answered images above which a promise is called out of reach."""


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """Error among the answered at every threshold, the most confident images first.

    Attributes:
        thresholds: Distinct confidences in descending order, float64 (M,), M ≤ N.
        answered: Images with at least that confidence, int64 (M,).
        wrong: Wrong answers among them, int64 (M,).
        images: N.
    """

    thresholds: NDArray[np.float64]
    answered: NDArray[np.int64]
    wrong: NDArray[np.int64]
    images: int

    @property
    def coverage(self) -> NDArray[np.float64]:
        """Share of the images that is answered, in percent, float64 (M,)."""
        return np.asarray(100 * self.answered / self.images)

    @property
    def error(self) -> NDArray[np.float64]:
        """Share of the answered that is wrong, in percent, float64 (M,)."""
        return np.asarray(100 * self.wrong / self.answered)

    def counts(self, thresholds: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the numbers of answered images and of wrong answers at thresholds (T,)."""
        place = np.searchsorted(-self.thresholds, -np.asarray(thresholds), side="right")
        answered, wrong = (np.append(0, column) for column in (self.answered, self.wrong))
        return answered[place], wrong[place]


def risk_coverage(
    confidence: ArrayLike, wrong: ArrayLike, may_answer: ArrayLike | None = None
) -> RiskCoverage:
    """Return the risk–coverage curve of a net's answers.

    Args:
        confidence: Score by which images are answered, (N,).
        wrong: True where the answer is wrong, bool (N,).
        may_answer: False for images that are refused at every threshold, bool (N,).

    >>> curve = risk_coverage([0.9, 0.8, 0.8, 0.5], [False, False, True, True])
    >>> curve.coverage.tolist(), curve.error.round(1).tolist()
    ([25.0, 75.0, 100.0], [0.0, 33.3, 50.0])
    """
    sure, mistaken = np.asarray(confidence, np.float64), np.asarray(wrong, np.bool_)
    images = len(sure)
    if may_answer is not None:
        kept = np.asarray(may_answer, np.bool_)
        sure, mistaken = sure[kept], mistaken[kept]
    order = np.argsort(-sure, kind="stable")
    ordered, count = sure[order], np.cumsum(mistaken[order])
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))[: len(ordered)]
    return RiskCoverage(ordered[last], last + 1, count[last].astype(np.int64), images)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A confidence from which on images are answered, and what it promises.

    With probability ``confidence`` over the draw of the calibration images, at most ``error`` of
    the answers to new images of the same kind are wrong.

    Attributes:
        least: Smallest confidence of an answered image, from 0 to 1.
        error: Promised largest share of wrong answers among the answered, in percent.
        confidence: Confidence of the promise, in percent.
        images: Calibration images that it was tested on.
        answered: Number of these that are answered.
        wrong: Number of wrong answers among them.
        bound: Upper limit of the error among the answered at this confidence (Clopper & Pearson
            1934), in percent; at most ``error``.
    """

    least: float
    error: float
    confidence: float
    images: int
    answered: int
    wrong: int
    bound: float

    @property
    def coverage(self) -> float:
        """Share of the calibration images that is answered, in percent."""
        return 100 * self.answered / self.images


def order_of_tests(
    curve: RiskCoverage, images: int, *, error: float, confidence: float
) -> NDArray[np.float64]:
    """Return thresholds in the order in which they are to be tested on other images.

    The first is the one that is likeliest to pass, going by these images; each further one answers
    more of them.

    Args:
        curve: Curve of images that the thresholds are not tested on.
        images: Number of images that they are tested on.
        error: Error to be promised, in percent.
        confidence: Confidence of the promise, in percent.

    Returns:
        Descending, float64 (T,); 0 < T ≤ 401, unless the curve is empty.
    """
    from scipy import stats  # slow to import and rarely needed

    if not len(curve.thresholds):
        return np.empty(0)
    answered = np.round(curve.answered * images / curve.images)
    # One mistake more and one answer more than was seen: few images without any say little.
    expected = (curve.wrong + 1) / (curve.answered + 2)
    most = stats.binom.ppf(1 - confidence / 100, answered, error / 100)
    most -= binomial_p_value(most, answered, error) > 1 - confidence / 100
    passes = stats.binom.cdf(most, answered, expected)
    rest = curve.thresholds[int(np.argmax(passes)) :]
    step = -(-len(rest) // MOST_TESTED)
    # In the end everything is answered, however unsure.
    return np.append(rest[::step], 0.0)


def fit_threshold(
    curve: RiskCoverage, order: ArrayLike, *, error: float, confidence: float
) -> Threshold | None:
    """Return the threshold that answers most images and keeps a promise; None if none does.

    Args:
        curve: Curve of the calibration images.
        order: Thresholds in the order of the tests, chosen without a look at these images.
        error: Largest share of wrong answers among the answered, in percent.
        confidence: Probability that the promise holds, in percent.
    """
    tested = np.asarray(order, np.float64)
    answered, wrong = curve.counts(tested)
    passed = binomial_p_value(wrong, answered, error) <= 1 - confidence / 100
    count = int(np.argmin(np.append(passed & (answered > 0), False)))
    if not count:
        return None
    least, given, mistakes = (column[count - 1].item() for column in (tested, answered, wrong))
    bound = upper_bound(mistakes, given, confidence)
    return Threshold(least, error, confidence, curve.images, given, mistakes, bound)


def binomial_p_value(wrong: ArrayLike, answered: ArrayLike, error: float) -> NDArray[np.float64]:
    """Return the probability of so few wrong answers if the true error is ``error`` percent.

    >>> round(float(binomial_p_value(0, 59, 5.0)), 4)
    0.0485
    """
    from scipy import stats  # slow to import and rarely needed

    return np.asarray(stats.binom.cdf(wrong, answered, error / 100), np.float64)


def upper_bound(wrong: int, answered: int, confidence: float) -> float:
    """Return the one-sided Clopper–Pearson limit of an error, in percent.

    >>> round(upper_bound(0, 59, 95.0), 2)
    4.95
    """
    from scipy import stats

    if wrong >= answered:
        return 100.0
    return 100 * float(stats.beta.ppf(confidence / 100, wrong + 1, answered - wrong))


def attainable_error(curve: RiskCoverage, confidence: float) -> float:
    """Return the smallest error that could be promised with about so many images, in percent.

    It is a guide for choosing another promise, and no promise: it looks at every threshold.
    """
    both = zip(curve.wrong.tolist(), curve.answered.tolist(), strict=True)
    return min((upper_bound(k, n, confidence) for k, n in both), default=100.0)


def images_needed(curve: RiskCoverage, error: float, confidence: float) -> int | None:
    """Return about how many calibration images a promise would need; None if none suffice.

    It assumes that the errors among the answered stay those of the curve.

    Args:
        curve: Curve of images at hand.
        error: Error to be promised, in percent.
        confidence: Confidence of the promise, in percent.
    """
    usable = np.flatnonzero(curve.answered >= min(FEWEST, curve.images))
    if not len(usable):
        return None
    places = usable[np.unique(np.linspace(0, len(usable) - 1, 50, dtype=int))]
    needed = (
        (_answers_needed(float(curve.error[place]), error, confidence), int(curve.answered[place]))
        for place in places.tolist()
    )
    found = [count * curve.images / answered for count, answered in needed if count]
    return math.ceil(min(found)) if found else None


def _answers_needed(observed: float, error: float, confidence: float) -> int | None:
    """Return the number of answered images from which on an observed error, in percent, passes."""

    def passes(count: int) -> bool:
        wrong = math.floor(observed * count / 100)
        return bool(binomial_p_value(wrong, count, error) <= 1 - confidence / 100)

    if observed >= error:
        return None
    high = 1
    while not passes(high):
        high *= 2
        if high > MOST_IMAGES:
            return None
    low = high // 2
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high
