"""Intersection over union (IoU) of shifted and resized boxes."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from verydeep.localization.box_geometry import iou, to_corners
from verydeep.localization.protocol import CORRECT_ABOVE
from verydeep.visualization.lecture.theme import soft_colour

LARGEST = 3.0
"""Side of the largest drawn box relative to the true box; the smallest is its reciprocal."""


def overlap_of_squares(right: Tensor, down: Tensor, side: Tensor) -> Tensor:
    """Return the IoU of a unit square and another square; the arguments are broadcast.

    Args:
        right: Horizontal offset of the other square's centre.
        down: Vertical offset.
        side: Side of the other square.

    >>> overlap_of_squares(torch.tensor(1 / 3), torch.tensor(0.0), torch.tensor(1.0))
    tensor(0.5000)
    """
    nothing = torch.zeros_like(right + down + side)
    center = [right + nothing, down + nothing, side + nothing, side + nothing]
    other = to_corners(torch.stack(center, -1))
    return iou(torch.tensor([-0.5, -0.5, 0.5, 0.5], dtype=other.dtype), other)


def draw_overlaps() -> Figure:
    """Draw the IoU against shift and size, and against shifts in two directions."""
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_plane(figure, left)
    _draw_shifts(right)
    return figure


def _draw_plane(figure: Figure, axes: Any) -> None:
    shift = torch.linspace(0, 1, 201, dtype=torch.float64)
    sides = torch.logspace(-1, 1, 201, base=LARGEST, dtype=torch.float64)
    nothing = torch.zeros(1, dtype=torch.float64)
    values = overlap_of_squares(shift[None], nothing, sides[:, None]).numpy()
    mesh = axes.pcolormesh(shift.numpy(), sides.numpy(), values, cmap="viridis", vmin=0, vmax=1)
    mesh.set_rasterized(True)
    levels, colours = (0.25, CORRECT_ABOVE, 0.75), ("white", "white", "black")
    widths = (0.9, 2.6, 0.9)
    axes.contour(
        shift.numpy(), sides.numpy(), values, levels=levels, colors=colours, linewidths=widths
    )
    for x, y, text, colour in (
        (0.13, 1.0, "0.75", "black"),
        (0.27, 1.0, "0.5", "white"),
        (0.52, 1.0, "0.25", "white"),
    ):
        axes.text(x, y, text, color=colour, ha="right", va="center", fontweight="bold", fontsize=10)
    axes.set_yscale("log")
    axes.set_yticks([1 / 3, 0.5, 1, 2, 3], ["1/3", "1/2", "1", "2", "3"])
    axes.minorticks_off()
    axes.set(xlabel="horizontal shift (true sides)", ylabel="predicted side / true side")
    axes.set_title("IoU of two squares")
    figure.colorbar(mesh, ax=axes, label="IoU")


def _draw_shifts(axes: Any) -> None:
    shift = torch.linspace(0, 1, 401, dtype=torch.float64)
    still, one = torch.zeros_like(shift), torch.ones_like(shift)
    for name, down, colour, style in (
        ("horizontal", still, "C0", "-"),
        ("diagonal", shift, "C1", "--"),
    ):
        values = overlap_of_squares(shift, down, one)
        axes.plot(shift, values, color=colour, ls=style, label=f"{name} shift")
        last = int((values > CORRECT_ABOVE).sum()) - 1
        axes.plot(shift[last], CORRECT_ABOVE, "o", color=colour)
    axes.axhline(CORRECT_ABOVE, color=soft_colour(), lw=1.2, ls=":")
    axes.text(0.99, 0.51, "found above this line", ha="right", va="bottom", fontsize=11)
    axes.legend(loc="upper right")
    axes.set(xlabel="shift (sides)", ylabel="IoU", xlim=(0, 1), ylim=(0, 1.02))
    axes.set_title("squares of equal size")
