"""Layers of a Keras file before their weights are read.

O outputs, I inputs, h, w sides of a kernel, D numbers that a fully connected layer reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from verydeep.errors import ModelError, printable
from verydeep.models.weights.formats.keras.hdf5 import Node
from verydeep.models.weights.formats.keras.store import Parts
from verydeep.models.weights.formats.values import as_weights, check_sizes
from verydeep.models.weights.source import BatchNorm, Flatten, SourceLayer

EPSILON = 1e-3
"""What Keras adds to the variance, unless told otherwise."""


@dataclass
class Planned:
    """A layer and where its weights are.

    Attributes:
        name: Its name.
        parts: Its kernel and, if it has one, its bias.
        flatten: Order of the numbers that it reads.
        norm: Weights of its batch normalisation; None without.
        epsilon: What the normalisation adds to the variance.
    """

    name: str
    parts: Parts
    flatten: Flatten = "chw"
    norm: Parts | None = None
    epsilon: float = EPSILON

    def __post_init__(self) -> None:
        if "kernel" not in self.parts:
            raise ModelError(f"{printable(self.name)}: its weights are missing")
        if len(self.shape) not in (2, 4):
            raise ModelError(
                f"{printable(self.name)}: weights of {len(self.shape)} dimensions, not 2 or 4"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weights in the file: (h, w, I, O) or (D, O)."""
        return self.parts["kernel"].shape

    @property
    def is_convolution(self) -> bool:
        """Whether this is a convolution."""
        return len(self.shape) == 4

    @property
    def used(self) -> Iterable[Node]:
        """Everything to read."""
        return (*self.parts.values(), *(self.norm or {}).values())

    def __str__(self) -> str:
        return f"{printable(self.name)} ({'x'.join(f'{side:,}' for side in self.shape)})"


def read_planned(layers: Iterable[Planned], held: int) -> tuple[SourceLayer, ...]:
    """Read the weights of layers, after a look at their sizes.

    Args:
        layers: Layers in forward order.
        held: Size of the file in bytes.

    Raises:
        ModelError: The weights are too many, or cannot be used.
    """
    layers = tuple(layers)
    used = [node for layer in layers for node in layer.used]
    check_sizes([node.shape for node in used], [node.size for node in used], held)
    return tuple(map(read_layer, layers))


def read_layer(layer: Planned) -> SourceLayer:
    """Read the weights of a layer, whose size has been checked.

    Raises:
        ModelError: They cannot be used.
    """
    stored = layer.parts["kernel"].read()
    weight = as_weights(
        stored.permute(3, 2, 0, 1) if layer.is_convolution else stored.T, layer.name
    )
    bias = layer.parts.get("bias")
    return SourceLayer(
        name=layer.name,
        weight=weight,
        bias=_vector(bias, layer.name, "bias", len(weight)) if bias else None,
        norm=read_norm(layer.name, layer.norm, layer.epsilon) if layer.norm else None,
        flatten=layer.flatten,
    )


def read_norm(name: str, parts: Parts, epsilon: float) -> BatchNorm:
    """Read the weights of a batch normalisation, whose size has been checked.

    Args:
        name: Name of the layer, for messages.
        parts: Its weights.
        epsilon: What it adds to the variance.

    Raises:
        ModelError: They cannot be used.
    """
    channels = prod(parts["mean"].shape) if "mean" in parts else 0
    read = {part: _vector(node, name, part, channels) for part, node in parts.items()}
    if not {"mean", "variance"} <= set(read) or (read["variance"] < 0).any():
        raise ModelError(f"{printable(name)}: a batch normalisation without a variance")
    one = torch.ones_like(read["mean"])
    scale, shift = read.get("gamma", one), read.get("beta", torch.zeros_like(one))
    return BatchNorm(scale, shift, read["mean"], read["variance"], epsilon)


def _vector(node: Node, name: str, part: str, outputs: int) -> Tensor:
    if node.shape != (outputs,):
        raise ModelError(
            f"{printable(name)}: a {part} of {'x'.join(map(str, node.shape))} numbers for "
            f"{outputs:,} outputs"
        )
    return as_weights(node.read(), f"{name}, {part}")
