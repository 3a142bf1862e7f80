"""Layers of a net as operators of an ONNX graph.

N images, C channels, H height, W width; D outputs, C inputs and sides of a kernel.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from verydeep.models.export.builder import GraphBuilder
from verydeep.models.export.folding import fold_norm
from verydeep.nets.googlenet import Inception
from verydeep.nets.lecun1989 import BACKGROUND, ScaledTanh, UnsharedBias
from verydeep.nets.senet import Bottleneck, Gate
from verydeep.nets.windows import window_of


def add_layers(build: GraphBuilder, prefix: str, layers: Iterable[tuple[str, nn.Module]]) -> str:
    """Add layers that follow one another, and return the last output.

    A batch normalisation is folded into the convolution before it.

    Args:
        build: The graph, continued from its last value.
        prefix: Begin of the names of all outputs.
        layers: Name and module of each layer.
    """
    for (name, module), (_, after) in pairwise(chain(layers, [("", None)])):
        assert module is not None
        if not isinstance(module, nn.BatchNorm2d):
            add_layer(build, f"{prefix}.{name}", module, after)
    return build.last


def add_layer(
    build: GraphBuilder, output: str, module: nn.Module, after: nn.Module | None = None
) -> None:
    """Add one layer, with the batch normalisation after it, if there is one."""
    match module:
        case UnsharedBias():
            _add_unshared_bias(build, output, module)
        case nn.Conv2d():
            weight, bias = fold_norm(module, after)
            slide = window_of(module)
            add_convolution(build, output, weight, bias, slide.padding, slide.stride, module.groups)
        case nn.ReLU():
            build.then("Relu", output)
        case ScaledTanh():
            add_scaled_tanh(build, output)
        case nn.LocalResponseNorm(size=size, alpha=alpha, beta=beta, k=bias):
            build.then("LRN", output, size=size, alpha=alpha, beta=beta, bias=bias)
        case nn.MaxPool2d() | nn.AvgPool2d():
            _add_pool(build, output, module)
        case nn.Dropout():
            pass
        case Inception():
            _add_inception(build, output, module)
        case Bottleneck():
            _add_bottleneck(build, output, module)
        case Gate():
            _add_gate(build, output, module)
        case nn.Sequential():
            add_layers(build, output, module.named_children())
        case _:
            raise AssertionError(f"{output}: no operator for {type(module).__name__}")


def add_convolution(
    build: GraphBuilder,
    output: str,
    weight: NDArray[Any],
    bias: NDArray[Any],
    padding: int = 0,
    stride: int = 1,
    groups: int = 1,
) -> None:
    """Add a convolution with weights (D, C, s, s) and biases (D,)."""
    names = (
        build.constant(f"{output}.weight", weight),
        build.constant(f"{output}.bias", bias),
    )
    more: dict[str, Any] = {} if stride == 1 else {"strides": [stride] * 2}
    more |= {} if groups == 1 else {"group": groups}
    kernel = list(weight.shape[2:])
    build.then("Conv", output, *names, kernel_shape=kernel, pads=[padding] * 4, **more)


def _add_unshared_bias(build: GraphBuilder, output: str, module: UnsharedBias) -> None:
    pads = np.array([0, 0, 2, 2, 0, 0, 2, 2], np.int64)
    background = np.array(BACKGROUND, np.float32)
    build.then(
        "Pad",
        f"{output}.padded",
        build.constant(f"{output}.pads", pads),
        build.constant(f"{output}.background", background),
    )
    kernels = build.constant(f"{output}.weight", as_array(module.kernels()))
    build.then("Conv", f"{output}.sums", kernels, kernel_shape=[5, 5], strides=[2, 2])
    build.then("Add", output, build.constant(f"{output}.bias", as_array(module.bias)[None]))


def add_scaled_tanh(build: GraphBuilder, output: str) -> None:
    """Add the scaled tanh; see :class:`verydeep.nets.lecun1989.ScaledTanh`."""
    inner, outer = (
        build.constant(f"{output}.{name}", np.array(value, np.float32))
        for name, value in (("inner", ScaledTanh.INNER), ("outer", ScaledTanh.OUTER))
    )
    build.then("Mul", f"{output}.scaled", inner)
    build.then("Tanh", f"{output}.tanh")
    build.then("Mul", output, outer)


def _add_inception(build: GraphBuilder, output: str, module: Inception) -> None:
    below, ends = build.last, []
    for name, branch in module.named_children():
        build.last = below
        ends.append(add_layers(build, f"{output}.{name}", [("branch", branch)]))
    build.last = build.node("Concat", ends, output, axis=1)


def _add_bottleneck(build: GraphBuilder, output: str, module: Bottleneck) -> None:
    below = build.last
    deep = add_layers(build, output, [("body", module.body)])
    build.last = below
    kept = (
        below
        if module.shortcut is None
        else add_layers(build, output, [("short", module.shortcut)])
    )
    build.last = build.node("Add", [deep, kept], f"{output}.sum")
    build.then("Relu", output)


def _add_gate(build: GraphBuilder, output: str, module: Gate) -> None:
    below = build.last
    build.then("GlobalAveragePool", f"{output}.means")
    add_layers(build, output, [("fc1", module.fc1), ("relu", module.relu), ("fc2", module.fc2)])
    factors = build.then("Sigmoid", f"{output}.factors")
    build.last = build.node("Mul", [below, factors], output)


def _add_pool(build: GraphBuilder, output: str, module: nn.MaxPool2d | nn.AvgPool2d) -> None:
    slide = window_of(module)
    more: dict[str, Any] = {"ceil_mode": 1} if slide.ceil else {}
    more |= {"pads": [slide.padding] * 4} if slide.padding else {}
    operator = "MaxPool" if isinstance(module, nn.MaxPool2d) else "AveragePool"
    window, strides = [slide.kernel] * 2, [slide.stride] * 2
    build.then(operator, output, kernel_shape=window, strides=strides, **more)


def as_array(tensor: Tensor) -> NDArray[np.float32]:
    """Return weights as an array in float32."""
    return tensor.detach().float().cpu().numpy()
