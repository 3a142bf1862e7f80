"""An ONNX graph while it is built: values in order, constants, outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from verydeep.errors import MissingExtra

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 17
"""Version of the operators: old enough for every current runtime."""

IR_VERSION = 8
"""Version of the file format that belongs to the opset."""

Shape = Sequence[int | str]
"""Lengths; a name stands for a length that varies."""


class GraphBuilder:
    """Builds an ONNX model operator by operator.

    Attributes:
        model: The model so far.
        last: Name of the value that :meth:`then` continues from.

    Args:
        name: Name of the graph.

    Raises:
        MissingExtra: onnx is not installed.
    """

    model: ModelProto

    def __init__(self, name: str) -> None:
        try:
            import onnx
        except ImportError as error:
            raise MissingExtra("building ONNX graphs", "export") from error
        self.helper: Any = onnx.helper
        self.types: Any = onnx.TensorProto
        self.model = onnx.ModelProto(ir_version=IR_VERSION, producer_name="verydeep")
        self.model.opset_import.append(onnx.helper.make_opsetid("", OPSET))
        self.graph: Any = self.model.graph
        self.graph.name = name
        self.last = ""

    @classmethod
    def of(cls, model: ModelProto, last: str) -> GraphBuilder:
        """Return a builder that continues a graph from one of its values."""
        build = cls(model.graph.name)
        build.model, build.graph, build.last = model, model.graph, last
        return build

    def input(self, name: str, kind: int, shape: Shape) -> None:
        """Add an input of the graph, and continue from it."""
        self.graph.input.append(self.helper.make_tensor_value_info(name, kind, shape))
        self.last = name

    def output(self, name: str, source: str, shape: Shape) -> None:
        """Add a value as a float32 output of the graph, under a name of its own."""
        self.node("Identity", [source], name)
        info = self.helper.make_tensor_value_info(name, self.types.FLOAT, shape)
        self.graph.output.append(info)

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add an operator with one output, and return the name of that output."""
        self.graph.node.append(
            self.helper.make_node(operator, inputs, [output], name=output, **attributes)
        )
        return output

    def then(self, operator: str, output: str, *constants: str, **attributes: Any) -> str:
        """Apply an operator to :attr:`last` and constants, and continue from its output."""
        self.last = self.node(operator, [self.last, *constants], output, **attributes)
        return self.last

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add an array as a constant, and return its name."""
        little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        tensor = self.graph.initializer.add()  # in place: weights of 500 MB are copied once
        tensor.name = name
        tensor.data_type = self.helper.np_dtype_to_tensor_dtype(values.dtype)
        tensor.dims.extend(values.shape)
        tensor.raw_data = little.tobytes()
        return name

    def prune(self) -> None:
        """Remove operators and constants that no output depends on."""
        needed = {one.name for one in self.graph.output}
        for place in reversed(range(len(self.graph.node))):
            node = self.graph.node[place]
            if needed.intersection(node.output):
                needed.update(node.input)
            else:
                del self.graph.node[place]
        for place in reversed(range(len(self.graph.initializer))):
            if self.graph.initializer[place].name not in needed:
                del self.graph.initializer[place]
