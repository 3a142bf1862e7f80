"""Weights of an ONNX graph in 8 bits.

O outputs of a layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import ModelProto

LEVELS = 127
"""Largest 8-bit integer; values are symmetric about zero."""


def with_int8_weights(model: ModelProto) -> None:
    """Store the weights of convolutions and fully connected layers in 8 bits, in place.

    Every output of a layer has a scale of its own: its largest absolute weight is 127. The graph
    converts the weights back to float32, in which everything is computed.

    Args:
        model: ONNX model with float32 weights (O, …).
    """
    from onnx import helper, numpy_helper

    graph: Any = model.graph
    arrays = {one.name: one for one in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm"):
            name = node.input[1]
            values, scale = rounded(numpy_helper.to_array(arrays[name]))
            arrays[name].CopyFrom(numpy_helper.from_array(values, name))
            graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
            back = f"{name}.float32"
            inputs = [name, f"{name}.scale"]
            nodes.append(helper.make_node("DequantizeLinear", inputs, [back], name=back, axis=0))
            node.input[1] = back
        nodes.append(node)
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def rounded(
    weights: NDArray[np.float32],
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return weights (O, …) as integers from -127 to 127, and the scale of each output (O,).

    >>> values, scale = rounded(np.array([[1.0, -0.5], [0.0, 0.0]], np.float32))
    >>> values.tolist(), np.round(scale * 127, 6).tolist()
    ([[127, -64], [0, 0]], [1.0, 127.0])
    """
    largest = np.abs(weights.reshape(len(weights), -1)).max(1)
    usual = largest > LEVELS * np.finfo(np.float32).tiny
    scale = np.where(usual, largest / LEVELS, 1).astype(np.float32)
    shape = (-1,) + (1,) * (weights.ndim - 1)
    return np.rint(weights / scale.reshape(shape)).astype(np.int8), scale
