"""Weights of ONNX graphs, as the exporters of PyTorch, TensorFlow, Keras and MXNet write them.

O outputs, I inputs, h, w sides of a kernel, D numbers that a fully connected layer reads, C
channels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from verydeep.errors import MissingExtra, ModelError, printable
from verydeep.models.weights.formats.onnx.scan import check_structure, looks_like_model
from verydeep.models.weights.formats.onnx.walk import Walk
from verydeep.models.weights.formats.protobuf_wire import map_file
from verydeep.models.weights.formats.values import faults_of
from verydeep.models.weights.source import SourceFile

WHAT = "an ONNX file"
LARGEST_MODEL = 2**31
LARGEST_SIDE = 2**14


def matches(head: bytes, path: Path) -> bool:
    """Return whether a file looks like a ``ModelProto`` with a graph.

    Args:
        head: First bytes of the file.
        path: The file.
    """
    return bool(head) and looks_like_model(map_file(path))


def read(path: Path) -> SourceFile:
    """Read the weights.

    Raises:
        ModelError: The file is damaged, or its net is no VGG net.
        MissingExtra: onnx is not installed.
    """
    with faults_of(path, WHAT):
        model, walk = _open(path)
        collected = walk.chain.finish()
    maker = model.producer_name
    return SourceFile(
        format=f"ONNX graph by {printable(maker)} (.onnx)" if maker else "ONNX graph (.onnx)",
        family="onnx",
        facts=walk.preprocessing.facts(),
        input_size=_input_size(walk),
        **collected._asdict(),
    )


def open_graph(path: Path) -> tuple[Any, Walk]:
    """Return a ``ModelProto`` and the way of the data through it.

    Raises:
        ModelError: The file is damaged, or its net is no VGG net.
        MissingExtra: onnx is not installed.
    """
    with faults_of(path, WHAT):
        return _open(path)


def _open(path: Path) -> tuple[Any, Walk]:
    model = _parse(path)
    walk = Walk(model.graph, path.parent)
    walk.run()
    return model, walk


def _parse(path: Path) -> Any:
    try:
        import onnx
    except ImportError as error:
        raise MissingExtra("reading an ONNX file", "onnx") from error
    data = map_file(path)
    if len(data) >= LARGEST_MODEL:
        raise ModelError(
            f"an ONNX file must be smaller than 2 GiB; this one has {len(data):,} bytes"
        )
    check_structure(data)
    try:
        return onnx.ModelProto.FromString(bytes(data))
    except Exception as error:  # the errors of protobuf have no common base class
        raise ValueError(str(error)) from error


def _input_size(walk: Walk) -> int | None:
    """Return the side of the images, from the declared shape of the input."""
    for value in walk.inputs:
        sides = [one.dim_value for one in value.type.tensor_type.shape.dim]
        if len(sides) == 4:
            height, width = sides[2:] if walk.starts_with_channels else sides[1:3]
            return int(height) if height == width and 0 < height < LARGEST_SIDE else None
    return None
