"""Small ONNX graphs, as exporters write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


class Graph:
    """Nodes one after another, each of which reads the last one's output."""

    def __init__(self, shape: Sequence[Any] = ("N", 3, 8, 8), opset: int = 17) -> None:
        self.shape, self.opset = shape, opset
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.at = "input"

    def constant(self, values: np.ndarray, name: str = "") -> str:
        name = name or f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(self, kind: str, *inputs: np.ndarray | str, name: str = "", **attributes: Any) -> Graph:
        """Append a node; further inputs are arrays or names."""
        names = [one if isinstance(one, str) else self.constant(one) for one in inputs]
        output = f"{kind}_{len(self.nodes)}"
        node = helper.make_node(
            kind, [self.at, *names], [output], name=name or output, **attributes
        )
        self.nodes.append(node)
        self.at = output
        return self

    def computed(self, kind: str, *inputs: np.ndarray | str, **attributes: Any) -> str:
        """Append a node that computes a constant, and return the constant's name."""
        names = [one if isinstance(one, str) else self.constant(one) for one in inputs]
        output = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [output], **attributes))
        return output

    def conv(self, weight: np.ndarray | str, *bias: np.ndarray | str, **attributes: Any) -> Graph:
        attributes = {"pads": [1, 1, 1, 1]} | attributes
        return self.add("Conv", weight, *bias, **attributes)

    def relu(self) -> Graph:
        return self.add("Relu")

    def pool(self, **attributes: Any) -> Graph:
        return self.add("MaxPool", **({"kernel_shape": [2, 2], "strides": [2, 2]} | attributes))

    def model(self) -> ModelProto:
        value = helper.make_tensor_value_info("input", TensorProto.FLOAT, self.shape)
        out = helper.make_tensor_value_info(self.at, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "net", [value], [out], self.constants)
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="test")

    def data(self) -> bytes:
        return self.model().SerializeToString()

    def save(self, folder: Path) -> Path:
        path = folder / "net.onnx"
        path.write_bytes(self.data())
        return path


WEIGHTS = {
    **{"conv1": random(4, 3, 3, 3), "conv2": random(5, 4, 3, 3)},
    **{"fc1": random(6, 5 * 4 * 4), "fc2": random(3, 6)},
}
BIASES = {name: random(len(weight), seed=1) for name, weight in WEIGHTS.items()}


def pytorch() -> Graph:
    """Return a graph as of PyTorch's exporter: Conv, Flatten, Gemm."""
    graph = Graph()
    for name in ("conv1", "conv2"):
        place = graph.constant(WEIGHTS[name], f"features.{name}.weight")
        graph.conv(place, BIASES[name]).relu()
    graph.pool().add("AveragePool", kernel_shape=[1, 1]).add("Flatten", axis=1)
    graph.add("Gemm", WEIGHTS["fc1"], BIASES["fc1"], transB=1).relu().add("Dropout")
    return graph.add("Gemm", WEIGHTS["fc2"], BIASES["fc2"], transB=1)


def keras(preprocessing: bool = False) -> Graph:
    """Return a graph as of tf2onnx: channels last at both ends, MatMul and Add."""
    graph = Graph(("N", 8, 8, 3), opset=13)
    if preprocessing:
        graph.add("Gather", np.array([2, 1, 0]), axis=3)
        graph.add("Sub", np.array([103.939, 116.779, 123.68], np.float32))
    graph.add("Transpose", perm=[0, 3, 1, 2])
    for name in ("conv1", "conv2"):
        graph.conv(WEIGHTS[name], BIASES[name], pads=[1, 1, 1, 1]).relu()
    graph.pool()
    whole = graph.at
    graph.add("Transpose", perm=[0, 2, 3, 1])
    shape = helper.make_node("Shape", [whole], ["shape"])
    batch = helper.make_node("Slice", ["shape", "zero", "one"], ["batch"])
    joined = helper.make_node("Concat", ["batch", "minus"], ["sides"], axis=0)
    graph.nodes += [shape, batch, joined]
    for name, value in (("zero", 0), ("one", 1), ("minus", -1)):
        graph.constant(np.array([value]), name)
    graph.add("Reshape", "sides")
    order = WEIGHTS["fc1"].reshape(6, 5, 4, 4).transpose(0, 2, 3, 1).reshape(6, -1)
    graph.add("MatMul", order.T.copy()).add("Add", BIASES["fc1"]).relu()
    return graph.add("MatMul", WEIGHTS["fc2"].T.copy()).add("Add", BIASES["fc2"]).add("Softmax")
