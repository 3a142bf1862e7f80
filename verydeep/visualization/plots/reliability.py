"""Reliability diagram: accuracy against confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from verydeep.evaluation.calibration import Bin, ranges
from verydeep.visualization.plots.style import BLUE, GREY, ORANGE, plain_axes


def draw_reliability(curves: Mapping[str, Sequence[Bin]]) -> Figure:
    """Draw accuracy against confidence with 95 % intervals, and a histogram of the confidence.

    Args:
        curves: Confidence bins by label; at most two, such as before and after calibration.
    """
    figure = Figure(figsize=(5.5, 6.5), layout="constrained")
    upper, lower = figure.subplots(2, height_ratios=(3, 1), sharex=True)
    upper.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle="--", label="perfect")
    width = 0.8 / len(curves)
    for place, (name, bins) in enumerate(curves.items()):
        colour, marker = ((BLUE, "o"), (ORANGE, "s"))[place]
        filled = ranges(bins)
        confidences = [100 * part.bin.confidence for part in filled]
        upper.plot(
            confidences,
            [100 * part.bin.accuracy for part in filled],
            color=colour,
            marker=marker,
            linewidth=1,
            clip_on=False,
            label=name,
        )
        upper.vlines(
            confidences,
            *zip(*(part.interval for part in filled), strict=True),
            color=colour,
            linewidth=4,
            alpha=0.25,
        )
        offset = (0.1 + width * (place + 0.5)) / len(bins)
        lower.bar(
            [100 * (part.low + offset) for part in bins],
            [part.images for part in bins],
            width=100 * width / len(bins),
            color=colour,
        )
    upper.set(ylabel="accuracy (%)", xlim=(0, 100), ylim=(0, 100))
    upper.legend(frameon=False, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, fontsize=9)
    lower.set(xlabel="confidence: probability of the predicted class (%)", ylabel="images")
    lower.set_yscale("log")
    lower.set_ylim(bottom=0.8)
    plain_axes(upper)
    plain_axes(lower)
    return figure
