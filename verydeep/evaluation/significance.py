"""How much an error can be trusted, and whether two errors differ: intervals and tests."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


def wilson_interval(wrong: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of an error, in percent, after Wilson (1927).

    It holds the true error in ``confidence`` of all samples, and stays within 0 and 100 %, also
    for few images or none wrong.

    >>> low, high = wilson_interval(50, 500)
    >>> round(low, 2), round(high, 2)
    (7.67, 12.94)
    """
    from scipy import stats  # slow to import, and all else does without it

    interval = stats.binomtest(wrong, count).proportion_ci(confidence, method="wilson")
    return 100 * float(interval.low), 100 * float(interval.high)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two tests of the same images, paired (McNemar 1947).

    Attributes:
        only_first_wrong: Images that the first got wrong and the second right.
        only_second_wrong: The reverse.
        p_value: Probability that equally good tests differ at least as much; exact, two-sided.
    """

    only_first_wrong: int
    only_second_wrong: int
    p_value: float


def mcnemar(first_wrong: Tensor, second_wrong: Tensor) -> Comparison:
    """Compare two tests by the images on which only one of them is wrong.

    Args:
        first_wrong: bool (N,).
        second_wrong: bool (N,), of the same images.

    >>> import torch
    >>> mcnemar(torch.tensor([True, True, False]), torch.tensor([False, True, False]))
    Comparison(only_first_wrong=1, only_second_wrong=0, p_value=1.0)
    """
    from scipy import stats

    first = int((first_wrong & ~second_wrong).sum())
    second = int((second_wrong & ~first_wrong).sum())
    both = first + second
    p_value = float(stats.binomtest(first, both).pvalue) if both else 1.0
    return Comparison(first, second, p_value)
