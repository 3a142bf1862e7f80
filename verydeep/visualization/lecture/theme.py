"""Light and dark themes with colour-blind safe palettes.

Figures use only the colours ``C0`` to ``C4``, which a theme maps to the Okabe-Ito palette, darkened
or lightened where text needs more contrast with the page.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
from cycler import cycler

from verydeep.visualization.plots.style import BLUE, ORANGE

LIGHT = ("#1b1b1b", "#ffffff", "#767676", (BLUE, ORANGE, "#009e73", "#a85485", "#1b1b1b"))
DARK = ("#ececec", "#161616", "#9a9a9a", ("#56b4e9", "#e69f00", "#18b98b", "#cc79a7", "#f0e442"))
"""Colours of text, page and secondary lines, and the palette."""


def theme(*, dark: bool = False) -> AbstractContextManager[None]:
    """Return a context for drawing and saving figures for a light or a dark page."""
    ink, paper, soft, palette = DARK if dark else LIGHT
    inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    papered = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
    settings: Any = {
        **dict.fromkeys(inked, ink),
        **dict.fromkeys(papered, paper),
        "grid.color": soft,
        "grid.alpha": 0.35,
        "axes.prop_cycle": cycler(color=palette),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.family": ["DejaVu Sans"],
        "font.size": 12,
        "axes.titlesize": 12,
        "legend.frameon": False,
        "figure.constrained_layout.w_pad": 0.1,
        "figure.constrained_layout.h_pad": 0.1,
        "lines.linewidth": 2,
        # Makes SVG identifiers, and thus the file, reproducible.
        "svg.hashsalt": "verydeep",
    }
    context: AbstractContextManager[None] = mpl.rc_context(settings)
    return context


def soft_colour() -> str:
    """Return the colour of secondary lines in the current theme."""
    return str(mpl.rcParams["grid.color"])


def paper_colour() -> str:
    """Return the colour of the page in the current theme."""
    return str(mpl.rcParams["axes.facecolor"])
