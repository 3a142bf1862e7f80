"""Confusion matrix as a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from verydeep.visualization.plots.fonts import key_to_numbers, name_or_number
from verydeep.visualization.plots.style import shortened

MOST_NAMES, MOST_NUMBERS = 60, 25
"""Largest numbers of classes with legible names, and with legible counts in the cells."""

LONGEST = 30
"""Maximum length of a name beside the matrix, in characters."""


def draw_confusion(confusion: ArrayLike, names: Sequence[str]) -> Figure:
    """Draw the share of each true class (rows) that was predicted as each class (columns).

    Args:
        confusion: Counts, int64 (K, K).
        names: Names of the K classes; ``no. 3`` replaces the third if no font covers it.
    """
    counts = np.asarray(confusion)
    images = counts.sum(1, keepdims=True)
    share = 100 * counts / np.maximum(images, 1)
    classes = len(names)
    side = min(14.0, max(5.0, 0.34 * classes + 2.5)) if classes <= MOST_NAMES else 10.0
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=100, interpolation="nearest")
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class (%)")
    axes.set(xlabel="predicted class", ylabel="true class")
    if classes <= MOST_NAMES:
        drawn = [
            shortened(name_or_number(name, number), LONGEST)
            for number, name in enumerate(names, start=1)
        ]
        # parse_math: dollar signs in names are not formulas.
        slanted: Any = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(range(classes), drawn, **slanted, parse_math=False)
        axes.set_yticks(range(classes), drawn, parse_math=False)
        if key_to_numbers(dict(enumerate(names, start=1))):
            axes.set_xlabel("predicted class (no. 1: first line of classes.csv)")
    if classes <= MOST_NUMBERS:
        for row, column in np.argwhere(counts > 0):
            dark = share[row, column] > 55
            axes.text(
                column,
                row,
                f"{counts[row, column]:,}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if dark else "black",
            )
    return figure
