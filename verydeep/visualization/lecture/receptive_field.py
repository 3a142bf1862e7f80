"""Growth of the receptive field from one convolution to the next (section 2.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from verydeep.nets.anatomy import anatomy
from verydeep.visualization.lecture.theme import paper_colour, soft_colour

NETS = ("A", "B", "C", "D", "E")
"""Drawn nets; the receptive fields of A-LRN are those of A."""


@dataclass(frozen=True, slots=True)
class Step:
    """A convolution and its receptive field.

    Attributes:
        layer: Name of the layer.
        kernel: Kernel size.
        field: Side of the receptive field, in pixels of the image.
    """

    layer: str
    kernel: int
    field: int


def growth(name: str) -> tuple[Step, ...]:
    """Return the convolutions of a net in forward order.

    >>> [step.field for step in growth("A")]
    [3, 8, 18, 26, 46, 62, 102, 134]
    """
    parts = (part for part in anatomy(name).parts if part.layer.kind == "conv")
    return tuple(Step(p.layer.name, p.layer.kernel, p.receptive_field) for p in parts)


def draw_receptive_field() -> Figure:
    """Draw the receptive field after every convolution of each net."""
    figure = Figure(figsize=(9, 5.6), layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(224, color=soft_colour(), lw=1.2, ls="--")
    axes.text(0.6, 227, "input side, 224 pixels", va="bottom", fontsize=11)
    for index, name in reversed([*enumerate(NETS)]):
        # Deeper nets have wider lines, so that coinciding lines remain visible.
        _draw_net(axes, name, f"C{index}", width=1.5 + 0.9 * index)
    axes.plot([], [], "o", color=soft_colour(), label="3x3 convolution")
    axes.plot([], [], "o", color=soft_colour(), mfc=paper_colour(), label="1x1 convolution")
    axes.legend(loc="upper left", bbox_to_anchor=(0, 0.73))
    axes.set(xlabel="convolutions passed", ylabel="receptive field (pixels of the image)")
    axes.set(xlim=(0.5, 16.8), ylim=(0, 275))
    axes.xaxis.set_major_locator(MultipleLocator(2))
    return figure


def _draw_net(axes: Any, name: str, colour: str, width: float) -> None:
    steps = growth(name)
    depths = range(1, len(steps) + 1)
    fields = [step.field for step in steps]
    axes.plot(depths, fields, color=colour, lw=width)
    for depth, step in zip(depths, steps, strict=True):
        fill = colour if step.kernel > 1 else paper_colour()
        axes.plot(depth, step.field, "o", color=colour, mfc=fill, ms=4 + width)
    # Net C's line arrives from the left, so its label goes to the right.
    side, offset = ("left", 0.3) if name == "C" else ("right", -0.3)
    title = f"{'A, A-LRN' if name == 'A' else name}: {fields[-1]}"
    axes.text(len(steps) + offset, fields[-1] + 2, title, color=colour, ha=side, va="center")
