"""Caffe weights by OpenCV's own reader of them.

N images, S input size, K classes, C channels, s side of the last map.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verydeep.errors import ModelError, printable
from verydeep.models.weights.formats.caffe.layers import CaffeLayer
from verydeep.models.weights.formats.caffe.reader import all_layers, layers_on_path, output_count
from verydeep.models.weights.imported import Imported
from verydeep.models.weights.runtimes.library import library, running

NAME = "OpenCV"


def run(imported: Imported, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return class scores or probabilities (N, K), or the last map (N, C, s, s) without head.

    A file of Caffe weights is no net by itself: the description of the net that OpenCV wants beside
    it is written from the layers in the file. OpenCV finds no weights in files from before 2014.

    Args:
        imported: The net made of the file.
        pixels: Images as the source's net reads them, (N, 3, S, S), channels in its order.

    Raises:
        MissingExtra: OpenCV is not installed.
        ModelError: OpenCV cannot run the file, or is of a version without a reader of Caffe.
    """
    cv2 = library("cv2", NAME)
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        raise ModelError(
            f"OpenCV {cv2.__version__} no longer reads Caffe; comparing needs version 4: "
            "pip install 'opencv-python-headless<5'"
        )
    with running(imported, NAME), _silent(cv2.utils.logging):
        description = describe(imported).encode()
        net = cv2.dnn.readNetFromCaffe(
            np.frombuffer(description, np.uint8), np.fromfile(imported.path, np.uint8)
        )
        answers = np.concatenate([_answer(net, image[None]) for image in pixels])
    return answers.reshape(len(pixels), -1) if imported.match.head else answers


@contextmanager
def _silent(logging: Any) -> Iterator[None]:
    """Keep OpenCV from printing what it raises anyway."""
    level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)


def _answer(net: Any, image: NDArray[np.float32]) -> NDArray[np.float32]:
    net.setInput(np.ascontiguousarray(image))
    return np.array(net.forward(), np.float32)


def describe(imported: Imported) -> str:
    """Return the net of a file as Caffe's ``prototxt``, up to the last layer that was taken."""
    if imported.match.name == "googlenet":
        return describe_branches(imported)
    size = imported.config.net.input_size
    parts = [
        'input: "data"',
        f"input_shape {{ dim: 1 dim: 3 dim: {size} dim: {size} }}",
    ]
    at = "data"
    for number, layer in enumerate(_needed(imported)):
        settings = _settings(layer, imported)
        if settings is None:
            continue
        top = f"top{number}"
        parts.append(
            f'layer {{ name: "{_quoted(layer.name)}" type: "{layer.type}" bottom: "{at}" '
            f'top: "{top}" {settings} }}'
        )
        at = top
    return "\n".join(parts)


def describe_branches(imported: Imported) -> str:
    """Return a net with branches as ``prototxt``, wired as the file says, up to its last layer.

    Raises:
        ModelError: The file does not say how its layers are wired.
    """
    size = imported.config.net.input_size
    parts = [
        'input: "data"',
        f"input_shape {{ dim: 1 dim: 3 dim: {size} dim: {size} }}",
    ]
    layers = all_layers(imported.path)
    if not any(layer.inputs for layer in layers):
        raise ModelError(f"{printable(imported.path)}: has weights alone, which {NAME} cannot run")
    last = imported.match.head[-1].source.name
    for layer in _used(layers, last):
        settings = _branch_settings(layer)
        ends = [f'bottom: "{_quoted(blob)}"' for blob in layer.inputs]
        ends += [f'top: "{_quoted(blob)}"' for blob in layer.outputs]
        name = _quoted(layer.name)
        parts.append(f'layer {{ name: "{name}" type: "{layer.type}" {" ".join(ends)} {settings} }}')
    return "\n".join(parts)


def _used(layers: Sequence[CaffeLayer], last: str) -> list[CaffeLayer]:
    """Return the layers that the last one depends on, in order."""
    place = next(place for place, layer in enumerate(layers) if layer.name == last)
    blobs, used = {*layers[place].outputs}, []
    for layer in reversed(layers[: place + 1]):
        if layer.inputs and blobs & {*layer.outputs}:
            blobs |= {*layer.inputs}
            used.append(layer)
    return used[::-1]


def _branch_settings(layer: CaffeLayer) -> str:
    """Return the parameters of a layer as the file has them."""
    window = layer.window
    outputs = output_count(layer)
    bias = str(len(layer.blobs) > 1).lower()
    slides = ""
    if layer.over_map:
        slides = "global_pooling: true"
    elif window is not None:
        slides = (
            f"kernel_size: {window.kernel[0]} stride: {window.stride[0]} pad: {window.padding[0]}"
        )
    match layer.type:
        case "Convolution":
            return f"convolution_param {{ num_output: {outputs} {slides} bias_term: {bias} }}"
        case "InnerProduct":
            return f"inner_product_param {{ num_output: {outputs} bias_term: {bias} }}"
        case "LRN" if layer.lrn:
            number, alpha, beta, k = layer.lrn
            return f"lrn_param {{ local_size: {number} alpha: {alpha!r} beta: {beta!r} k: {k!r} }}"
        case "Pooling":
            return f"pooling_param {{ pool: {'AVE' if layer.average else 'MAX'} {slides} }}"
    return ""


def _needed(imported: Imported) -> Iterator[CaffeLayer]:
    """Yield the layers up to the last one that was taken, or to the pool after it."""
    match = imported.match
    last = (match.head or match.convolutions)[-1].source.name
    layers = layers_on_path(imported.path)
    passed = False
    for layer in layers:
        yield layer
        passed = passed or layer.name == last
        if passed and (match.head or layer.type == "Pooling"):
            return
    if not match.head:
        raise ModelError(f"{printable(imported.path)}: no pool follows {printable(last)}")


def _settings(layer: CaffeLayer, imported: Imported) -> str | None:
    """Return the parameters of a layer; None for one that computes nothing."""
    outputs = {
        one.source.name: one.source for one in (*imported.match.convolutions, *imported.match.head)
    }
    bias = str(len(layer.blobs) > 1).lower()
    match layer.type:
        case "Convolution":
            source = outputs[layer.name]
            side = source.weight.shape[2]
            pad = side // 2 if side <= 3 else 0
            return (
                f"convolution_param {{ num_output: {len(source.weight)} kernel_size: {side} "
                f"pad: {pad} bias_term: {bias} }}"
            )
        case "InnerProduct":
            flipped = str(layer.transposed).lower()
            return (
                f"inner_product_param {{ num_output: {len(outputs[layer.name].weight)} "
                f"bias_term: {bias} transpose: {flipped} }}"
            )
        case "BatchNorm":
            return f"batch_norm_param {{ use_global_stats: true eps: {layer.epsilon!r} }}"
        case "Scale":
            return f"scale_param {{ bias_term: {bias} }}"
        case "LRN" if layer.lrn:
            size, alpha, beta, k = layer.lrn
            return f"lrn_param {{ local_size: {size} alpha: {alpha!r} beta: {beta!r} k: {k!r} }}"
        case "Pooling" if layer.window:
            kernel, stride = layer.window.kernel[0], layer.window.stride[0]
            return f"pooling_param {{ pool: MAX kernel_size: {kernel} stride: {stride} }}"
        case "ReLU":
            return ""
    return None


def _quoted(name: str) -> str:
    return "".join(
        one if one.isascii() and one.isprintable() and one not in '\\"' else f"\\{byte:03o}"
        for one in name
        for byte in one.encode()
    )
