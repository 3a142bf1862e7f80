"""Heat maps: an image, its map, and the map as an overlay, side by side."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from verydeep.inspection.heatmap import half_area, peak, strongest_ninth
from verydeep.visualization.inspection.tiles import DOTS, WIDTH
from verydeep.visualization.plots.style import ORANGE, colour_scale

Pixels = NDArray[Any]

LETTERS = 8
"""Font size, in points."""

ONE_SIGN, TWO_SIGNS = "viridis", "PuOr"
"""Colour-blind safe colour maps for non-negative and for signed values."""

ROOM = 0.95
"""Width reserved for the colour bar, in inches."""


def as_array(pixels: Tensor) -> Pixels:
    """Return colours (H, W, 3) from an image (3, H, W)."""
    return pixels.permute(1, 2, 0).numpy()


def draw_heat(
    pixels: Tensor, heat: Tensor, unit: str, *, signed: bool = False, most: float | None = None
) -> Figure:
    """Draw an image, a map, and the map over the grey image.

    Args:
        pixels: Image, uint8 (3, H, W).
        heat: Map, (H, W).
        unit: Label of the colour bar.
        signed: Whether negative values have their own colours.
        most: Value at the end of the colour scale, which clips larger ones; None means the maximum.
    """
    values = heat.numpy()
    most = most or float(np.abs(values).max() if signed else values.max()) or 1.0
    norm = Normalize(-most if signed else 0, most)
    colours = colormaps[TWO_SIGNS if signed else ONE_SIGN]
    drawn = colours(norm(values))[..., :3]
    weight = np.clip(np.abs(values) / most, 0, 1)[..., None] ** 0.5 * 0.8
    grey = np.repeat((as_array(pixels) @ [0.299, 0.587, 0.114] / 255)[..., None], 3, 2)
    over = grey * (1 - weight) + drawn * weight
    figure, (first, second, third) = image_row(pixels.shape[-2:], 3, ROOM)
    show(first, as_array(pixels), "image")
    show(second, drawn, "map")
    show(third, over, "overlay")
    x, y, _ = peak(heat)
    for axes in (second, third):
        axes.plot(x + 0.5, y + 0.5, "o", mfc="none", mec="white", ms=8, mew=2.4)
        axes.plot(x + 0.5, y + 0.5, "o", mfc="none", mec=ORANGE, ms=8, mew=1.2)
    extend = "max" if float(values.max()) > most * 1.001 else "neither"
    _scale(figure, ScalarMappable(norm, colours), unit, extend)
    return figure


def image_row(shape: Any, count: int, room: float = 0.0) -> tuple[Figure, list[Any]]:
    """Return a figure with a row of axes for images of one shape, each with room for a title.

    Args:
        shape: Height and width of the images.
        count: Number of images.
        room: Width kept free on the right, in inches.
    """
    height, width = shape
    gap, head = 0.08, 0.24
    side = (WIDTH - room - gap * (count - 1)) / count
    high = side * min(2.5, height / width)
    figure = Figure(figsize=(WIDTH, high + head), dpi=DOTS)
    places = [
        figure.add_axes(
            (number * (side + gap) / WIDTH, 0, side / WIDTH, high / (high + head)), anchor="NW"
        )
        for number in range(count)
    ]
    return figure, places


def show(
    axes: Any,
    image: Pixels,
    title: str,
    *,
    smooth: bool = False,
    size: tuple[int, int] | None = None,
) -> None:
    """Draw an image with a title and without ticks.

    Args:
        axes: The axes.
        image: Colours, (H, W, 3).
        title: Title above the image.
        smooth: Whether to interpolate between pixels.
        size: Height and width in data coordinates; None means those of the image.
    """
    height, width = size or image.shape[:2]
    axes.imshow(
        image,
        extent=(0, width, height, 0),
        interpolation="bicubic" if smooth else "nearest" if height < 300 else "antialiased",
    )
    axes.set_title(title, fontsize=LETTERS, loc="left", pad=3, parse_math=False)
    axes.set_axis_off()


def _scale(figure: Figure, mappable: Any, unit: str, extend: str) -> None:
    low = figure.get_figheight() < 1.6  # too low for the label in one line
    high = 0.66 if low else 0.8
    place = figure.add_axes(((WIDTH - ROOM + 0.1) / WIDTH, 0.05, 0.1 / WIDTH, high))
    label = textwrap.fill(unit, 10) if low else unit
    colour_scale(mappable, place, label, LETTERS, extend=extend)


def in_words(heat: Tensor) -> str:
    """Return the location and the spread of a map in two sentences.

    >>> import torch
    >>> in_words(torch.eye(3))
    'The peak is at x = 1, y = 1 (1). The upper left ninth holds 33 % of the total, and 22 % of \
the area holds half of it.'
    """
    top = peak(heat)
    if top.value <= 0:
        return "The map is nowhere positive."
    ninth, share = strongest_ninth(heat)
    return (
        f"The peak is at x = {top.x}, y = {top.y} ({top.value:.2g}). The {ninth} ninth holds "
        f"{100 * share:.0f} % of the total, and {100 * half_area(heat):.0f} % of the area holds "
        "half of it."
    )


def heat_facts(heat: Tensor) -> dict[str, Any]:
    """Return the same facts as plain values."""
    ninth, share = strongest_ninth(heat)
    return {
        "peak": peak(heat)._asdict(),
        "strongest_ninth": ninth,
        "strongest_ninth_share": share,
        "half_area": half_area(heat),
    }
