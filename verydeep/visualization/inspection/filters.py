"""Filters of the first convolution in colour."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from verydeep.inspection.activations import first_convolution, first_filters
from verydeep.inspection.subject import Subject
from verydeep.visualization.inspection.section import Panel, Section
from verydeep.visualization.inspection.tiles import Tile, draw_tiles
from verydeep.visualization.plots.style import number

LEGEND = 0.7
"""Height of the legend, in inches."""


def filters_section(subject: Subject) -> Section:
    """Draw all filters of the net's first convolution."""
    layer, weights = first_convolution(subject.model), first_filters(subject.model)
    height, width = weights.shape[2:]
    largest = float(weights.abs().max())
    norms = weights.flatten(1).norm(dim=1)
    count, strongest = len(weights), int(norms.argmax())
    return Section(
        name="filters",
        title="First-layer filters",
        lead=f"The weights of {layer} as colours: the patterns to which the filters respond most. "
        "Other convolutions read feature channels instead of colours and cannot be shown this way.",
        panels=(
            Panel(
                name="filters",
                title=f"{layer}: {count} filters of {height}x{width} pixels",
                alt=f"{count} filters of {height}x{width} coloured cells. Their weights range from "
                f"{float(weights.min()):.3g} to {float(weights.max()):.3g}; channel {strongest} "
                f"has the largest norm, {float(norms[strongest]):.3g}.",
                figure=_draw(weights.permute(0, 2, 3, 1).numpy(), largest),
                caption=f"Red, green and blue each range from {number(-largest)} (dark) through 0 "
                f"(half) to {largest:.3g} (full) in all filters; grey means 0 in all three. The "
                "numbers are channels.",
            ),
        ),
        facts={
            "layer": layer,
            "filters": count,
            "largest": largest,
            "norms": norms.tolist(),
        },
    )


def _draw(weights: NDArray[np.float32], largest: float) -> Figure:
    colours = 0.5 + weights / (2 * largest or 1.0)
    tiles = [Tile(colour, str(channel)) for channel, colour in enumerate(colours)]
    figure = draw_tiles(tiles, 8, scale=None)
    _draw_legend(figure, largest)
    return figure


def _draw_legend(figure: Figure, largest: float) -> None:
    """Draw a legend below: the colour of each weight while the other two are 0."""
    above = figure.get_figheight()
    figure.set_figheight(above + LEGEND)
    for axes in figure.axes:
        axes.set_position((0, LEGEND / (above + LEGEND), 1, above / (above + LEGEND)))
    ramp = np.linspace(0, 1, 64)
    for channel, name in enumerate(("red", "green", "blue")):
        colours = np.full((1, 64, 3), 0.5)
        colours[0, :, channel] = ramp
        axes = figure.add_axes(
            (0.03 + 0.33 * channel, 0.3 / (above + LEGEND), 0.27, 0.13 / (above + LEGEND))
        )
        axes.imshow(colours, extent=(-largest, largest, 0, 1), aspect="auto")
        axes.set_yticks([])
        axes.set_xticks([-largest, 0, largest], [number(x, ".2g") for x in (-largest, 0, largest)])
        axes.tick_params(labelsize=8)
        axes.set_title(f"weight of {name}", fontsize=8, pad=3)
