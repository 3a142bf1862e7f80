"""What stacks of 3x3 convolutions save against one larger window (section 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from verydeep.nets.anatomy import measure
from verydeep.nets.table import Layer

CHANNELS, SIZE = 256, 56
"""Of the maps that are compared: those of the third block for an image of 224 pixels."""

PAIRS = {5: (3, 3), 7: (3, 3, 3)}
"""Side of a window, and the stack that sees as much."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Convolutions behind one another, each with its ReLU and as many channels out as in.

    Attributes:
        weights: Without biases.
        multiply_adds: For one image.
        non_linearities: ReLUs.
        receptive_field: Side in pixels of the map before.
    """

    weights: int
    multiply_adds: int
    non_linearities: int
    receptive_field: int


def stack(kernels: Sequence[int], channels: int = CHANNELS, size: int = SIZE) -> Stack:
    """Measure convolutions with these windows on maps of ``size`` x ``size`` pixels.

    >>> [stack(kernels).weights // 256**2 for kernels in ((3, 3, 3), (7,))]
    [27, 49]
    """
    layers = [Layer(f"conv{kernel}", "conv", channels, channels, kernel) for kernel in kernels]
    parts = tuple(measure(layers, size))
    return Stack(
        weights=sum(part.parameters - part.channels for part in parts),
        multiply_adds=sum(part.multiply_adds for part in parts),
        non_linearities=len(parts),
        receptive_field=parts[-1].receptive_field,
    )


def draw_stacks() -> Figure:
    """Draw weights, work and ReLUs of stacks beside those of the windows that see as much."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    panels = figure.subplots(1, 3)
    small = [stack(kernels) for kernels in PAIRS.values()]
    large = [stack((side,)) for side in PAIRS]
    for axes, title, unit, amount, places in (
        (panels[0], "weights", "multiples of C²", _squares, 0),
        (panels[1], "multiply-adds", f"10⁹ (C = {CHANNELS}, {SIZE}x{SIZE} maps)", _billions, 1),
        (panels[2], "non-linearities", "ReLUs", _relus, 0),
    ):
        _bars(axes, [amount(s) for s in small], [amount(s) for s in large], places)
        axes.set(title=title, ylabel=unit)
    panels[2].yaxis.get_major_locator().set_params(integer=True)
    figure.legend(*panels[0].get_legend_handles_labels(), ncols=2, loc="outside upper center")
    return figure


def _squares(one: Stack) -> float:
    return one.weights / CHANNELS**2


def _billions(one: Stack) -> float:
    return one.multiply_adds / 1e9


def _relus(one: Stack) -> float:
    return one.non_linearities


def _bars(axes: Any, small: Sequence[float], large: Sequence[float], places: int) -> None:
    rows = (("stack of 3x3 convolutions", small), ("one larger window", large))
    for place, (name, values) in enumerate(rows):
        at = [group + 0.4 * (place - 0.5) for group in range(len(values))]
        bars = axes.bar(at, values, 0.36, color=f"C{place}", label=name)
        axes.bar_label(bars, [f"{value:.{places}f}" for value in values], padding=2)
    axes.set_xticks(range(len(PAIRS)), [f"{side}x{side}" for side in PAIRS])
    axes.set_xlabel("what one value sees (pixels)")
    axes.margins(y=0.12)
