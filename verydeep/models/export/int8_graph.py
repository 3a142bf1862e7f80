"""The int8 variant of a model as a graph to export.

N images, K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verydeep.errors import InputError, MissingExtra
from verydeep.models.export.builder import GraphBuilder
from verydeep.models.export.distance import add_distance, shapes_of_distance
from verydeep.models.export.graph import PROBABILITIES, SCORES, add_probabilities
from verydeep.models.trained_net import TrainedNet

if TYPE_CHECKING:
    from onnx import ModelProto

BOUND = 0.2
"""Largest accepted difference of a probability: the variant's own guard tested errors and loss."""


def int8_graph(model: TrainedNet, *, dense: bool) -> ModelProto:
    """Return the graph of a model's int8 variant, completed by probabilities.

    If the model tells unlike images, the graph does so by the features of the variant.

    Args:
        model: A classifier that was quantized.
        dense: Accept any H, W ≥ ``input_size``; otherwise H = W = ``input_size``.

    Raises:
        InputError: The model has no int8 variant.
        MissingExtra: onnx is not installed.
    """
    check_quantized(model)
    try:
        import onnx
    except ImportError as error:
        raise MissingExtra("building ONNX graphs", "export") from error
    build = GraphBuilder.of(onnx.load(str(model.int8)), SCORES)
    if not dense:
        _fix_sides(build, model.input_size)
    build.output(
        PROBABILITIES, add_probabilities(build, model, dense=True), ("batch", model.net.num_classes)
    )
    if reference := getattr(model, "reference", None):
        found = add_distance(build, _features(build), reference)
        for name, shape in shapes_of_distance(reference).items():
            build.output(name, found[name], shape)
    return build.model


def _features(build: GraphBuilder) -> str:
    """Return the value that the last layer reads: the deepest features."""
    last = [node for node in build.graph.node if node.op_type == "Conv"][-1]
    return str(last.input[0])


def check_quantized(model: TrainedNet) -> None:
    """Refuse a model without an int8 variant.

    Raises:
        InputError: It has none.
    """
    if model.int8 is None:
        raise InputError(
            "the model has no int8 variant; quantize it first (verydeep quantize, "
            "verydeep.quantize)"
        )


def _fix_sides(build: GraphBuilder, size: int) -> None:
    """Let a graph take images of one size only, and give one position."""
    for value, sides in (
        (build.graph.input[0], {1: size, 2: size}),
        (build.graph.output[0], {2: 1, 3: 1}),
    ):
        for place, length in sides.items():
            value.type.tensor_type.shape.dim[place].dim_value = length
