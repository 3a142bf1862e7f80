"""How kernels and pools of ONNX nodes slide."""

from __future__ import annotations

from typing import Any

from verydeep.models.weights.formats.chain import NO_PADDING, Padding, Window
from verydeep.models.weights.formats.onnx.constants import Constants
from verydeep.models.weights.formats.onnx.nodes import integer, integers, string


def window(node: Any, kernel: tuple[int, int], before: Padding) -> Window:
    """Return how a convolution or pool slides.

    Args:
        node: The node.
        kernel: Sides of the kernel.
        before: Padding by nodes before it.
    """
    top, left, bottom, right = _own_padding(node, kernel)
    return Window(
        kernel,
        _pair(integers(node, "strides"), 1),
        (top + before[0], left + before[1], bottom + before[2], right + before[3]),
        _pair(integers(node, "dilations"), 1),
        integer(node, "group", 1),
    )


def pool_window(node: Any, before: Padding) -> Window:
    """Return how a pool slides; padding before a pool counts as its own.

    Args:
        node: The node.
        before: Padding by nodes before it.
    """
    found = window(node, _pair(integers(node, "kernel_shape"), 0), before)
    # Where a pool of an exporter "keeps the size" of maps of even sides, it pads nothing.
    same = string(node, "auto_pad").startswith("SAME") and found.kernel == found.stride
    return found._replace(padding=before) if same else found


def padding_of(node: Any, constants: Constants, layout: str) -> Padding | None:
    """Return what a Pad node adds, or None if it adds other values than zeros around the maps.

    Args:
        node: The node.
        constants: Constants of the graph.
        layout: How the axes of the data lie.
    """
    given = integers(node, "pads") or integers(node, "paddings")
    if len(node.input) > 1 and node.input[1] in constants:
        found = constants.value(node.input[1])
        given = [int(one) for one in found.ravel()] if found.size == 8 else []
    value = node.input[2] if len(node.input) > 2 else ""
    is_zero = not value or (value in constants and not constants.value(value).any())
    axes = len(node.input) > 3 and node.input[3]
    if len(given) != 8 or axes or not is_zero or string(node, "mode", "constant") != "constant":
        return None
    height, width = (2, 3) if layout == "nchw" else (1, 2)
    maps = (height, width, 4 + height, 4 + width)
    if layout == "flat" or any(side for at, side in enumerate(given) if at not in maps):
        return None
    top, left, bottom, right = (given[at] for at in maps)
    return top, left, bottom, right


def _own_padding(node: Any, kernel: tuple[int, int]) -> Padding:
    kind = string(node, "auto_pad", "NOTSET")
    if kind.startswith("SAME"):
        height, width = (side - 1 for side in kernel)
        near = (height // 2, width // 2)
        far = (height - near[0], width - near[1])
        return (*near, *far) if kind == "SAME_UPPER" else (*far, *near)
    pads = integers(node, "pads") if kind == "NOTSET" else []
    if len(pads) != 4:
        return NO_PADDING
    top, left, bottom, right = pads
    return top, left, bottom, right


def _pair(values: list[int], default: int) -> tuple[int, int]:
    return (values[0], values[1]) if len(values) == 2 else (default, default)
