"""Weights of Caffe, ``.caffemodel``, read without Caffe.

O outputs, I inputs, h, w sides of a kernel, D numbers that a fully connected layer reads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from verydeep.errors import ModelError, printable
from verydeep.models.weights.formats.caffe.googlenet import check_googlenet, is_googlenet
from verydeep.models.weights.formats.caffe.layers import CaffeLayer, read_layers
from verydeep.models.weights.formats.chain import Chain, Window
from verydeep.models.weights.formats.longest_path import Step, longest_path
from verydeep.models.weights.formats.protobuf_wire import (
    BYTES,
    VARINT,
    Message,
    WireError,
    map_file,
    outline,
)
from verydeep.models.weights.formats.values import check_count, faults_of, to_tensor
from verydeep.models.weights.source import BatchNorm, Fact, SourceFile, SourceLayer

NET_FIELDS = {1: BYTES, 2: BYTES, 3: BYTES, 5: VARINT, 6: BYTES, 7: VARINT, 8: BYTES, 100: BYTES}
"""Wire types of a ``NetParameter``; ``input_dim`` (4) may be packed."""

LAYER_FIELDS = {2: range(1, 44), 100: range(1, 12)}
"""Numbers that the first field of a layer may have, by the number of the layer in the net."""

LARGEST_SIDE = 2**16
"""Sides of images from here on are no sides."""

HARMLESS = (
    *("Data", "ImageData", "HDF5Data", "MemoryData", "DummyData", "WindowData", "Input", "Silence"),
    *("Dropout", "Split", "Flatten", "Reshape", "Accuracy", "ArgMax", "Python"),
    *("SoftmaxWithLoss", "MultinomialLogisticLoss", "InfogainLoss", "HingeLoss"),
)
"""Types that change no scores, or only their scale at the end."""


def matches(head: bytes, path: Path) -> bool:
    """Return whether a file looks like a ``NetParameter`` with layers.

    Args:
        head: First bytes of the file.
        path: The file.
    """
    if not head or head[0] & 7 not in (VARINT, BYTES):
        return False
    data = map_file(path)
    try:
        for field in outline(data):
            packed = field.number == 4 and field.wire in (VARINT, BYTES)
            if not packed and NET_FIELDS.get(field.number) != field.wire:
                return False
            if field.number in LAYER_FIELDS:
                inner = next(outline(data[field.start : field.end]), None)
                return inner is not None and inner.number in LAYER_FIELDS[field.number]
    except WireError:
        return False
    return False


def read(path: Path) -> SourceFile:
    """Read the weights.

    Raises:
        ModelError: The file is damaged, or its net is neither a VGG net nor GoogLeNet.
    """
    with faults_of(path, "a file of Caffe weights"):
        return _Reader(Message(map_file(path))).read()


def layers_on_path(path: Path) -> list[CaffeLayer]:
    """Return the layers of a file from the data to the scores, with all that is said of them.

    Raises:
        WireError: The file is damaged.
    """
    layers = read_layers(Message(map_file(path)))
    return [layers[place] for place in _path(layers)]


def all_layers(path: Path) -> list[CaffeLayer]:
    """Return all layers of a file, with all that is said of them.

    Raises:
        WireError: The file is damaged.
    """
    return read_layers(Message(map_file(path)))


def output_count(layer: CaffeLayer) -> int:
    """Return the outputs of a convolution or fully connected layer; 0 of another layer.

    Raises:
        WireError: The file is damaged.
    """
    if not layer.blobs:
        return 0
    sides = _shape(layer.blobs[0])
    return sides[0] if layer.type == "Convolution" else sides[-2]


class _Reader:
    """The layers of one net, collected step by step."""

    def __init__(self, net: Message) -> None:
        self.net = net
        self.layers = read_layers(net)
        self.chain = Chain()
        self.padding = 0

    def read(self) -> SourceFile:
        count = sum(_count(blob) for layer in self.layers for blob in layer.blobs)
        check_count(count)
        if is_googlenet(self.layers):
            return self._read_googlenet()
        on_path = set(_path(self.layers))
        for place, layer in enumerate(self.layers):
            if place in on_path:
                self._add(layer)
            elif layer.blobs:
                self.chain.ignore(f"{printable(layer.name)}: {layer.type} on a branch")
        facts, size = _facts(self.layers, self.chain)
        return SourceFile(
            format="Caffe model (.caffemodel)",
            family="caffe",
            facts=facts,
            input_size=_input_size(self.net, self.layers) or size,
            **self.chain.finish()._asdict(),
        )

    def _read_googlenet(self) -> SourceFile:
        """Read GoogLeNet, which is no chain; layers are told apart by their names."""
        check_googlenet(self.layers)
        found = []
        for layer in self.layers:
            if layer.type == "Convolution":
                found.append(self._convolution(layer))
            elif layer.type == "InnerProduct":
                found.append(self._fully_connected(layer))
        facts, size = _facts(self.layers, self.chain)
        return SourceFile(
            format="Caffe model (.caffemodel)",
            family="caffe",
            layers=tuple(found),
            facts=facts,
            input_size=_input_size(self.net, self.layers) or size,
            lrn=True,
        )

    def _add(self, layer: CaffeLayer) -> None:
        chain = self.chain
        match layer.type:
            case "Convolution":
                chain.convolution(self._convolution(layer), self._window(layer))
            case "InnerProduct":
                chain.fully_connected(self._fully_connected(layer))
            case "BatchNorm":
                chain.norm(layer.name, self._norm(layer))
            case "Scale" | "Bias":
                chain.affine(layer.name, *self._affine(layer))
            case "LRN" if layer.lrn:
                chain.normalize_locally(layer.name, layer.lrn)
            case "ReLU" if layer.slope == 0:
                chain.relu()
            case "Softmax":
                chain.softmax(layer.name)
            case "Pooling" if layer.window and not layer.over_map:
                chain.pool(layer.name, layer.window, average=layer.average)
            case "Padding" if layer.window:
                self.padding += layer.window.padding[0]
            case kind if kind not in HARMLESS:
                chain.other(layer.name, f"a layer of type {printable(kind)}")

    def _convolution(self, layer: CaffeLayer) -> SourceLayer:
        weight, bias = self._weights(layer)
        if weight.dim() != 4:
            raise self._shape_error(layer, "OxIxhxw", weight)
        return SourceLayer(layer.name, weight, bias)

    def _window(self, layer: CaffeLayer) -> Window | None:
        """Return how a convolution slides, with the padding by layers before it."""
        more, self.padding = self.padding, 0
        if layer.window is None:
            return None
        top, left, bottom, right = (side + more for side in layer.window.padding)
        return layer.window._replace(padding=(top, left, bottom, right))

    def _fully_connected(self, layer: CaffeLayer) -> SourceLayer:
        weight, bias = self._weights(layer)
        if weight.dim() < 2 or math.prod(weight.shape[:-2]) != 1:
            raise self._shape_error(layer, "OxD", weight)
        weight = weight.reshape(weight.shape[-2:])
        if layer.transposed:
            weight = weight.T.contiguous()
        if bias is not None and len(bias) != len(weight):
            raise self._shape_error(layer, f"{len(weight)}", bias)
        return SourceLayer(layer.name, weight, bias)

    def _weights(self, layer: CaffeLayer) -> tuple[Tensor, Tensor | None]:
        if len(layer.blobs) not in (1, 2):
            raise ModelError(
                f"{printable(layer.name)} must have weights and biases; it has "
                f"{len(layer.blobs)} parameters instead"
            )
        weight, *biases = (self._tensor(layer, blob) for blob in layer.blobs)
        bias = biases[0].reshape(-1) if biases else None
        if bias is not None and layer.type == "Convolution" and len(bias) != len(weight):
            raise self._shape_error(layer, f"{len(weight)}", bias)
        return weight, bias

    def _norm(self, layer: CaffeLayer) -> BatchNorm:
        if len(layer.blobs) != 3:
            raise ModelError(
                f"{printable(layer.name)} must have means, variances and their "
                f"factor; it has {len(layer.blobs)} parameters instead"
            )
        mean, variance, factor = (self._tensor(layer, blob).reshape(-1) for blob in layer.blobs)
        if len(mean) != len(variance) or len(factor) != 1:
            raise self._shape_error(layer, f"{len(mean)}", variance)
        divisor = 1 / float(factor) if float(factor) else 0.0
        ones = torch.ones_like(mean)
        return BatchNorm(
            ones, torch.zeros_like(mean), mean * divisor, variance * divisor, layer.epsilon
        )

    def _affine(self, layer: CaffeLayer) -> tuple[Tensor, Tensor]:
        values = [self._tensor(layer, blob).reshape(-1) for blob in layer.blobs]
        if layer.type == "Bias":
            values = [torch.ones_like(value) for value in values[:1]] + values
        if len(values) not in (1, 2) or len(values[0]) != len(values[-1]):
            raise ModelError(
                f"{printable(layer.name)} must have a factor, and may have an "
                "offset, for each channel"
            )
        return values[0], values[1] if len(values) == 2 else torch.zeros_like(values[0])

    def _tensor(self, layer: CaffeLayer, blob: Message) -> Tensor:
        shape = _shape(blob)
        number, size = (8, 8) if 8 in blob else (5, 4)
        count = blob.count_numbers(number, size)
        if min(shape, default=1) < 1 or math.prod(shape) != count:
            declared = "x".join(map(str, shape))
            raise ModelError(
                f"{printable(layer.name)} declares {declared} numbers, but has "
                f"{count:,}; the file is damaged, download or export it again"
            )
        return to_tensor(blob.numbers(number, size).reshape(shape), layer.name)

    def _shape_error(self, layer: CaffeLayer, rule: str, found: Tensor) -> ModelError:
        shape = "x".join(map(str, found.shape))
        return ModelError(
            f"the parameters of {printable(layer.name)} ({layer.type}) must be "
            f"{rule}; they are {shape} instead"
        )


def _shape(blob: Message) -> tuple[int, ...]:
    """Return the declared shape; old files have four sides, with 1 for those that do not apply."""
    shape = blob.message(7)
    sides = shape.integers(1) if shape else [blob.integer(number) for number in (1, 2, 3, 4)]
    if len(sides) > 8:
        raise WireError(f"parameters with {len(sides)} dimensions")
    return tuple(sides)


def _count(blob: Message) -> int:
    return blob.count_numbers(5, 4) + blob.count_numbers(8, 8)


def _path(layers: Sequence[CaffeLayer]) -> list[int]:
    """Return the places of the layers from the data to the scores."""
    if not any(layer.inputs for layer in layers):
        return list(range(len(layers)))
    weighted = ("Convolution", "InnerProduct")
    return longest_path(
        [Step(layer.inputs, layer.outputs, layer.type in weighted) for layer in layers]
    )


def _facts(layers: Sequence[CaffeLayer], chain: Chain) -> tuple[dict[str, Fact], int | None]:
    """Return what the data layers say of the preprocessing, and the side of their crops."""
    transforms = [layer for layer in layers if layer.transform]
    if not transforms or (transform := transforms[0].transform) is None:
        return {}, None
    name = printable(transforms[0].name)
    facts = {}
    if len(transform.mean) in (1, 3) and all(map(math.isfinite, transform.mean)):
        blue, green, red = transform.mean * (3 // len(transform.mean))
        how = f"mean_value of {name}, in Caffe's order of channels"
        facts["mean"] = Fact((red, green, blue), how)
    elif transform.mean_file:
        chain.ignore(f"{name}: mean image {printable(transform.mean_file)}, not in this file")
    if math.isfinite(transform.scale) and transform.scale > 0 and transform.scale != 1:
        facts["std"] = Fact((1 / transform.scale,) * 3, f"scale of {name}")
    return facts, transform.crop_size if 0 < transform.crop_size < LARGEST_SIDE else None


def _input_size(net: Message, layers: Sequence[CaffeLayer]) -> int | None:
    """Return the side of the images, from the input's declared shape."""
    shapes = [shape.integers(1) for shape in net.messages(8)] + [net.integers(4)]
    shapes += [list(layer.input_shape) for layer in layers]
    for shape in shapes:
        if len(shape) >= 4 and shape[2] == shape[3] and 0 < shape[2] < LARGEST_SIDE:
            return shape[2]
    return None
