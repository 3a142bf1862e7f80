"""What all drawings share: sober axes, and colours that all eyes tell apart."""

from __future__ import annotations

import math
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke
from matplotlib.text import Text

from verydeep.system.files import write_atomically
from verydeep.visualization.plots.fonts import letter

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#767676"
"""Of the palette of Okabe & Ito."""

DARK_PAPER, LIGHT_INK = "#161616", "#ececec"
"""Of drawings on a dark page, whose colours these are."""

DARK_INK = 0.3
"""Red, green and blue of letters that could not be read on it are below that."""


def save_picture(
    figure: Figure, path: Path, dots: int = 150, notes: Mapping[str, str | None] | None = None
) -> Path:
    """Write a figure, whole or not at all; its texts fall back to fonts of the system.

    Args:
        figure: What is drawn.
        path: Where to; its ending, ``.png`` or ``.svg``, is the format.
        dots: For an inch, of a PNG.
        notes: Kept within the file, such as its title.
    """
    kind = path.suffix.removeprefix(".")
    letter(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")
        write_atomically(
            path,
            lambda file: figure.savefig(
                file, format=kind, dpi=dots, metadata=notes, facecolor=figure.get_facecolor()
            ),
        )
    return path


def darken(figure: Figure) -> None:
    """Turn black letters and lines on white paper into light ones on dark paper.

    Args:
        figure: Drawn for a light page. Images, and what has a colour, stay as they are.
    """
    figure.patch.set_facecolor(DARK_PAPER)
    for text in figure.findobj(Text):
        if isinstance(text, Text) and max(to_rgb(text.get_color())) < DARK_INK:
            text.set_color(LIGHT_INK)
    for axes in figure.axes:
        axes.patch.set_facecolor(DARK_PAPER)
        axes.tick_params(which="both", color=LIGHT_INK, labelcolor=LIGHT_INK)
        for spine in axes.spines.values():
            spine.set_edgecolor(LIGHT_INK)


def plain_axes(axes: Any) -> None:
    """Take away what carries no information."""
    axes.spines[["top", "right"]].set_visible(False)


def outline(
    axes: Any,
    box: Sequence[float],
    colour: str,
    width: float,
    *,
    style: Any = "-",
    alpha: float = 1.0,
    halo: bool = True,
) -> None:
    """Draw a rectangle, empty.

    Args:
        axes: Where.
        box: x0, y0, x1, y1.
        colour: Of the line.
        width: Of the line, in points.
        style: Of the line.
        alpha: 1 covers what lies below.
        halo: Whether the line is rimmed in black, so that it shows on an image of any colour.
    """
    x0, y0, x1, y1 = box
    rim = [Stroke(linewidth=width + 1.4, foreground="black", alpha=0.6), Normal()]
    axes.add_patch(
        Rectangle(
            (x0, y0),
            x1 - x0,
            y1 - y0,
            fill=False,
            edgecolor=colour,
            linewidth=width,
            linestyle=style,
            alpha=alpha,
            path_effects=rim if halo else None,
        )
    )


def colour_scale(
    mappable: Any, place: Any, unit: str, letters: float, *, extend: str = "neither"
) -> None:
    """Draw a scale of colours, upright; a power of ten stands with its unit.

    Args:
        mappable: What is coloured.
        place: Axes of the scale.
        unit: Words beside it.
        letters: Their size, in points.
        extend: Whether values go beyond the colours, as Matplotlib has it.
    """
    bar: Any = place.figure.colorbar(mappable, cax=place, extend=extend)
    bar.outline.set_visible(False)
    place.tick_params(labelsize=letters)
    most = max(map(abs, mappable.get_clim()))
    power = math.floor(math.log10(most)) if most > 0 else 0
    if not -2 <= power < 3:
        bar.formatter = lambda value, _=None: number(value / 10**power)
        unit = f"{unit}\n×10{str(power).translate(RAISED)}"
    bar.set_label(unit, fontsize=letters)


RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, form: str = ".3g") -> str:
    """Return a number as it is printed, with a minus that is none of the hyphens.

    >>> number(-1.5), number(0.25, ".1f")
    ('−1.5', '0.2')
    """
    return format(value, form).replace("-", "−")


def shortened(name: str, longest: int) -> str:
    """Return so many letters of a name at most, the last of them an ellipsis if some are missing.

    East Asian letters, which are twice as wide, count as two.

    >>> shortened("Norwich terrier", 10), shortened("挪威梗犬", 6), shortened("cat", 3)
    ('Norwich t…', '挪威…', 'cat')
    """
    if sum(map(_letters_wide, name)) <= longest:
        return name
    ends = accumulate(map(_letters_wide, name))
    return "".join(sign for sign, end in zip(name, ends, strict=True) if end < longest) + "…"


def _letters_wide(sign: str) -> int:
    if unicodedata.category(sign) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1
