"""The reliability diagram: how often the net is right, by how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from verydeep.evaluation.calibration import Bin, ranges
from verydeep.visualization.plots.style import BLUE, GREY, ORANGE, plain_axes


def draw_reliability(curves: Mapping[str, Sequence[Bin]]) -> Figure:
    """Draw accuracy over confidence with 95 % intervals, above the images in each range.

    Args:
        curves: Ranges by what to call them; two at most, as before and after a temperature.
    """
    figure = Figure(figsize=(5.5, 6.5), layout="constrained")
    upper, lower = figure.subplots(2, height_ratios=(3, 1), sharex=True)
    upper.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle="--", label="perfect")
    width = 0.8 / len(curves)
    for place, (name, bins) in enumerate(curves.items()):
        colour, marker = ((BLUE, "o"), (ORANGE, "s"))[place]
        found = ranges(bins)
        upper.plot(
            [100 * part.bin.confidence for part in found],
            [100 * part.bin.accuracy for part in found],
            color=colour,
            marker=marker,
            linewidth=1,
            clip_on=False,
            label=name,
        )
        upper.vlines(
            [100 * part.bin.confidence for part in found],
            [part.interval[0] for part in found],
            [part.interval[1] for part in found],
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
    upper.set(ylabel="right (%)", xlim=(0, 100), ylim=(0, 100))
    upper.legend(frameon=False, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, fontsize=9)
    lower.set(xlabel="probability of the likeliest class (%)", ylabel="images", yscale="log")
    lower.set_ylim(bottom=0.8)
    plain_axes(upper)
    plain_axes(lower)
    return figure
