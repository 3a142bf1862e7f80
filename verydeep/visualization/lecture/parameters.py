"""Parameters of the six nets by layer (sections 2.1 and 2.3, Tables 1 and 2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from verydeep.nets.anatomy import anatomy
from verydeep.nets.registry import SIX
from verydeep.visualization.lecture.theme import paper_colour

GROUPS = ("convolutions", "fc8", "fc7", "fc6")
"""Groups of layers, from the bottom of the bars."""


def parameters_by_layer(name: str) -> dict[str, int]:
    """Return the parameters of each layer that has any, for 1000 classes at 224 pixels.

    >>> parameters_by_layer("D")["fc6"]
    102764544
    """
    parts = anatomy(name).parts
    return {part.layer.name: part.parameters for part in parts if part.parameters}


def parameters_by_group(name: str) -> dict[str, int]:
    """Return the parameters by group, with all convolutions as one group.

    >>> parameters_by_group("A")["convolutions"]
    9220480
    """
    layers = parameters_by_layer(name)
    groups = {group: layers.get(group, 0) for group in GROUPS}
    groups["convolutions"] = sum(layers.values()) - sum(groups.values())
    return groups


def draw_parameters() -> Figure:
    """Draw the totals of each net as stacked bars above a table of all layers."""
    figure = Figure(figsize=(9, 10.5), layout="constrained")
    upper, lower = figure.subplots(2, height_ratios=(1, 2.1), sharex=True)
    _draw_sums(upper)
    _draw_table(lower)
    return figure


def _draw_sums(axes: Any) -> None:
    heights = np.zeros(len(SIX))
    for index, group in enumerate(GROUPS):
        millions = [parameters_by_group(name)[group] / 1e6 for name in SIX]
        axes.bar(range(len(SIX)), millions, 0.62, heights, color=f"C{index}", label=group)
        heights += millions
    for x, height in enumerate(heights):
        axes.text(x, height + 2, f"{height:.1f}", ha="center", va="bottom")
    axes.set_ylabel("parameters (millions)")
    axes.set_ylim(0, 165)
    axes.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    axes.tick_params(bottom=False, labelbottom=False)


def _draw_table(axes: Any) -> None:
    nets = [parameters_by_layer(name) for name in SIX]
    layers = list(dict.fromkeys(sorted(layer for net in nets for layer in net)))
    counts = np.array([[net.get(layer, np.nan) for net in nets] for layer in layers])
    norm = LogNorm(1e3, 2e8)
    axes.imshow(counts, cmap="cividis", norm=norm, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        if not np.isnan(count):
            colour = "white" if norm(count) < 0.47 else "black"
            shown = short(int(count))
            axes.text(column, row, shown, ha="center", va="center", color=colour, fontsize=11)
    axes.set_yticks(range(len(layers)), layers, fontsize=11)
    axes.set_xticks(range(len(SIX)), SIX)
    axes.set(xlabel="net", ylabel="layer")
    axes.set_title("parameters by layer (k: thousands, M: millions)")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    _rule(axes, *counts.shape)


def _rule(axes: Any, rows: int, columns: int) -> None:
    """Separate the cells by lines in the page colour."""
    for row in range(1, rows):
        axes.axhline(row - 0.5, color=paper_colour(), lw=1.5)
    for column in range(1, columns):
        axes.axvline(column - 0.5, color=paper_colour(), lw=1.5)


def short(count: int) -> str:
    """Return a count in thousands or millions with three digits.

    >>> short(1792), short(147584), short(102764544)
    ('1.79 k', '148 k', '103 M')
    """
    value, unit = (count / 1e6, "M") if count >= 1e6 else (count / 1e3, "k")
    places = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{places}f} {unit}"
