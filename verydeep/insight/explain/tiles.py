"""Small pictures in rows, each with words above it, all on one scale of colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from numpy.typing import NDArray

from verydeep.insight.drawing import ORANGE

WIDTH = 8.0
"""Of a drawing, in inches; what is drawn on it is read on a telephone as well."""

DOTS = 110
"""For an inch."""

TALLEST = 2.5
"""Times as high as wide a small picture is drawn at most."""


class Tile(NamedTuple):
    """A small picture.

    Attributes:
        values: (h, w), drawn in the common colours; or colours (h, w, 3) from 0 to 1.
        title: Above it.
        place: Row and column of what is marked with a ring; None marks nothing.
    """

    values: NDArray[Any]
    title: str = ""
    place: tuple[int, int] | None = None


def draw_tiles(
    tiles: Sequence[Tile], columns: int, *, scale: tuple[float, float] | None, unit: str = ""
) -> Figure:
    """Draw small pictures in rows.

    Args:
        tiles: The pictures, of one shape.
        columns: In a row.
        scale: Values of the first and the last colour of viridis; None for pictures in colours.
        unit: Words at the scale of colours.
    """
    height, width = tiles[0].values.shape[:2]
    ratio = min(height / width, TALLEST)
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    # The plane of the drawing: a small picture is 1 wide, and has a margin and room for words.
    step_x, step_y = 1.06, ratio + 0.2
    figure = Figure(figsize=(WIDTH, WIDTH * rows * step_y / (columns * step_x) + 0.1), dpi=DOTS)
    bar = 0.9 if scale else 0.0
    share = WIDTH / (WIDTH + bar)
    figure.set_size_inches(WIDTH, (figure.get_figheight()) * share)
    axes = figure.add_axes((0.005, 0.005, share - 0.005, 0.985))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        _draw_tile(axes, tile, column * step_x, row * step_y + 0.2, ratio, scale)
    axes.set(xlim=(0, columns * step_x), ylim=(rows * step_y + 0.02, 0), aspect="auto")
    axes.set_axis_off()
    if scale:
        _draw_scale(figure, axes, scale, unit, share)
    return figure


def _draw_tile(
    axes: Any, tile: Tile, x: float, y: float, ratio: float, scale: tuple[float, float] | None
) -> None:
    low, high = scale or (None, None)
    axes.imshow(
        tile.values,
        extent=(x, x + 1, y + ratio, y),
        cmap="viridis",
        vmin=low,
        vmax=high,
        interpolation="nearest",
    )
    axes.text(x, y - 0.03, tile.title, fontsize=10, va="bottom", ha="left")
    if tile.place:
        height, width = tile.values.shape[:2]
        row, column = tile.place
        at = (x + (column + 0.5) / width, y + (row + 0.5) / height * ratio)
        axes.plot(*at, "o", mfc="none", mec="white", ms=9, mew=2.6)
        axes.plot(*at, "o", mfc="none", mec=ORANGE, ms=9, mew=1.4)


def _draw_scale(
    figure: Figure, axes: Any, scale: tuple[float, float], unit: str, share: float
) -> None:
    place = figure.add_axes((share + 0.015, 0.08, 0.02, 0.84))
    bar = figure.colorbar(axes.images[0], cax=place)
    bar.set_label(unit, fontsize=10)
    bar.outline.set_visible(False)
    place.tick_params(labelsize=9)
