"""Grid of small images with titles on a common colour scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from verydeep.visualization.plots.style import ORANGE, colour_scale

WIDTH = 4.4
"""Width of a drawing, in inches: 8-point text is 9 pixels high on a phone 360 pixels wide."""

DOTS = 200
"""Resolution, in dots per inch."""

HEAD = 0.22
"""Height of a title, in inches."""

SCALE = 0.84
"""Width of the colour bar with its numbers and its label, in inches."""

TALLEST = 2.5
"""Maximum ratio of height to width of a drawn image."""


class Tile(NamedTuple):
    """A small image.

    Attributes:
        values: Values (h, w) on the common colour scale, or colours (h, w, 3) from 0 to 1.
        title: Title above the image.
        place: Row and column marked with a ring; None for no mark.
    """

    values: NDArray[Any]
    title: str = ""
    place: tuple[int, int] | None = None


def draw_tiles(
    tiles: Sequence[Tile], columns: int, *, scale: tuple[float, float] | None, unit: str = ""
) -> Figure:
    """Draw small images in a grid.

    Args:
        tiles: Images of one shape.
        columns: Images per row.
        scale: Range of the colour scale (viridis); None for colour images.
        unit: Label of the colour bar.
    """
    height, width = tiles[0].values.shape[:2]
    ratio = min(height / width, TALLEST)
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    # Data coordinates: an image is 1 wide, plus a margin and space for its title.
    room = WIDTH - (SCALE if scale else 0.0)
    inch = columns * 1.06 / room
    head = HEAD * inch
    across, down = columns * 1.06, rows * (ratio + head) + 0.05 * inch
    figure = Figure(figsize=(WIDTH, down / inch), dpi=DOTS)
    axes = figure.add_axes((0, 0, room / WIDTH, 1))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        _draw_tile(axes, tile, (column * 1.06 + 0.03, row * (ratio + head) + head), ratio, scale)
    axes.set(xlim=(0, across), ylim=(down, 0), aspect="auto")
    axes.set_axis_off()
    if scale:
        # Above the bar, there is room for a power of ten.
        high = down / inch
        place = figure.add_axes((room / WIDTH + 0.012, 0.1 / high, 0.025, 1 - (0.1 + HEAD) / high))
        colour_scale(axes.images[0], place, unit, 9)
    return figure


def _draw_tile(
    axes: Any,
    tile: Tile,
    corner: tuple[float, float],
    ratio: float,
    scale: tuple[float, float] | None,
) -> None:
    x, y = corner
    low, high = scale or (None, None)
    axes.imshow(
        tile.values,
        extent=(x, x + 1, y + ratio, y),
        cmap="viridis",
        vmin=low,
        vmax=high,
        interpolation="nearest",
    )
    # parse_math: dollar signs in names are not formulas.
    axes.text(x, y - 0.015 * ratio, tile.title, fontsize=9, va="bottom", parse_math=False)
    if tile.place:
        height, width = tile.values.shape[:2]
        row, column = tile.place
        at = (x + (column + 0.5) / width, y + (row + 0.5) / height * ratio)
        # Without clipping, a ring at the edge would reach into a neighbour or a title.
        inside = Rectangle((x, y), 1, ratio, transform=axes.transData)
        for colour, line in (("white", 2.2), (ORANGE, 1.1)):
            (ring,) = axes.plot(*at, "o", mfc="none", mec=colour, ms=7, mew=line)
            ring.set_clip_path(inside)
