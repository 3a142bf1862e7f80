"""The way of the data through an ONNX graph, node by node.

O outputs, I inputs, h, w sides of a kernel, D numbers that a fully connected layer reads, C
channels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from verydeep.errors import ModelError, printable
from verydeep.models.weights.formats.chain import NO_PADDING, Chain, Lrn, Padding
from verydeep.models.weights.formats.longest_path import Step, longest_path
from verydeep.models.weights.formats.onnx.constants import Constants, scalar_or_vector
from verydeep.models.weights.formats.onnx.layers import convolution, fully_connected
from verydeep.models.weights.formats.onnx.nodes import has, integer, integers, node_name, real
from verydeep.models.weights.formats.onnx.preprocessing import Preprocessing
from verydeep.models.weights.formats.onnx.windows import padding_of, pool_window
from verydeep.models.weights.formats.values import to_tensor
from verydeep.models.weights.source import BatchNorm, Flatten

Layout = Literal["nchw", "nhwc", "flat"]
"""How the axes of the data lie."""

TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]

MAIN_DOMAINS = ("", "ai.onnx")

WEIGHTED = ("Conv", "Gemm", "MatMul")
HARMLESS = ("Identity", "Cast", "Dropout", "ArgMax")
QUANTIZED = (
    *("QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger"),
    *("MatMulInteger", "DynamicQuantizeLinear", "QGemm"),
)


class Walk:
    """Follows the data from the input of a graph through its layers.

    Args:
        graph: A ``GraphProto``.
        folder: Folder of the file, for weights stored beside it.
    """

    def __init__(self, graph: Any, folder: Path) -> None:
        self.chain = Chain(complete=True)
        self.constants = Constants(folder, graph.initializer)
        self.inputs = [one for one in graph.input if one.name not in self.constants]
        self.preprocessing = Preprocessing()
        self._padding = NO_PADDING
        self._flatten: Flatten = "chw"
        self._data = {one.name for one in self.inputs}
        self._dynamic: set[str] = set()
        self._path = self._find_path(graph.node)
        self._layout: Layout = self._first_layout()
        self.starts_with_channels = self._layout == "nchw"

    def _find_path(self, nodes: Any) -> list[Any]:
        """Return the nodes from the input to the scores; report layers on branches."""
        steps, found = [], []
        for node in nodes:
            if node.op_type in QUANTIZED:
                raise ModelError(
                    f"the weights must be floating-point numbers; the graph is "
                    f"quantized ({printable(node_name(node))}). Export it before quantization"
                )
            if not self._reads_data(node):
                continue
            inputs = tuple(name for name in node.input if name in self._data)
            steps.append(Step(inputs, tuple(node.output), self._has_weights(node)))
            found.append(node)
        places = longest_path(steps)
        for place in sorted({*range(len(steps))} - {*places}):
            if steps[place].has_weights:
                name = printable(node_name(found[place]))
                self.chain.ignore(f"{name}: {found[place].op_type} on a branch")
        return [found[place] for place in places]

    def _reads_data(self, node: Any) -> bool:
        """Return whether a node computes on the images, and note where its outputs belong."""
        inputs = [name for name in node.input if name]
        for name in inputs:
            if not (name in self._data or name in self._dynamic or name in self.constants):
                raise ModelError(
                    f"{printable(node_name(node))} reads {printable(name)}, which no "
                    "node before it writes; the file is damaged, export it again"
                )
        outputs = {name for name in node.output if name}
        if any(name in self._data for name in inputs) and node.op_type not in ("Shape", "Size"):
            self._data |= outputs
            return True
        if any(name in self._data or name in self._dynamic for name in inputs):
            self._dynamic |= outputs  # sizes of maps, which only shape them
        else:
            self.constants.add(node)
        return False

    def _has_weights(self, node: Any) -> bool:
        in_core = node.op_type in WEIGHTED and node.domain in MAIN_DOMAINS
        return in_core and len(node.input) > 1 and node.input[1] in self.constants

    def _first_layout(self) -> Layout:
        for node in self._path:
            if node.op_type == "Transpose":
                return "nhwc" if integers(node, "perm") == TO_NCHW else "nchw"
            if node.op_type == "Conv":
                break
        return "nchw"

    def run(self) -> None:
        """Collect the layers.

        Raises:
            ModelError: The graph is damaged, or no VGG net.
        """
        for node in self._path:
            if node.domain in MAIN_DOMAINS and sum(one in self._data for one in node.input) == 1:
                self._visit(node)
            else:
                self._other(node)

    def _visit(self, node: Any) -> None:
        match node.op_type:
            case "Conv" if self._has_weights(node) and self._layout == "nchw":
                self.chain.convolution(*convolution(node, self.constants, self._take_padding()))
            case "Gemm" | "MatMul" if self._has_weights(node):
                self.chain.fully_connected(
                    fully_connected(node, self.constants, self._take_flatten())
                )
            case "Add" | "Sub" | "Mul" | "Div":
                self._arithmetic(node)
            case "BatchNormalization":
                self._batch_norm(node)
            case "Relu" | "Clip" if self._is_relu(node):
                self.chain.relu()
            case "Softmax" | "LogSoftmax":
                self.chain.softmax(node_name(node))
            case "MaxPool" | "AveragePool":
                window = pool_window(node, self._take_padding())
                average = node.op_type == "AveragePool"
                self.chain.pool(node_name(node), window, average=average)
            case "LRN":
                lrn = Lrn(integer(node, "size", 0), real(node, "alpha", 1e-4), *_beta_and_k(node))
                self.chain.normalize_locally(node_name(node), lrn)
            case "Pad" if (more := padding_of(node, self.constants, self._layout)) is not None:
                top, left, bottom, right = (a + b for a, b in zip(self._padding, more, strict=True))
                self._padding = (top, left, bottom, right)
            case "Transpose" | "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze":
                self._reshape(node)
            case "Gather" | "Slice" if not self.chain.layers and self._reverses_channels(node):
                self.preprocessing = self.preprocessing.flip()
            case kind if kind not in HARMLESS:
                self._other(node)

    def _other(self, node: Any) -> None:
        joins = sum(one in self._data for one in node.input) > 1
        what = "a node that joins two ways of the data" if joins else "a node of type"
        kind = f"({printable(node.op_type)})" if joins else printable(node.op_type)
        self.chain.other(node_name(node), f"{what} {kind}")

    def _take_padding(self) -> Padding:
        padding, self._padding = self._padding, NO_PADDING
        return padding

    def _take_flatten(self) -> Flatten:
        order, self._flatten, self._layout = self._flatten, "chw", "flat"
        return order

    def _axis(self) -> tuple[int, int]:
        """Return the axis of the channels and the rank of the data."""
        return {"nchw": (1, 4), "nhwc": (3, 4), "flat": (1, 2)}[self._layout]

    def _arithmetic(self, node: Any) -> None:
        """Take up a sum, difference, product or quotient with a constant."""
        first_is_data = node.input[0] in self._data
        name = node.input[1 if first_is_data else 0]
        if name not in self.constants or (node.op_type in ("Sub", "Div") and not first_is_data):
            self._other(node)
            return
        shape = self.constants.shape(name)
        small = shape is None or np.prod(shape) <= 2**16
        value = scalar_or_vector(self.constants.value(name), *self._axis()) if small else None
        if value is None or value.dtype.kind != "f":
            self._other(node)
            return
        one, zero = np.ones(len(value)), np.zeros(len(value))
        with np.errstate(all="ignore"):
            numbers = value.astype(np.float64)
            scale, shift = {
                "Add": (one, numbers),
                "Sub": (one, -numbers),
                "Mul": (numbers, zero),
                "Div": (1 / numbers, zero),
            }[node.op_type]
        self._affine(node, scale, shift, value.dtype)

    def _affine(self, node: Any, scale: np.ndarray, shift: np.ndarray, dtype: np.dtype) -> None:
        name = node_name(node)
        if not self.chain.layers:
            if len(scale) in (1, 3) and np.isfinite([scale, shift]).all():
                self.preprocessing = self.preprocessing.then(scale, shift)
            else:
                self._other(node)
            return
        channels = len(self.chain.layers[-1].weight)
        size = channels if len(scale) == 1 else len(scale)
        factor, offset = (
            to_tensor(np.broadcast_to(one, size).astype(dtype), name) for one in (scale, shift)
        )
        if node.op_type in ("Add", "Sub"):
            self.chain.bias(name, offset)
        else:
            self.chain.affine(name, factor, offset)

    def _batch_norm(self, node: Any) -> None:
        constants = [name for name in node.input[1:5] if name in self.constants]
        if len(constants) != 4 or self._layout == "nhwc" or integer(node, "spatial", 1) != 1:
            self._other(node)
            return
        scale, shift, mean, variance = (self._vector(name) for name in constants)
        if len({len(scale), len(shift), len(mean), len(variance)}) != 1:
            raise ModelError(
                f"the statistics of {printable(node_name(node))} must be one for "
                "each channel; the file is damaged, export it again"
            )
        norm = BatchNorm(scale, shift, mean, variance, real(node, "epsilon", 1e-5))
        if self.chain.layers:
            self.chain.norm(node_name(node), norm)
            return
        factor = (scale / (variance + norm.epsilon).sqrt()).double()
        offset = shift.double() - mean.double() * factor
        self._affine(node, factor.numpy(), offset.numpy(), np.dtype(np.float64))

    def _vector(self, name: str) -> Tensor:
        return to_tensor(self.constants.value(name).reshape(-1), name)

    def _is_relu(self, node: Any) -> bool:
        """Return whether a node is a ReLU, or a Clip with the lower bound 0 and no upper one."""
        if node.op_type == "Relu":
            return True
        if len(node.input) > 1 or not has(node, "min"):
            bounds = [self._bound(node, place) for place in (1, 2)]
        else:
            bounds = [real(node, "min", -np.inf), real(node, "max", np.inf)]
        return bounds[0] == 0 and bounds[1] > 1e30

    def _bound(self, node: Any, place: int) -> float:
        name = node.input[place] if len(node.input) > place else ""
        if not name:
            return (-np.inf, np.inf)[place - 1]
        value = self.constants.value(name) if name in self.constants else np.empty(0)
        return float(value.reshape(-1)[0]) if value.size == 1 else float("nan")

    def _reshape(self, node: Any) -> None:
        """Follow the axes of the data; a flattened map keeps the order of its axes."""
        perm = integers(node, "perm")
        match node.op_type:
            case "Transpose" if perm == TO_NCHW and self._layout == "nhwc":
                self._layout = "nchw"
            case "Transpose" if perm == TO_NHWC and self._layout == "nchw":
                self._layout = "nhwc"
            case "Transpose":
                self._other(node)
            case "Flatten" if integer(node, "axis", 1) not in (1, -3):
                self._other(node)
            case "Reshape" if self._keeps_map(node):
                self._other(node)
            case _ if self._layout != "flat":
                self._flatten = "hwc" if self._layout == "nhwc" else "chw"
                self._layout = "flat"

    def _keeps_map(self, node: Any) -> bool:
        """Return whether a Reshape makes something else than a list of vectors."""
        name = node.input[1] if len(node.input) > 1 else ""
        if name not in self.constants:
            return False  # computed from the size of the batch
        return self.constants.value(name).size > 2

    def _reverses_channels(self, node: Any) -> bool:
        axis, rank = self._axis()
        others = [self.constants.value(one) for one in node.input[1:] if one in self.constants]
        if node.op_type == "Gather":
            same = integer(node, "axis", 0) in (axis, axis - rank)
            return same and len(others) == 1 and others[0].ravel().tolist() == [2, 1, 0]
        if len(others) != 4:
            return False
        start, _, axes, step = (one.ravel().tolist() for one in others)
        return axes in ([axis], [axis - rank]) and step == [-1] and start in ([-1], [2])


def _beta_and_k(node: Any) -> tuple[float, float]:
    return real(node, "beta", 0.75), real(node, "bias", 1.0)
