"""Confidence intervals of the difference between two tests on the same images.

N images, K classes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from verydeep.evaluation.label_metrics import (
    average_precisions,
    mean_of_known,
    middle_of,
    resampled_means,
)

Z = 1.959964
"""Quantile of the normal distribution for 95 %."""


def error_difference(
    only_first_wrong: int, only_second_wrong: int, images: int
) -> tuple[float, tuple[float, float]]:
    """Return how much more the second test errs, in points, with its 95 % confidence interval.

    The interval is that of Agresti & Min (2005): half an image is added to each of the four cells,
    so that it has a width even if the tests never differ. It stays within -100 and 100.

    Args:
        only_first_wrong: Images that only the first test got wrong.
        only_second_wrong: Images that only the second got wrong.
        images: N.

    >>> difference, (low, high) = error_difference(5, 15, 500)
    >>> difference, round(low, 2), round(high, 2)
    (2.0, 0.21, 3.77)
    """
    first, second, count = only_first_wrong + 0.5, only_second_wrong + 0.5, images + 2
    mean = (second - first) / count
    deviation = math.sqrt(first + second - (second - first) ** 2 / count) / count
    low, high = max(-1.0, mean - Z * deviation), min(1.0, mean + Z * deviation)
    return 100 * (only_second_wrong - only_first_wrong) / images, (100 * low, 100 * high)


def mean_difference(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> tuple[float, tuple[float, float]]:
    """Return the mean of second − first, with its 95 % confidence interval.

    Args:
        first: Values of N ≥ 2 images, (N,).
        second: Values of the same images, (N,).
    """
    each = second - first
    mean = float(each.mean())
    margin = Z * float(each.std(ddof=1)) / math.sqrt(len(each)) if len(each) > 1 else math.inf
    return mean, (mean - margin, mean + margin)


def precision_difference(
    first: NDArray[np.float32], second: NDArray[np.float32], truth: NDArray[np.bool_]
) -> tuple[float, tuple[float, float]]:
    """Return how much higher the second mean average precision is, in points, with its interval.

    The 95 % interval is a bootstrap over images: both tests are measured on the same resamples. It
    is that of :func:`verydeep.evaluation.label_metrics.middle_of`.

    Args:
        first: Posteriors of the first test, (N, K).
        second: Posteriors of the second test, (N, K).
        truth: True for the classes of each image, (N, K).
    """
    means = [mean_of_known(average_precisions(likely, truth)) for likely in (first, second)]
    measured = means[1] - means[0]
    resampled = resampled_means(second, truth) - resampled_means(first, truth)
    low, high = middle_of(resampled, measured, least=-1.0)
    return 100 * measured, (100 * low, 100 * high)
