"""Find the column of Table 1 that a list of convolutions is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from verydeep.nets import table
from verydeep.nets.table import Layer


class Shape(NamedTuple):
    """Sizes of a convolution with a square kernel."""

    inputs: int
    outputs: int
    kernel: int


class Column(NamedTuple):
    """The column of Table 1 that agrees with a list of convolutions the longest.

    Attributes:
        name: Name of the net.
        width: Factor on its channels.
        layers: All its convolutions, at that width.
        agreeing: Number of its convolutions, from the first, that the list agrees with.
    """

    name: str
    width: float
    layers: tuple[Layer, ...]
    agreeing: int

    @property
    def whole(self) -> bool:
        """Whether the list begins with all convolutions of the column."""
        return self.agreeing == len(self.layers)

    @property
    def pools(self) -> tuple[int, ...]:
        """Number of convolutions before each 2x2 max-pool; the last one follows them all.

        >>> nearest_column([Shape(3, 64, 3)]).pools
        (1, 2, 4, 6, 8)
        """
        blocks = table.COLUMNS[self.name]
        return tuple(accumulate(sum(isinstance(one, int) for one in block) for block in blocks))


def nearest_column(shapes: Sequence[Shape], *, lrn: bool | None = None) -> Column:
    """Return the column that a list of convolutions begins with, or the nearest.

    Args:
        shapes: Convolutions in forward order; more may follow those of the column.
        lrn: Whether a local response normalisation follows the first; None if unknown, which means
            the net without it.

    >>> d = [Shape(layer.inputs, layer.outputs, layer.kernel) for layer in convolutions("D", 0.125)]
    >>> column = nearest_column(d)
    >>> column.name, column.width, column.whole
    ('D', 0.125, True)
    """
    columns = [
        _column(name, width, shapes)
        for name in table.NAMES
        if _has_lrn(name) == bool(lrn)
        for width in _widths(name, shapes)
    ]
    return max(columns, key=lambda column: (column.whole, column.agreeing))


def convolutions(name: str, width: float = 1.0) -> tuple[Layer, ...]:
    """Return the convolutions of a net in forward order."""
    layers = table.convolutional_layers(name, width=width)
    return tuple(layer for layer in layers if layer.kind == "conv")


def _widths(name: str, shapes: Sequence[Shape]) -> list[float]:
    """Return the widths that a net of these shapes can have, the likeliest first.

    Small nets round their channels, and the wider blocks tell the width better.
    """
    pairs = zip(convolutions(name), shapes, strict=False)
    found = sorted((layer.outputs, shape.outputs / layer.outputs) for layer, shape in pairs)
    return list(dict.fromkeys(width for _, width in reversed(found) if width > 0)) or [1.0]


def _has_lrn(name: str) -> bool:
    return any(table.LRN in block for block in table.COLUMNS[name])


def _column(name: str, width: float, shapes: Sequence[Shape]) -> Column:
    layers = convolutions(name, width)
    agreeing = 0
    for layer, shape in zip(layers, shapes, strict=False):
        if shape != (layer.inputs, layer.outputs, layer.kernel):
            break
        agreeing += 1
    return Column(name, width, layers, agreeing)
