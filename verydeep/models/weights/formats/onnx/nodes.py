"""Attributes of ONNX nodes, with their types checked."""

from __future__ import annotations

from typing import Any

INT, FLOAT, STRING, INTS = 2, 1, 3, 7
MOST_INTEGERS = 64


def node_name(node: Any) -> str:
    """Return the name of a node, or of its first output where it has none."""
    return str(node.name or next(iter(node.output), "") or node.op_type)


def integer(node: Any, name: str, default: int) -> int:
    """Return an integer attribute."""
    found = _find(node, name, INT)
    return int(found.i) if found is not None else default


def real(node: Any, name: str, default: float) -> float:
    """Return a floating-point attribute."""
    found = _find(node, name, FLOAT)
    return float(found.f) if found is not None else default


def string(node: Any, name: str, default: str = "") -> str:
    """Return a string attribute."""
    found = _find(node, name, STRING)
    return bytes(found.s).decode("utf-8", "replace") if found is not None else default


def integers(node: Any, name: str) -> list[int]:
    """Return an attribute that lists integers; empty if it is absent."""
    found = _find(node, name, INTS)
    return [int(one) for one in found.ints[:MOST_INTEGERS]] if found is not None else []


def has(node: Any, name: str) -> bool:
    """Return whether a node has an attribute of any type."""
    return any(one.name == name for one in node.attribute)


def _find(node: Any, name: str, kind: int) -> Any:
    return next((one for one in node.attribute if one.name == name and one.type == kind), None)
