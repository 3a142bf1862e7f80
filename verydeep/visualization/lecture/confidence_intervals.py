"""Confidence intervals of a measured error: their width and their coverage.

n images, of which w are wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from scipy import stats

from verydeep.evaluation.significance import wilson_interval
from verydeep.visualization.lecture.theme import soft_colour

Interval = Callable[[int, int], tuple[float, float]]
"""Function of w and n that returns the ends of a 95 % interval, in percent."""

ERRORS = (5.0, 15.0, 30.0)
"""Errors whose intervals are drawn, in percent."""

SMALL = 100
"""Number of test images in the coverage plot."""


def wald_interval(wrong: int, count: int) -> tuple[float, float]:
    """Return the textbook (Wald) 95 % interval, in percent: error ± 1.96 standard errors.

    >>> wald_interval(0, 20)
    (0.0, 0.0)
    """
    share = wrong / count
    half = float(stats.norm.ppf(0.975)) * (share * (1 - share) / count) ** 0.5
    return 100 * (share - half), 100 * (share + half)


def half_width(error: float, count: int) -> float:
    """Return half the width of the Wilson interval, in points.

    Args:
        error: Error in percent, rounded to a multiple of 1/``count``.
        count: Number of images.

    >>> round(half_width(15.0, 500), 1)
    3.1
    """
    low, high = wilson_interval(round(error * count / 100), count)
    return (high - low) / 2


def coverage(interval: Interval, count: int, errors: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return the exact coverage of an interval, in percent, under a binomial distribution.

    Args:
        interval: Interval function.
        count: Number of test images.
        errors: True errors, in percent.
    """
    ends = np.array([interval(wrong, count) for wrong in range(count + 1)])
    true = np.asarray(errors)[:, None]
    holds = (ends[:, 0] <= true) & (true <= ends[:, 1])
    chance = stats.binom.pmf(np.arange(count + 1), count, true / 100)
    shares: npt.NDArray[np.float64] = 100 * (chance * holds).sum(1)
    return shares


def draw_intervals() -> Figure:
    """Draw the width of the Wilson interval, and the coverage of Wilson and Wald intervals."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_widths(left)
    _draw_coverage(right)
    return figure


def _draw_widths(axes: Any) -> None:
    counts = np.unique(np.logspace(2, 5, 61).round(-1).astype(int))
    for index, (error, style) in enumerate(zip(ERRORS, ("-", "--", "-."), strict=True)):
        widths = [half_width(error, int(count)) for count in counts]
        axes.plot(counts, widths, color=f"C{index}", ls=style, label=f"error {error:g} %")
    for count, name in ((500, "500"), (50_000, "ImageNet val")):
        axes.plot([count, count], [1, 12], color=soft_colour(), lw=1.2, ls=":")
        axes.text(count * 0.93, 11, name, rotation=90, ha="right", va="top", fontsize=11)
    axes.set(xscale="log", yscale="log", xlim=(100, 1e5), ylim=(0.1, 12))
    axes.set_yticks([0.1, 0.2, 0.5, 1, 2, 5, 10], ["0.1", "0.2", "0.5", "1", "2", "5", "10"])
    axes.minorticks_off()
    axes.set(xlabel="test images", ylabel="half width of the interval (points)")
    axes.set_title("Wilson 95 % interval")
    axes.grid(alpha=0.25)
    axes.legend(loc="lower left")


def _draw_coverage(axes: Any) -> None:
    errors = np.linspace(0.1, 30, 300)
    for name, interval, look in (
        ("Wilson", wilson_interval, {"color": "C0", "ls": "-", "lw": 2}),
        ("Wald: ± 1.96 standard errors", wald_interval, {"color": "C1", "ls": "--", "lw": 1.2}),
    ):
        axes.plot(errors, coverage(interval, SMALL, errors.tolist()), label=name, **look)
    axes.axhline(95, color=soft_colour(), lw=1.2, ls=":")
    axes.text(29.8, 96.6, "nominal: 95 %", ha="right", va="bottom", fontsize=11)
    axes.set(xlabel="true error (%)", ylabel="coverage (%)")
    axes.set(xlim=(0, 30), ylim=(50, 102))
    axes.set_title(f"{SMALL} images")
    axes.legend(loc="lower right")
