"""A drawn figure with its text alternative, and how the figures show images."""

from __future__ import annotations

from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor

from verydeep.errors import ModelError
from verydeep.inspection.subject import Subject
from verydeep.nets.registry import PAPER_NETS
from verydeep.visualization.inspection.heatmap import as_array

SMALL = 10
"""Size of secondary text, in points."""


class Drawing(NamedTuple):
    """A figure and its text alternative."""

    figure: Figure
    alt: str


def check_blocks(subject: Subject) -> None:
    """Check that a net has the paper's blocks of convolutions.

    Raises:
        ModelError: It has others.
    """
    name = subject.model.net.name
    if name not in PAPER_NETS:
        raise ModelError(f"the figure shows the blocks of the paper's nets, not of net {name}")


def close_figure(size: tuple[float, float]) -> Figure:
    """Return a figure whose axes stand close together.

    Args:
        size: Width and height, in inches.
    """
    return Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03))


def show_image(axes: Any, pixels: Tensor) -> None:
    """Draw an image, uint8 (3, H, W), in pixel coordinates and without ticks."""
    _, height, width = pixels.shape
    axes.imshow(as_array(pixels), extent=(0, width, height, 0))
    bare(axes)


def show_map(axes: Any, values: Tensor, size: tuple[int, int], most: float | None = None) -> Any:
    """Draw a map over the extent of an image, dark at 0, bright at its maximum.

    Args:
        axes: The axes.
        values: Map, (h, w).
        size: Height and width of the image.
        most: Value at the end of the colour scale; None means the maximum.
    """
    height, width = size
    image = axes.imshow(
        values.numpy(),
        extent=(0, width, height, 0),
        cmap="viridis",
        vmin=0,
        vmax=most or float(values.max()) or 1.0,
        interpolation="nearest",
    )
    bare(axes)
    return image


def bare(axes: Any) -> None:
    """Remove ticks and spines, but keep labels."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def in_percent(share: float) -> str:
    """Return a share as a percentage, which is not rounded to 0 or to 100.

    >>> in_percent(0.256), in_percent(0.0042), in_percent(1e-5), in_percent(0.99999)
    ('26 %', '0.4 %', '<0.1 %', '>99.9 %')
    """
    percent = 100 * share
    if 0 < percent < 0.05:
        return "<0.1 %"
    if 99.95 < percent < 100:
        return ">99.9 %"
    return f"{percent:.0f} %" if percent >= 0.95 else f"{percent:.1f} %"
