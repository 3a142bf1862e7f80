"""Table 1 of the paper as data, and the lists of layers derived from it.

It is the single source of the architecture for the builder in :mod:`verydeep.nets.vgg` and the
arithmetic in :mod:`verydeep.nets.anatomy`. This module does not import torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from verydeep.errors import InputError, SizeError

Kind = Literal["conv", "norm", "relu", "lrn", "pool", "fc", "dropout", "tanh", "composite"]

LRN = "LRN"
"""Marks local response normalisation after the preceding convolution (net A-LRN only)."""

CHANNELS = (64, 128, 256, 512, 512)
"""Output channels of the five blocks; a 2x2 max-pool with stride 2 follows each block."""

# Kernel sizes of the convolutions by block: the columns of Table 1 as rows.
# block       64           128      256           512           512
TABLE_1: dict[str, tuple[tuple[int | str, ...], ...]] = {
    "A": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "A-LRN": ((3, LRN), (3,), (3, 3), (3, 3), (3, 3)),
    "B": ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)),
    "C": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "D": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "E": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
}

COLUMNS: dict[str, tuple[tuple[int | str, ...], ...]] = {
    **TABLE_1,
    "B-5x5": ((5,), (5,), (5,), (5,), (5,)),
}
"""Table 1 and the shallow net of section 4.1: B with one 5x5 in place of each pair of 3x3."""

SIX = tuple(TABLE_1)
NAMES = tuple(COLUMNS)
BLOCKS = len(CHANNELS)
HIDDEN = 4096
DIMENSIONS = (2, 3)  # images, or volumes: the same table with cubes for squares
STRIDE = 32  # pixels between positions of the last map: five pools halve it five times
SMALLEST_INPUT = STRIDE

FEATURE_LAYERS = ("fc7", "fc6", "pool5")
"""Layers whose activations can serve as image features, deepest first."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer with its name as in the authors' Caffe release.

    Attributes:
        name: ``conv3_2`` is the second convolution of the third block, ``fc6`` the first fully
            connected layer (the sixth stage).
        kind: Kind of layer.
        inputs: Input channels or features.
        outputs: Output channels or features.
        kernel: Side of the square (or cubic) kernel, in pixels; 1 for layers without a kernel.
        stride: Stride, in pixels.
        padding: Pixels added at each side; None for half the kernel, which keeps the size.
        ceil: Whether a pool's last window may extend beyond the map.
    """

    name: str
    kind: Kind
    inputs: int
    outputs: int
    kernel: int = 1
    stride: int = 1
    padding: int | None = None
    ceil: bool = False


def check_sizes(
    *, num_classes: int, channels: int, width: float, hidden: int, dimensions: int = 2
) -> None:
    """Raise an error for invalid sizes.

    Raises:
        InputError: A count is too small, the width is not positive, or there are neither two nor
            three dimensions.
    """
    if dimensions not in DIMENSIONS:
        raise InputError(f"dimensions must be 2 (images) or 3 (volumes), got {dimensions} instead")
    counts = {"num_classes": (num_classes, 0), "channels": (channels, 1), "hidden": (hidden, 0)}
    for what, (count, least) in counts.items():
        if count < least:
            raise InputError(f"{what} must be at least {least}, got {count} instead")
    if not width > 0:
        raise InputError(f"width must be above 0, got {width} instead")


def scaled(units: int, width: float) -> int:
    """Return ``units`` times ``width``, rounded, at least 1."""
    return max(1, round(units * width))


def final_map(input_size: int) -> int:
    """Return the side of the map after the last pool, for a square (or cubic) input.

    Raises:
        SizeError: The input is too small for five pools.

    >>> final_map(224), final_map(64)
    (7, 2)
    """
    if input_size < SMALLEST_INPUT:
        raise SizeError(
            f"input_size must be at least {SMALLEST_INPUT}: five 2x2 pools halve it five times; "
            f"got {input_size} instead"
        )
    return input_size // STRIDE


def input_for_map(side: int) -> int:
    """Return the smallest input size whose last map has this side.

    >>> input_for_map(7)
    224
    """
    return side * STRIDE


def convolutional_layers(
    name: str, *, channels: int = 3, width: float = 1.0, batch_norm: bool = False
) -> Iterator[Layer]:
    """Yield the layers of the five blocks in forward order."""
    inputs = channels
    for block, (kernels, outputs) in enumerate(zip(COLUMNS[name], CHANNELS, strict=True), start=1):
        outputs = scaled(outputs, width)
        for index, kernel in enumerate((k for k in kernels if isinstance(k, int)), start=1):
            place = f"{block}_{index}"
            yield Layer(f"conv{place}", "conv", inputs, outputs, kernel)
            if batch_norm:
                yield Layer(f"norm{place}", "norm", outputs, outputs)
            yield Layer(f"relu{place}", "relu", outputs, outputs)
            inputs = outputs
        if LRN in kernels:
            yield Layer(f"lrn{block}", "lrn", outputs, outputs)
        yield Layer(f"pool{block}", "pool", outputs, outputs, kernel=2, stride=2)


def fully_connected_layers(
    num_classes: int,
    *,
    input_size: int = 224,
    width: float = 1.0,
    hidden: int = HIDDEN,
    dimensions: int = 2,
) -> Iterator[Layer]:
    """Yield the fully connected layers with their ReLUs and dropouts.

    They are fc6, fc7 and fc8; with ``hidden=0`` fc8 alone, with ``num_classes=0`` none.
    """
    inputs = scaled(CHANNELS[-1], width) * final_map(input_size) ** dimensions
    if not num_classes:
        return
    units = scaled(hidden, width) if hidden else inputs
    for index in (6, 7) if hidden else ():
        yield Layer(f"fc{index}", "fc", inputs, units)
        yield Layer(f"relu{index}", "relu", units, units)
        yield Layer(f"drop{index}", "dropout", units, units)
        inputs = units
    yield Layer("fc8", "fc", units, num_classes)


def weight_layers(name: str) -> int:
    """Return the number of weight layers, the paper's measure of depth.

    >>> [weight_layers(name) for name in NAMES]
    [11, 11, 13, 16, 16, 19, 8]
    """
    return sum(isinstance(kernel, int) for block in COLUMNS[name] for kernel in block) + 3
