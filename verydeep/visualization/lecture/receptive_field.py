"""How the receptive field grows from one convolution to the next (section 2.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from verydeep.nets.anatomy import anatomy
from verydeep.visualization.lecture.theme import paper_colour, soft_colour

NETS = ("A", "B", "C", "D", "E")
"""Those drawn; A-LRN sees what A sees."""


@dataclass(frozen=True, slots=True)
class Step:
    """One convolution.

    Attributes:
        layer: Its name.
        kernel: Side of its window, pixels of the map before.
        field: Side in pixels of the image of what one of its values sees.
    """

    layer: str
    kernel: int
    field: int


def growth(name: str) -> tuple[Step, ...]:
    """Return the convolutions of a net in the order in which an image meets them.

    >>> [step.field for step in growth("A")]
    [3, 8, 18, 26, 46, 62, 102, 134]
    """
    parts = (part for part in anatomy(name).parts if part.layer.kind == "conv")
    return tuple(Step(p.layer.name, p.layer.kernel, p.receptive_field) for p in parts)


def draw_receptive_field() -> Figure:
    """Draw what one value sees behind every convolution of each net."""
    figure = Figure(figsize=(9, 5.6), layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(224, color=soft_colour(), lw=1.2, ls="--")
    axes.text(0.6, 227, "side of the input, 224 pixels", va="bottom", fontsize=11)
    for place, name in reversed([*enumerate(NETS)]):
        # The deeper net's line is the wider: where several nets agree, all their lines are seen.
        _draw_net(axes, name, f"C{place}", width=1.5 + 0.9 * place)
    axes.plot([], [], "o", color=soft_colour(), label="3x3 convolution")
    axes.plot([], [], "o", color=soft_colour(), mfc=paper_colour(), label="1x1 convolution")
    axes.legend(loc="upper left", bbox_to_anchor=(0, 0.73))
    axes.set(xlabel="convolutions passed", ylabel="receptive field (pixels of the image)")
    axes.set(xlim=(0.5, 16.8), ylim=(0, 275))
    axes.xaxis.set_major_locator(MultipleLocator(2))
    return figure


def _draw_net(axes: Any, name: str, colour: str, width: float) -> None:
    steps = growth(name)
    places = range(1, len(steps) + 1)
    axes.plot(places, [step.field for step in steps], color=colour, lw=width)
    for place, step in zip(places, steps, strict=True):
        fill = colour if step.kernel > 1 else paper_colour()
        axes.plot(place, step.field, "o", color=colour, mfc=fill, ms=4 + width)
    _name_net(axes, name, colour, len(steps), steps[-1].field)


def _name_net(axes: Any, name: str, colour: str, place: int, field: int) -> None:
    """Write a net's name and last field where no line passes: net C's line comes from the left."""
    title = f"{'A, A-LRN' if name == 'A' else name}: {field}"
    side, aside = ("left", 0.3) if name == "C" else ("right", -0.3)
    axes.text(place + aside, field + 2, title, color=colour, ha=side, va="center")
