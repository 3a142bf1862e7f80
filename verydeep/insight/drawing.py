"""What all drawings share: sober axes, and colours that all eyes tell apart."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from verydeep.files import write_atomically

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#767676"
"""Of the palette of Okabe & Ito."""


def save_picture(
    figure: Figure, path: Path, dots: int = 150, notes: Mapping[str, str | None] | None = None
) -> Path:
    """Write a figure, whole or not at all; letters that the font lacks become boxes.

    Args:
        figure: What is drawn.
        path: Where to; its ending, ``.png`` or ``.svg``, is the format.
        dots: For an inch, of a PNG.
        notes: Kept within the file, such as its title.
    """
    kind = path.suffix.removeprefix(".")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")
        write_atomically(
            path, lambda file: figure.savefig(file, format=kind, dpi=dots, metadata=notes)
        )
    return path


def plain_axes(axes: Any) -> None:
    """Take away what carries no information."""
    axes.spines[["top", "right"]].set_visible(False)
