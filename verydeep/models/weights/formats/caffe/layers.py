"""Layers of a Caffe net, of all three generations of its file format, in one form.

Today's files have ``layer`` messages with types as strings; files of 2014 have ``layers`` with
types as numbers; the oldest ones wrap a layer within ``layers``. The numbers are those of Caffe's
schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from verydeep.errors import ModelError
from verydeep.models.weights.formats.chain import Lrn, Window
from verydeep.models.weights.formats.protobuf_wire import Message, WireError

MOST_LAYERS = 2000
MOST_BLOBS = 8
MOST_NAMES = 100

NUMBERED_TYPES = {
    **{1: "Accuracy", 3: "Concat", 4: "Convolution", 5: "Data", 6: "Dropout", 8: "Flatten"},
    **{7: "EuclideanLoss", 9: "HDF5Data", 10: "HDF5Output", 12: "ImageData", 25: "Eltwise"},
    **{13: "InfogainLoss", 14: "InnerProduct", 15: "LRN", 16: "MultinomialLogisticLoss"},
    **{17: "Pooling", 18: "ReLU", 19: "Sigmoid", 20: "Softmax", 21: "SoftmaxWithLoss", 22: "Split"},
    **{23: "TanH", 24: "WindowData", 26: "Power", 27: "SigmoidCrossEntropyLoss", 28: "HingeLoss"},
    **{29: "MemoryData", 30: "ArgMax", 32: "DummyData", 33: "Slice", 34: "MVN", 36: "Silence"},
    **{2: "BNLL", 31: "Threshold", 35: "AbsVal", 38: "Exp", 39: "Deconvolution"},
}
"""Types of the files of 2014."""

OLDEST_TYPES = {
    **{"accuracy": "Accuracy", "conv": "Convolution", "data": "Data", "dropout": "Dropout"},
    **{"flatten": "Flatten", "images": "ImageData", "innerproduct": "InnerProduct", "lrn": "LRN"},
    **{"multinomial_logistic_loss": "MultinomialLogisticLoss", "padding": "Padding"},
    **{"pool": "Pooling", "relu": "ReLU", "sigmoid": "Sigmoid", "softmax": "Softmax"},
    **{"softmax_loss": "SoftmaxWithLoss", "split": "Split", "tanh": "TanH"},
}
"""Types of the oldest files."""


class Transform(NamedTuple):
    """Preprocessing of a data layer.

    Attributes:
        mean: Means that are subtracted, one or one for each channel; empty if none.
        scale: Factor after that.
        crop_size: Side of the crops, in pixels; 0 if not cropped.
        mean_file: Path of an image that is subtracted; empty if none.
    """

    mean: tuple[float, ...]
    scale: float
    crop_size: int
    mean_file: str


@dataclass(frozen=True, eq=False)
class CaffeLayer:
    """A layer; what does not apply to its type is None.

    Attributes:
        name: Name.
        type: Type, as in today's files.
        inputs: Names of the blobs read.
        outputs: Names of the blobs written.
        blobs: Learned parameters.
        window: Kernel, stride and padding of a convolution or pool.
        average: Whether a pool takes another value than the maximum.
        over_map: Whether a pool covers the whole map.
        lrn: Constants of a local response normalisation.
        slope: Slope of a ReLU below 0.
        transposed: Whether the weights of a fully connected layer lie transposed.
        epsilon: Added to the variance by a batch normalisation.
        transform: Preprocessing.
        input_shape: Shape of the images of an input layer; empty if not said.
    """

    name: str
    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    blobs: tuple[Message, ...]
    window: Window | None = None
    average: bool = False
    over_map: bool = False
    lrn: Lrn | None = None
    slope: float = 0.0
    transposed: bool = False
    epsilon: float = 1e-5
    transform: Transform | None = None
    input_shape: tuple[int, ...] = ()


TODAYS_NUMBERS = {
    **{"name": 1, "inputs": 3, "outputs": 4, "blobs": 7, "convolution": 106, "dense": 117},
    **{"pooling": 121, "lrn": 118, "relu": 123, "norm": 139, "transform": 100, "input": 143},
}
NUMBERS_2014 = {
    **{"name": 4, "inputs": 2, "outputs": 3, "blobs": 6, "convolution": 10, "dense": 17},
    **{"pooling": 19, "lrn": 18, "relu": 30, "norm": -1, "transform": 36, "input": -1},
}


def read_layers(net: Message) -> list[CaffeLayer]:
    """Return the layers of a ``NetParameter`` in the order of the file.

    Raises:
        WireError: They are damaged, or too many.
        ModelError: One is of a kind that no VGG net has.
    """
    older, newer = net.messages(2), net.messages(100)
    if older and newer:
        raise WireError("layers of two generations of the format are mixed")
    if len(older) + len(newer) > MOST_LAYERS:
        raise WireError(f"more than {MOST_LAYERS:,} layers")
    return [_read_layer(layer, 2 in net) for layer in older or newer]


def _read_layer(layer: Message, older: bool) -> CaffeLayer:
    if older and (oldest := layer.message(1)) is not None:
        return _read_oldest(layer, oldest)
    numbers = NUMBERS_2014 if older else TODAYS_NUMBERS
    number = layer.integer(5) if older else 0
    kind = NUMBERED_TYPES.get(number, f"type {number}") if older else layer.text(2)
    convolution, pooling = layer.message(numbers["convolution"]), layer.message(numbers["pooling"])
    lrn, dense = layer.message(numbers["lrn"]), layer.message(numbers["dense"])
    relu, norm = layer.message(numbers["relu"]), layer.message(numbers["norm"])
    window = _window(convolution, CONVOLUTION) if convolution else None
    _check_axes(convolution, dense)
    return CaffeLayer(
        name=layer.text(numbers["name"]),
        type=kind,
        inputs=_names(layer, numbers["inputs"]),
        outputs=_names(layer, numbers["outputs"]),
        blobs=_blobs(layer, numbers["blobs"]),
        window=_window(pooling, POOLING) if pooling else window,
        average=pooling is not None and pooling.integer(1) != 0,
        over_map=pooling is not None and pooling.integer(12) != 0,
        lrn=_lrn(lrn) if kind == "LRN" else None,
        slope=relu.floating(1) if relu else 0.0,
        transposed=dense is not None and dense.integer(6) != 0,
        epsilon=norm.floating(3, 1e-5) if norm else 1e-5,
        transform=_transform(layer.message(numbers["transform"])),
        input_shape=_input_shape(layer.message(numbers["input"])),
    )


def _read_oldest(layer: Message, inner: Message) -> CaffeLayer:
    kind = inner.text(2)
    side, stride, pad = inner.integer(8), inner.integer(10, 1), inner.integer(7)
    values = (inner.integer(13, 5), inner.floating(14, 1.0), inner.floating(15, 0.75))
    transform = Transform((), inner.floating(17, 1.0), inner.integer(20), inner.text(18))
    return CaffeLayer(
        name=inner.text(1),
        type=OLDEST_TYPES.get(kind, kind),
        inputs=_names(layer, 2),
        outputs=_names(layer, 3),
        blobs=_blobs(inner, 50),
        window=Window((side, side), (stride, stride), (pad,) * 4, groups=inner.integer(9, 1)),
        average=inner.integer(11) != 0,
        lrn=Lrn(*values, inner.floating(22, 1.0)) if kind == "lrn" else None,
        transform=transform if kind in ("data", "images") else None,
    )


def _names(layer: Message, number: int) -> tuple[str, ...]:
    names = layer.texts(number)
    if len(names) > MOST_NAMES:
        raise WireError(f"more than {MOST_NAMES} blobs of a layer")
    return tuple(names)


def _blobs(layer: Message, number: int) -> tuple[Message, ...]:
    blobs = layer.messages(number)
    if len(blobs) > MOST_BLOBS:
        raise WireError(f"more than {MOST_BLOBS} parameters of a layer")
    return tuple(blobs)


class _Sides(NamedTuple):
    """Number of a repeated field, and those that give height and width singly."""

    both: int
    height: int
    width: int


CONVOLUTION = {"kernel": _Sides(4, 11, 12), "stride": _Sides(6, 13, 14), "pad": _Sides(3, 9, 10)}
POOLING = {"kernel": _Sides(2, 5, 6), "stride": _Sides(3, 7, 8), "pad": _Sides(4, 9, 10)}


def _window(message: Message, numbers: Mapping[str, _Sides]) -> Window:
    height, width = _pair(message, numbers["pad"], 0)
    is_convolution = numbers is CONVOLUTION
    return Window(
        _pair(message, numbers["kernel"], 0),
        _pair(message, numbers["stride"], 1),
        (height, width, height, width),
        _pair(message, _Sides(18, -1, -1), 1) if is_convolution else (1, 1),
        message.integer(5, 1) if is_convolution else 1,
    )


def _pair(message: Message, numbers: _Sides, default: int) -> tuple[int, int]:
    if numbers.height in message or numbers.width in message:
        return message.integer(numbers.height, default), message.integer(numbers.width, default)
    given = message.integers(numbers.both) or [default]
    if len(given) > 2:
        raise ModelError("has a layer with more than two spatial dimensions, as no VGG net")
    return given[0], given[-1]


def _check_axes(convolution: Message | None, dense: Message | None) -> None:
    for message, number in ((convolution, 16), (dense, 5)):
        if message and message.integer(number, 1) != 1:
            raise ModelError("has a layer along another axis than the channels, as no VGG net")


def _lrn(message: Message | None) -> Lrn:
    message = message or Message(memoryview(b""))
    if message.integer(4):
        raise ModelError("normalises locally within a channel, as no VGG net does")
    alpha, beta = message.floating(2, 1.0), message.floating(3, 0.75)
    return Lrn(message.integer(1, 5), alpha, beta, message.floating(5, 1.0))


def _transform(message: Message | None) -> Transform | None:
    if message is None:
        return None
    values = message.numbers(5, 4).tolist() if message.count_numbers(5, 4) <= MOST_NAMES else []
    return Transform(tuple(values), message.floating(1, 1.0), message.integer(3), message.text(4))


def _input_shape(message: Message | None) -> tuple[int, ...]:
    shape: Sequence[Message] = message.messages(1) if message else ()
    return tuple(shape[0].integers(1)) if shape else ()
