"""Mean of paired differences over images and seeds, both random (crossed random effects).

The difference of two tests on image i with seed s is d(s, i) = μ + a(s) + b(i) + e(s, i): a seed
shifts it on all images, an image on all seeds.

S seeds, N images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

POWER = 0.8
"""Probability with which the numbers of images and seeds asked for decide."""

MOST_IMAGES, MOST_SEEDS = 10**8, 10**4
"""Larger numbers count as "no number would be enough"."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class CrossedMean:
    """Mean of paired differences with the mean squares of a two-way analysis of variance.

    Attributes:
        mean: Mean over seeds and images.
        seeds: S.
        images: N.
        seed_square: Mean square of the seeds, with S − 1 degrees of freedom; with one seed, 0.
        image_square: Mean square of the images, with N − 1 degrees of freedom.
        rest_square: Mean square of their interaction, with (S − 1)(N − 1) degrees of freedom.
    """

    mean: float
    seeds: int
    images: int
    seed_square: float
    image_square: float
    rest_square: float

    @property
    def components(self) -> tuple[float, float, float]:
        """Estimated variances of seeds, images and the rest; none is negative."""
        return (
            max(self.seed_square - self.rest_square, 0) / self.images,
            max(self.image_square - self.rest_square, 0) / self.seeds,
            self.rest_square,
        )

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Return an interval each end of which misses the true mean with probability alpha."""
        error, freedom = self.precision(np.array([self.seeds]), np.array([self.images]))
        margin = float((_quantile(1 - alpha, freedom) * error)[0])
        return self.mean - margin, self.mean + margin

    def precision(self, seeds: Numbers, images: Numbers) -> tuple[Numbers, Numbers]:
        """Return the standard error of a mean over so many seeds and images, and its freedom.

        The variance of the mean is (MS_seed + MS_image − MS_rest) / (S·N), with the mean squares
        that these numbers let expect: σ²_seed/S + σ²_image/N + σ²_rest/(S·N). The degrees of
        freedom of such a sum are Satterthwaite's (1946): its square, divided by the sum of
        MS²/ν over the three mean squares, where ν are their own degrees of freedom. For both see
        Searle, Casella & McCulloch, *Variance Components* (1992). A negative estimate of a
        component counts as zero, which widens the interval. With one seed, only the images vary:
        σ²/N with N − 1 degrees of freedom.

        The variance is never below 1/(N + 2)², that of Agresti & Min (2005) for two tests that
        never differ.

        Args:
            seeds: Numbers of seeds; all 1 if S is 1.
            images: Numbers of images, at least 2, of a shape that fits.
        """
        seed, image, rest = self.components
        if self.seeds == 1:
            square, freedom = image / images, images - 1.0
        else:
            by_seed, by_image = images * seed + rest, seeds * image + rest
            total = by_seed + by_image - rest
            square = total / (seeds * images)
            spread = (
                by_seed**2 / (seeds - 1)
                + by_image**2 / (images - 1)
                + rest**2 / ((seeds - 1) * (images - 1))
            )
            freedom = np.where(spread > 0, total**2 / np.where(spread > 0, spread, 1), images - 1)
        return np.sqrt(np.maximum(square, (images + 2.0) ** -2)), np.maximum(freedom, 1.0)

    def images_needed(self, distances: Sequence[float], alpha: float) -> int | None:
        """Return how many images, with the same number of seeds, would tell the mean apart.

        Args:
            distances: Distances of the mean from the values to tell it from: none, one, or one on
                either side.
            alpha: Error rate of each end of the interval.

        Returns:
            A number with which an interval excludes these values with probability :data:`POWER` if
            the true mean is as observed, to two digits; None if no number is enough.
        """

        def precision(numbers: Numbers) -> tuple[Numbers, Numbers]:
            return self.precision(np.array([float(self.seeds)]), numbers)

        return _needed(precision, self.images, MOST_IMAGES, distances, alpha)

    def seeds_needed(self, distances: Sequence[float], alpha: float) -> int | None:
        """Return how many seeds, on the same images; see :meth:`images_needed`.

        None also with one seed, which does not show how much seeds differ.
        """

        def precision(numbers: Numbers) -> tuple[Numbers, Numbers]:
            return self.precision(numbers, np.array([float(self.images)]))

        if self.seeds == 1:
            return None
        return _needed(precision, self.seeds, MOST_SEEDS, distances, alpha)


def crossed_mean(differences: ArrayLike) -> CrossedMean:
    """Analyse paired differences.

    With one seed, ``image_square`` is the variance over images, and ``rest_square`` is 0.

    Args:
        differences: From −1 to 1, (S, N), N ≥ 2.

    >>> crossed_mean([[0.0, 1.0], [1.0, 4.0]])  # doctest: +NORMALIZE_WHITESPACE
    CrossedMean(mean=1.5, seeds=2, images=2, seed_square=4.0, image_square=4.0, rest_square=1.0)
    """
    each = np.asarray(differences, np.float64)
    seeds, images = each.shape
    mean = float(each.mean())
    by_seed, by_image = each.mean(1) - mean, each.mean(0) - mean
    image_square = seeds * float((by_image**2).sum()) / (images - 1)
    if seeds == 1:
        return CrossedMean(mean, 1, images, 0.0, image_square, 0.0)
    rest = each - mean - by_seed[:, None] - by_image
    return CrossedMean(
        mean,
        seeds,
        images,
        images * float((by_seed**2).sum()) / (seeds - 1),
        image_square,
        float((rest**2).sum()) / ((seeds - 1) * (images - 1)),
    )


def _needed(
    precision: Callable[[Numbers], tuple[Numbers, Numbers]],
    now: int,
    most: int,
    distances: Sequence[float],
    alpha: float,
) -> int | None:
    """Return the first number from ``now`` on at which the precision suffices."""
    if not distances or min(distances) <= 0:
        return None
    # The degrees of freedom fall as images are added, so the margin need not shrink all the way.
    grid = np.unique(np.ceil(np.geomspace(now, most, 500)))
    error, freedom = precision(grid)
    missed = np.sum([1 - _excluded(each / error, freedom, alpha) for each in distances], axis=0)
    enough = np.asarray(missed <= 1 - POWER)
    if not enough.any():
        return None
    return _two_digits(int(grid[int(np.argmax(enough))]))


def _excluded(ratio: Numbers, freedom: Numbers, alpha: float) -> Numbers:
    """Return the probability that an interval excludes a value below the true mean.

    Estimate and standard error are independent, so t has a noncentral distribution.

    Args:
        ratio: Distance of the value from the true mean, in standard errors.
        freedom: Degrees of freedom.
        alpha: Error rate of the end of the interval.

    >>> _excluded(np.array([0.0, 3.0]), np.array([9.0, 9.0]), 0.05).round(3)
    array([0.05 , 0.868])
    """
    from scipy import stats

    quantile, shift = _quantile(1 - alpha, freedom), np.minimum(ratio, 100.0)
    normal = stats.norm.sf(quantile - shift)  # where the other is slow, or lost in rounding
    with np.errstate(all="ignore"):
        exact = stats.nct.sf(quantile, np.minimum(freedom, 1e4), shift)
    usable = np.isfinite(exact) & (freedom < 1e4)
    return np.asarray(np.where(usable, exact, normal), np.float64)


def _two_digits(number: int) -> int:
    """Round up to two digits.

    >>> _two_digits(7), _two_digits(1234)
    (7, 1300)
    """
    unit: int = 10 ** max(0, len(str(number)) - 2)
    return -(-number // unit) * unit


def _quantile(share: float, freedom: Numbers) -> Numbers:
    from scipy import stats  # slow to import and rarely needed

    return np.asarray(stats.t.ppf(share, freedom), np.float64)
