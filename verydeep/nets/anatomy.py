"""Anatomy of a net by layer: sizes, parameters, multiply-adds, memory, receptive fields.

Pure arithmetic on Table 1, without tensors or torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, takewhile

from verydeep.nets import table
from verydeep.nets.names import check_name
from verydeep.nets.table import Layer


@dataclass(frozen=True, slots=True)
class LayerAnatomy:
    """Measures of one layer.

    Attributes:
        layer: Name, kind and sizes of the layer, from Table 1.
        channels: Output channels (features of a fully connected layer).
        size: Side of the square (or cubic) output in pixels; 1 for fully connected layers.
        parameters: Weights and biases (scales and shifts of a normalisation).
        multiply_adds: Multiply-adds of convolutions and fully connected layers, per image.
        memory: Bytes of the output in float32, per image, including ReLUs and dropouts.
        receptive_field: Side of the receptive field in input pixels, on an unbounded plane; it may
            exceed the image.
        stride: Input pixels between adjacent output values.
    """

    layer: Layer
    channels: int
    size: int
    parameters: int
    multiply_adds: int
    memory: int
    receptive_field: int
    stride: int


@dataclass(frozen=True, repr=False)
class Anatomy:
    """Measures of a net by layer, and their totals."""

    name: str
    input_size: int
    parts: tuple[LayerAnatomy, ...]

    def __repr__(self) -> str:
        return (
            f"Anatomy(net {self.name}, input size {self.input_size}, {self.parameters:,} "
            f"parameters, {self.multiply_adds:,} multiply-adds)"
        )

    @property
    def parameters(self) -> int:
        """Weights and biases of all layers."""
        return sum(part.parameters for part in self.parts)

    @property
    def convolution_parameters(self) -> int:
        """Parameters outside the three fully connected layers."""
        return sum(part.parameters for part in self.parts if part.layer.kind != "fc")

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds per image of ``input_size``."""
        return sum(part.multiply_adds for part in self.parts)

    @property
    def memory(self) -> int:
        """Bytes of all activations in float32, per image."""
        return sum(part.memory for part in self.parts)

    @property
    def receptive_field(self) -> int:
        """Side in pixels of the receptive field of one value of the last map."""
        maps = takewhile(lambda part: part.layer.kind != "fc", self.parts)
        return [*maps][-1].receptive_field


def anatomy(
    name: str,
    num_classes: int = 1000,
    *,
    batch_norm: bool = False,
    input_size: int = 224,
    channels: int = 3,
    width: float = 1.0,
    hidden: int = table.HIDDEN,
    dimensions: int = 2,
) -> Anatomy:
    """Return the anatomy of a net; the arguments are those of :func:`verydeep.vgg`.

    Raises:
        InputError: The net is unknown.
        SizeError: ``input_size`` is below 32.

    >>> anatomy("D").parameters, anatomy("D").multiply_adds
    (138357544, 15470264320)
    >>> anatomy("D").receptive_field
    212
    >>> anatomy("A", 10, input_size=32, width=0.25, hidden=512, dimensions=3).parameters
    1764298
    """
    name = check_name(name)
    table.check_sizes(
        num_classes=num_classes,
        channels=channels,
        width=width,
        hidden=hidden,
        dimensions=dimensions,
    )
    layers = chain(
        table.convolutional_layers(name, channels=channels, width=width, batch_norm=batch_norm),
        table.fully_connected_layers(
            num_classes,
            input_size=input_size,
            width=width,
            hidden=hidden,
            dimensions=dimensions,
        ),
    )
    return Anatomy(name, input_size, tuple(measure(layers, input_size, dimensions)))


def measure(layers: Iterable[Layer], size: int, dimensions: int = 2) -> Iterator[LayerAnatomy]:
    """Yield the measures of layers for a square (or cubic) input of ``size`` pixels a side."""
    field, stride = 1, 1
    for layer in layers:
        if layer.kind == "fc":
            # fc6 covers the whole last map, fc7 and fc8 a single position.
            field, size = field + (size - 1) * stride, 1
        field += (layer.kernel - 1) * stride
        stride *= layer.stride
        size //= layer.stride
        yield LayerAnatomy(
            layer=layer,
            channels=layer.outputs,
            size=size,
            parameters=_parameters(layer, dimensions),
            multiply_adds=_products(layer, dimensions) * size**dimensions,
            memory=4 * layer.outputs * size**dimensions,
            receptive_field=field,
            stride=stride,
        )


def _products(layer: Layer, dimensions: int) -> int:
    """Return the multiply-adds per output position."""
    weighted = layer.kind in ("conv", "fc")
    return layer.inputs * layer.outputs * layer.kernel**dimensions if weighted else 0


def _parameters(layer: Layer, dimensions: int) -> int:
    if layer.kind == "norm":
        return 2 * layer.outputs
    products = _products(layer, dimensions)
    return products + layer.outputs if products else 0
