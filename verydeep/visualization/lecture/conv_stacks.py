"""Comparison of stacks of 3x3 convolutions with single larger convolutions (section 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from verydeep.nets.anatomy import measure
from verydeep.nets.registry import Layer

CHANNELS, SIZE = 256, 56
"""Channels and side of the feature maps: those of the third block for a 224-pixel image."""

PAIRS = {5: (3, 3), 7: (3, 3, 3)}
"""Kernel size of a large convolution, and the stack with the same receptive field."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Stack of convolutions with equal input and output channels, each followed by a ReLU.

    Attributes:
        weights: Number of weights, without biases.
        multiply_adds: Multiply-adds per image.
        non_linearities: Number of ReLUs.
        receptive_field: Side of the receptive field on the input map.
    """

    weights: int
    multiply_adds: int
    non_linearities: int
    receptive_field: int


def stack(kernels: Sequence[int], channels: int = CHANNELS, size: int = SIZE) -> Stack:
    """Return the properties of a stack with these kernel sizes on ``size`` x ``size`` maps.

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
    """Draw weights, multiply-adds and ReLUs of stacks and of the equivalent single layers."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    panels = figure.subplots(1, 3)
    stacks = [stack(kernels) for kernels in PAIRS.values()]
    singles = [stack((side,)) for side in PAIRS]
    billions = f"10⁹ (C = {CHANNELS}, {SIZE}x{SIZE} maps)"
    for axes, title, unit, factor, form in (
        (panels[0], "weights", "multiples of C²", CHANNELS**2, "{:.0f}"),
        (panels[1], "multiply-adds", billions, 1e9, "{:.1f}"),
        (panels[2], "non-linearities", "ReLUs", 1, "{:.0f}"),
    ):
        field = title.replace("-", "_")
        rows = [[getattr(one, field) / factor for one in group] for group in (stacks, singles)]
        _draw_bars(axes, rows, form)
        axes.set(title=title, ylabel=unit)
    panels[2].yaxis.get_major_locator().set_params(integer=True)
    figure.legend(*panels[0].get_legend_handles_labels(), ncols=2, loc="outside upper center")
    return figure


def _draw_bars(axes: Any, rows: Sequence[Sequence[float]], form: str) -> None:
    names = ("stack of 3x3 convolutions", "single larger convolution")
    for index, (name, values) in enumerate(zip(names, rows, strict=True)):
        x = [group + 0.4 * (index - 0.5) for group in range(len(values))]
        bars = axes.bar(x, values, 0.36, color=f"C{index}", label=name)
        axes.bar_label(bars, fmt=form, padding=2)
    axes.set_xticks(range(len(PAIRS)), [f"{side}x{side}" for side in PAIRS])
    axes.set_xlabel("receptive field (pixels)")
    axes.margins(y=0.12)
