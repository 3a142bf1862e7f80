"""Shared style of the plots: plain axes, a colour-blind safe palette, file output."""

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

from verydeep.system.files import encodable, write_atomically
from verydeep.visualization.plots.fonts import use_fallback_fonts
from verydeep.visualization.plots.svg import SUPERSCRIPT

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#767676"
"""Colours of the Okabe-Ito palette."""

DARK_PAPER, LIGHT_INK = "#161616", "#ececec"
"""Background and text colours of the dark theme."""

DARK_INK = 0.3
"""Text whose red, green and blue are all below this is recoloured in the dark theme."""


def save_figure(
    figure: Figure, path: Path, dots: int = 150, notes: Mapping[str, str | None] | None = None
) -> Path:
    """Write a figure atomically, with system fonts for characters that the main font lacks.

    Args:
        figure: The figure.
        path: Output file; its suffix, ``.png`` or ``.svg``, selects the format.
        dots: Resolution of a PNG, in dots per inch.
        notes: Metadata of the file, such as its title.
    """
    kind = path.suffix.removeprefix(".")
    texts = {key: note and encodable(note) for key, note in (notes or {}).items()}
    use_fallback_fonts(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")
        write_atomically(
            path,
            lambda file: figure.savefig(
                file, format=kind, dpi=dots, metadata=texts, facecolor=figure.get_facecolor()
            ),
        )
    return path


def darken(figure: Figure) -> None:
    """Recolour black text and lines for a dark page; images and coloured parts stay.

    Args:
        figure: Figure drawn for a light page.
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
    """Hide the upper and right spines."""
    axes.spines[["top", "right"]].set_visible(False)


def outline(
    axes: Any,
    box: Sequence[float],
    colour: str,
    width: float,
    *,
    halo: bool = True,
    **style: Any,
) -> None:
    """Draw the outline of a rectangle.

    Args:
        axes: The axes.
        box: x0, y0, x1, y1.
        colour: Line colour.
        width: Line width, in points.
        halo: Whether the line has a black rim, so that it is visible on any image.
        style: Other properties of Matplotlib's ``Rectangle``, such as ``ls`` and ``alpha``.
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
            path_effects=rim if halo else None,
            **style,
        )
    )


def colour_scale(
    mappable: Any, place: Any, unit: str, letters: float, *, extend: str = "neither"
) -> None:
    """Draw a vertical colour bar, with a power of ten above it where the values need one.

    Args:
        mappable: The coloured artist.
        place: Axes of the colour bar, with room above for a line of text.
        unit: Label.
        letters: Font size, in points.
        extend: Matplotlib's ``extend``: whether values exceed the colour range.
    """
    bar: Any = place.figure.colorbar(mappable, cax=place, extend=extend)
    bar.outline.set_visible(False)
    place.tick_params(labelsize=letters)
    most = max(map(abs, mappable.get_clim()))
    power = math.floor(math.log10(most)) if most > 0 else 0
    if not -1 <= power < 3:
        bar.formatter = lambda value, _=None: number(value / 10**power)
        # Beside the unit, it would leave a narrow figure.
        place.set_title(f"×10{str(power).translate(SUPERSCRIPT)}", fontsize=letters, pad=3)
    bar.set_label(unit, fontsize=letters)


def number(value: float, form: str = ".3g") -> str:
    """Return a formatted number with a true minus sign.

    >>> number(-1.5), number(0.25, ".1f")
    ('−1.5', '0.2')
    """
    return format(value, form).replace("-", "−")


def brief_number(value: float) -> str:
    """Return a number in few characters: two digits, or all before the decimal point.

    >>> brief_number(0.123), brief_number(-12.3), brief_number(1234.5), brief_number(1.2e7)
    ('0.12', '−12', '1,234', '1.2e+07')
    """
    return number(value, ",.0f" if 99.5 <= abs(value) < 1e6 else ".2g")


def shortened(name: str, longest: int) -> str:
    """Return a name of at most ``longest`` characters; a shortened one ends in an ellipsis.

    East Asian characters, which are twice as wide, count as two.

    >>> shortened("Norwich terrier", 10), shortened("挪威梗犬", 6), shortened("cat", 3)
    ('Norwich t…', '挪威…', 'cat')
    """
    ends = [*accumulate(map(_width, name))]
    if not ends or ends[-1] <= longest:
        return name
    return "".join(char for char, end in zip(name, ends, strict=True) if end < longest) + "…"


def _width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
