"""Find the column of Table 1 that the layers of a file are, and say what has no place in it.

O outputs, I inputs, C channels, D numbers that a layer reads, s side of the last map, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isqrt
from typing import NamedTuple

from verydeep.errors import ModelError, plural, printable
from verydeep.models.weights.maps import (
    check_input,
    check_maps,
    fault_before_head,
    notes_of_pools,
)
from verydeep.models.weights.source import SourceFile, SourceLayer
from verydeep.nets.registry import Column, Shape, nearest_column

HEAD = ("fc6", "fc7", "fc8")


class Taken(NamedTuple):
    """A layer of a net, and the layer of the file that it is copied from."""

    layer: str
    source: SourceLayer

    def __str__(self) -> str:
        return f"{self.layer}: copied from {printable(self.source.name)}"


class LeftOut(NamedTuple):
    """A layer of the file without a place in the net, and the reason."""

    source: str
    why: str

    def __str__(self) -> str:
        return f"{printable(self.source)}: left out, {self.why}"


@dataclass(frozen=True, eq=False)
class Match:
    """A column of Table 1 and the layers of a file that fill it.

    Attributes:
        name: Name of the net.
        batch_norm: Whether every convolution has a batch normalisation.
        width: Factor on the channels of the column.
        convolutions: Convolutions of the net, in forward order.
        head: Its fully connected layers: three, one that reads the last map, or none.
        left_out: Layers without a place in the net.
        final_map: Side s of the map that the head reads; None without a head.
        notes: What else is to be known of the net, as lines for the report.
    """

    name: str
    batch_norm: bool
    width: float
    convolutions: tuple[Taken, ...]
    head: tuple[Taken, ...]
    left_out: tuple[LeftOut, ...]
    final_map: int | None
    notes: tuple[str, ...] = ()

    @property
    def hidden(self) -> int:
        """Units of fc6 and fc7; 0 if one layer reads the last map."""
        return len(self.head[0].source.weight) if len(self.head) == len(HEAD) else 0

    @property
    def num_classes(self) -> int:
        """Outputs of the last layer, K; 0 without a head."""
        return len(self.head[-1].source.weight) if self.head else 0


def match(file: SourceFile) -> Match:
    """Return the column of Table 1 that a file's layers are.

    Raises:
        ModelError: The first layers are not the convolutions of any column, a number in them is
            not finite, or pools, padding or the declared size of images are another net's.
    """
    column = nearest_column([_shape(layer) for layer in file.layers], lrn=file.lrn)
    body, rest = file.layers[: column.agreeing], file.layers[column.agreeing :]
    if not column.whole:
        raise ModelError(_no_column(file.layers, column))
    check_finite(body)
    batch_norm = _batch_norm(body)
    check_maps(file, column)
    head, side, why = _head(rest, channels=len(body[-1].weight))
    if head and (fault := fault_before_head(file, column) or _fault_of_head(file)):
        head, side, why = (), None, fault
    check_input(file, head[0].source if head else None, side)
    left_out = [LeftOut(str(layer), why) for layer in rest] if not head else []
    return Match(
        name=column.name,
        batch_norm=batch_norm,
        width=column.width,
        convolutions=tuple(
            Taken(ours.name, theirs) for ours, theirs in zip(column.layers, body, strict=True)
        ),
        head=head,
        left_out=(*left_out, *(LeftOut(text, "not part of the net") for text in file.ignored)),
        final_map=side,
        notes=tuple(notes_of_pools(file, column)),
    )


def _shape(layer: SourceLayer) -> Shape:
    if not layer.is_convolution or layer.weight.shape[2] != layer.weight.shape[3]:
        return Shape(0, 0, 0)  # agrees with no convolution
    return Shape(layer.weight.shape[1], layer.weight.shape[0], layer.weight.shape[2])


def _no_column(layers: Sequence[SourceLayer], column: Column) -> str:
    """Return the message for layers that are no net of the paper."""
    if not layers:
        return "holds no convolutions and no fully connected layers"
    wanted = column.layers[column.agreeing]
    expected = f"{wanted.outputs}x{wanted.inputs}x{wanted.kernel}x{wanted.kernel}"
    if column.agreeing == len(layers):
        return (
            f"ends after {plural(column.agreeing, 'layer')}: net {column.name} has "
            f"{plural(len(column.layers), 'convolution')}, next {wanted.name} ({expected})"
        )
    return (
        f"is no net of the paper: net {column.name} agrees the longest, but its {wanted.name} is "
        f"{expected}, where the file has {printable(str(layers[column.agreeing]))}"
    )


def check_finite(layers: Iterable[SourceLayer]) -> None:
    """Refuse layers with numbers that are NaN or infinite.

    Raises:
        ModelError: There are such.
    """
    for layer in layers:
        if layer.broken:
            raise ModelError(
                f"{printable(layer.name)}: {plural(layer.broken, 'number')} NaN or infinite; take "
                "a checkpoint from before the training diverged"
            )


def _batch_norm(body: Sequence[SourceLayer]) -> bool:
    without = [layer.name for layer in body if layer.norm is None]
    if 0 < len(without) < len(body):
        raise ModelError(
            f"only some convolutions have a batch normalisation: {printable(without[0])} has none"
        )
    for layer in body:
        if layer.norm and len(layer.norm.mean) != len(layer.weight):
            raise ModelError(
                f"{printable(layer.name)}: a batch normalisation of {len(layer.norm.mean):,} "
                f"channels for {plural(len(layer.weight), 'output')}"
            )
    return not without


def _head(
    layers: Sequence[SourceLayer], channels: int
) -> tuple[tuple[Taken, ...], int | None, str]:
    """Return the layers of the head, the side s of the map it reads, and why there is none."""
    names = HEAD[-len(layers) :] if len(layers) in (1, len(HEAD)) else ()
    if not names:
        count = plural(len(layers), "layer")
        return (), None, f"a head of {count}, where the paper's has {len(HEAD)}"
    if any(layer.broken for layer in layers):
        return (), None, "the head holds numbers that are NaN or infinite"
    if any(layer.norm for layer in layers):
        return (), None, "the paper's head has no batch normalisation"
    sizes = [(len(layer.weight), layer.weight[0].numel()) for layer in layers]
    side = isqrt(sizes[0][1] // channels)
    if side**2 * channels != sizes[0][1]:
        return (), None, f"it does not read a square map of {channels:,} channels"
    if side == 1:
        return (), None, "it reads the average of the last map, where the paper's reads the map"
    if len(layers) == len(HEAD) and (sizes[0][0] != sizes[1][0] or not _chained(sizes)):
        units = " and ".join(f"{outputs:,}" for outputs, _ in sizes[:2])
        return (), None, f"fc6 and fc7 have the same number of units in the paper's, here {units}"
    return tuple(Taken(*pair) for pair in zip(names, layers, strict=True)), side, ""


def _fault_of_head(file: SourceFile) -> str | None:
    """Return why the scores are not those of the head's layers with ReLU between them."""
    if file.head_fault is None:
        return None
    return (
        f"because of {file.head_fault}; the paper's head has only ReLU between its layers and a "
        "softmax at its end"
    )


def _chained(sizes: Sequence[tuple[int, int]]) -> bool:
    """Return whether every layer reads as many numbers as the one before has outputs."""
    return all(before[0] == after[1] for before, after in pairwise(sizes))
