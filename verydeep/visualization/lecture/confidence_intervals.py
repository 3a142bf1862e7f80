"""How sure an error is that was measured on so many images: intervals and what they hold.

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
"""From w and n to the ends of a 95 % interval, in percent."""

ERRORS = (5.0, 15.0, 30.0)
"""In percent; those whose intervals are drawn."""

SMALL = 100
"""Images of the test whose intervals are counted."""


def wald_interval(wrong: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of the textbooks, in percent: the error ± 1.96 standard errors.

    >>> wald_interval(0, 20)
    (0.0, 0.0)
    """
    share = wrong / count
    half = float(stats.norm.ppf(0.975)) * (share * (1 - share) / count) ** 0.5
    return 100 * (share - half), 100 * (share + half)


def half_width(error: float, count: int) -> float:
    """Return half the length of Wilson's interval, in points.

    Args:
        error: In percent; as near to it as ``count`` images come.
        count: Images.

    >>> round(half_width(15.0, 500), 1)
    3.1
    """
    low, high = wilson_interval(round(error * count / 100), count)
    return (high - low) / 2


def coverage(interval: Interval, count: int, errors: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return how often, in percent, an interval holds the true error; exact, by the binomial.

    Args:
        interval: The rule.
        count: Images of the test.
        errors: True errors, in percent.
    """
    ends = np.array([interval(wrong, count) for wrong in range(count + 1)])
    true = np.asarray(errors)[:, None]
    holds = (ends[:, 0] <= true) & (true <= ends[:, 1])
    chance = stats.binom.pmf(np.arange(count + 1), count, true / 100)
    shares: npt.NDArray[np.float64] = 100 * (chance * holds).sum(1)
    return shares


def draw_intervals() -> Figure:
    """Draw the width of Wilson's interval, and how often it and the textbooks' hold the truth."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_widths(left)
    _draw_coverage(right)
    return figure


def _draw_widths(axes: Any) -> None:
    counts = np.unique(np.logspace(2, 5, 61).round(-1).astype(int))
    for place, error in enumerate(ERRORS):
        widths = [half_width(error, int(count)) for count in counts]
        look = ("-", "--", "-.")[place]
        axes.plot(counts, widths, color=f"C{place}", ls=look, label=f"error {error:g} %")
    for count, name in ((500, "500"), (50_000, "ImageNet's val")):
        axes.plot([count, count], [1, 12], color=soft_colour(), lw=1.2, ls=":")
        axes.text(count * 0.93, 11, name, rotation=90, ha="right", va="top", fontsize=11)
    axes.set(xscale="log", yscale="log", xlim=(100, 1e5), ylim=(0.1, 12))
    axes.set_yticks([0.1, 0.2, 0.5, 1, 2, 5, 10], ["0.1", "0.2", "0.5", "1", "2", "5", "10"])
    axes.minorticks_off()
    axes.set(xlabel="images of the test", ylabel="half width of the interval (points)")
    axes.set_title("Wilson's 95 % interval")
    axes.grid(alpha=0.25)
    axes.legend(loc="lower left")


def _draw_coverage(axes: Any) -> None:
    errors = np.linspace(0.1, 30, 300)
    rules = (("Wilson", wilson_interval), ("error ± 1.96 standard errors", wald_interval))
    for place, (name, interval) in enumerate(rules):
        shares = coverage(interval, SMALL, errors.tolist())
        axes.plot(
            errors, shares, color=f"C{place}", ls=("-", "--")[place], lw=(2, 1.2)[place], label=name
        )
    axes.axhline(95, color=soft_colour(), lw=1.2, ls=":")
    axes.text(29.8, 96.6, "promised: 95 %", ha="right", va="bottom", fontsize=11)
    axes.set(xlabel="true error (%)", ylabel="intervals that hold it (%)")
    axes.set(xlim=(0, 30), ylim=(50, 102))
    axes.set_title(f"{SMALL} images")
    axes.legend(loc="lower right")
