"""Convolutions and fully connected layers of ONNX nodes.

O outputs, I inputs, h, w sides of a kernel, D numbers that a fully connected layer reads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from verydeep.errors import ModelError, printable
from verydeep.models.weights.formats.chain import Padding, Window
from verydeep.models.weights.formats.onnx.constants import Constants
from verydeep.models.weights.formats.onnx.nodes import integer, node_name, real
from verydeep.models.weights.formats.onnx.windows import window
from verydeep.models.weights.formats.values import to_tensor
from verydeep.models.weights.source import Flatten, SourceLayer


def convolution(node: Any, constants: Constants, before: Padding) -> tuple[SourceLayer, Window]:
    """Return the layer of a Conv node, and how it slides.

    Args:
        node: The node.
        constants: Constants of the graph.
        before: Padding by nodes before it.

    Raises:
        ModelError: Its weights are no kernels.
    """
    name = layer_name(node)
    weight = to_tensor(constants.value(node.input[1]), name)
    if weight.dim() != 4 or not weight.numel():
        raise _shape_error(name, "OxIxhxw", weight.shape)
    height, width = weight.shape[2:]
    layer = SourceLayer(name, weight, _bias(node, constants, len(weight), 1.0))
    return layer, window(node, (height, width), before)


def fully_connected(node: Any, constants: Constants, flatten: Flatten) -> SourceLayer:
    """Return the layer of a Gemm or MatMul node.

    Args:
        node: The node.
        constants: Constants of the graph.
        flatten: Order of its inputs.

    Raises:
        ModelError: Its weights are no matrix.
    """
    name = layer_name(node)
    matrix = constants.value(node.input[1])
    if matrix.ndim != 2 or not matrix.size:
        raise _shape_error(name, "a matrix", matrix.shape)
    is_gemm = node.op_type == "Gemm"
    if is_gemm and integer(node, "transA", 0):
        raise ModelError(
            f"{printable(name)} must read one image a row; it transposes its input, so "
            "this net cannot be imported"
        )
    if not (is_gemm and integer(node, "transB", 0)):
        matrix = matrix.T
    weight = to_tensor(matrix, name)
    if is_gemm and (factor := real(node, "alpha", 1.0)) != 1:
        weight = weight * factor
    bias = _bias(node, constants, len(weight), real(node, "beta", 1.0)) if is_gemm else None
    return SourceLayer(name, weight, bias, flatten=flatten)


def layer_name(node: Any) -> str:
    """Return the name of a layer: that of its weights in PyTorch, else that of the node."""
    weights = str(node.input[1])
    return weights.removesuffix(".weight") if weights.endswith(".weight") else node_name(node)


def _bias(node: Any, constants: Constants, outputs: int, factor: float) -> Any:
    name = node.input[2] if len(node.input) > 2 else ""
    if not name:
        return None
    if name not in constants:
        raise ModelError(f"the biases of {printable(layer_name(node))} must be constants")
    values = constants.value(name)
    if values.size not in (1, outputs) or max(values.shape, default=1) != values.size:
        raise _shape_error(layer_name(node), f"{outputs} biases", values.shape)
    values = np.broadcast_to(values.reshape(-1), outputs)
    return to_tensor(values, layer_name(node)) * factor


def _shape_error(name: str, rule: str, shape: tuple[int, ...]) -> ModelError:
    found = "x".join(map(str, shape)) or "a number"
    return ModelError(f"the weights of {printable(name)} must be {rule}; they are {found}")
