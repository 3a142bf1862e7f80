"""What an ONNX file must keep to before the whole of it is parsed.

A small file can declare millions of empty messages, each of which takes far more memory once
parsed: they are counted first. Parts that no exporter writes for a VGG net are refused.
"""

from __future__ import annotations

from verydeep.errors import ModelError
from verydeep.models.weights.formats.protobuf_wire import BYTES, VARINT, WireError, outline

MODEL_FIELDS = {
    **{1: VARINT, 2: BYTES, 3: BYTES, 4: BYTES, 5: VARINT, 6: BYTES, 7: BYTES, 8: BYTES},
    **{14: BYTES, 20: BYTES, 25: BYTES, 26: BYTES},
}
"""Wire types of a ``ModelProto``."""

GRAPH = 7
MOST_FIELDS = 200_000

INSIDE = {
    "model": {7: "graph", 8: "opset", 14: "entry"},
    **{"graph": {1: "node", 5: "tensor", 14: "annotation", 16: "entry"}},
    "node": {5: "attribute", 9: "entry"},
    "attribute": {5: "tensor", 10: "tensor"},
    "annotation": {2: "entry"},
    "tensor": {3: "segment", 13: "entry", 16: "entry"},
    "value": {2: "type", 4: "entry"},
    "type": {1: "tensor type"},
    "tensor type": {2: "shape"},
    "shape": {1: "dimension"},
}
"""Messages within messages, by the numbers of ONNX's schema."""
INSIDE["graph"] |= dict.fromkeys((11, 12, 13), "value")

REFUSED = {
    ("model", 20): "training information",
    ("model", 25): "functions of its own; inline them, or export the model without them",
    ("model", 26): "configurations of devices",
    ("graph", 15): "sparse weights",
    ("node", 10): "configurations of devices",
    ("attribute", 6): "graphs within a node",
    ("attribute", 11): "graphs within a node",
    ("attribute", 14): "types within a node",
    ("attribute", 15): "types within a node",
    ("attribute", 22): "sparse weights",
    ("attribute", 23): "sparse weights",
    **dict.fromkeys([("type", number) for number in (4, 5, 7, 8, 9)], "values that are no tensors"),
}


def looks_like_model(data: memoryview) -> bool:
    """Return whether bytes begin with fields of a ``ModelProto``, a graph among them."""
    try:
        for field in outline(data):
            if MODEL_FIELDS.get(field.number) != field.wire:
                return False
            if field.number == GRAPH:
                inner = next(outline(data[field.start : field.end]), None)
                return inner is not None and inner.number in range(1, 17)
    except WireError:
        return False
    return False


def check_structure(data: memoryview) -> None:
    """Refuse a model that is damaged, or has more messages or other ones than a VGG net.

    Raises:
        WireError: It is damaged, or has too many messages.
        ModelError: It has messages of another kind.
    """
    _check(data, "model", 0)


def _check(data: memoryview, kind: str, count: int) -> int:
    """Return the count of fields so far."""
    for field in outline(data, MOST_FIELDS + 1):
        count += 1
        if count > MOST_FIELDS:
            raise WireError(f"more than {MOST_FIELDS:,} fields")
        if field.end > len(data):
            raise WireError("it ends within a field")
        if refused := REFUSED.get((kind, field.number)):
            raise ModelError(f"cannot be imported: it has {refused}")
        inner = INSIDE.get(kind, {}).get(field.number)
        if inner and field.wire == BYTES:
            count = _check(data[field.start : field.end], inner, count)
    return count
