"""Confidence intervals of errors, and tests of the difference between two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


def wilson_interval(wrong: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson (1927) confidence interval of an error, in percent.

    It contains the true error in a share ``confidence`` of all samples. It stays within 0 and
    100 %, even with few images or no errors.

    >>> low, high = wilson_interval(50, 500)
    >>> round(low, 2), round(high, 2)
    (7.67, 12.94)
    """
    from scipy import stats  # slow to import and rarely needed

    interval = stats.binomtest(wrong, count).proportion_ci(confidence, method="wilson")
    return 100 * float(interval.low), 100 * float(interval.high)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Paired comparison of two tests on the same images (McNemar 1947).

    Attributes:
        only_first_wrong: Images that only the first got wrong.
        only_second_wrong: Images that only the second got wrong.
        p_value: Probability that equally good tests differ at least this much; exact, two-sided.
    """

    only_first_wrong: int
    only_second_wrong: int
    p_value: float


def mcnemar(first_wrong: ArrayLike, second_wrong: ArrayLike) -> Comparison:
    """Compare two tests by the images that only one of them got wrong.

    Args:
        first_wrong: bool (N,).
        second_wrong: bool (N,), for the same images.

    >>> mcnemar([True, True, False], [False, True, False])
    Comparison(only_first_wrong=1, only_second_wrong=0, p_value=1.0)
    """
    from scipy import stats

    one, other = np.asarray(first_wrong, np.bool_), np.asarray(second_wrong, np.bool_)
    first, second = int((one & ~other).sum()), int((other & ~one).sum())
    both = first + second
    p_value = float(stats.binomtest(first, both).pvalue) if both else 1.0
    return Comparison(first, second, p_value)
