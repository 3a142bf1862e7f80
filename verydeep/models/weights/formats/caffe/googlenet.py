"""Caffe's GoogLeNet, "BVLC GoogLeNet": the only net with branches that is read.

Its layers are known by their names. What they compute is compared with the published net before
their weights are taken, since a file of the same names may have other pools or other wires.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from verydeep.errors import ModelError, printable
from verydeep.models.weights.formats.caffe.layers import CaffeLayer
from verydeep.models.weights.formats.chain import Lrn, Window

MARK = "inception_3a/1x1"
"""A layer by which the net is known."""

LAST = "loss3/classifier"
"""The layer that gives the scores."""

LRN = Lrn(5, 1e-4, 0.75, 1.0)
"""Local response normalisation; Caffe divides α by the 5 channels, as PyTorch does."""

INCEPTIONS = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
BEFORE = {"3a": "pool2/3x3_s2", "4a": "pool3/3x3_s2", "5a": "pool4/3x3_s2"}
"""Pools before modules; the other modules read the one before."""

HALVING, WITHIN = Window((3, 3), (2, 2)), Window((3, 3), (1, 1), (1,) * 4)
"""Pools between modules, and those in a module's fourth branch."""

PASSING = ("Split", "Dropout")
"""Types whose output is their input, when a net is tested."""

Value = tuple[str, bool]
"""Output of a layer, and whether a ReLU follows."""


def is_googlenet(layers: Sequence[CaffeLayer]) -> bool:
    """Return whether layers are those of GoogLeNet, by their names."""
    return any(layer.name == MARK and layer.blobs for layer in layers)


def check_googlenet(layers: Sequence[CaffeLayer]) -> None:
    """Refuse a net that computes something else than the published one.

    Files of weights alone say nothing of wires; those are taken by their names.

    Args:
        layers: Layers in the order of the file.

    Raises:
        ModelError: A layer is wired, padded or pooled otherwise.
    """
    if not any(layer.inputs for layer in layers):
        return
    by_name = {layer.name: layer for layer in layers}
    found, wanted = _wires(layers), dict(_published())
    for name, inputs in wanted.items():
        if name not in by_name:
            raise ModelError(f"has no layer {name} of GoogLeNet")
        if by_name[name].type != _type(name):
            raise _error(name, f"is a layer of type {_type(name)}", by_name[name].type)
        if inputs and found.get(name) != inputs:
            raise _error(name, f"reads {_listed(inputs)}", _listed(found.get(name, ())))
        if fault := _fault(by_name[name]):
            raise _error(name, *fault)


def _error(name: str, rule: str, found: str) -> ModelError:
    return ModelError(
        f"in GoogLeNet {name} {rule}; here it is {printable(found)}, another net of the same names"
    )


def _published() -> Iterator[tuple[str, tuple[Value, ...]]]:
    """Yield every layer up to the scores with the values that it reads; the first reads images."""
    yield "conv1/7x7_s2", ()
    yield "pool1/3x3_s2", (("conv1/7x7_s2", True),)
    yield "pool1/norm1", (("pool1/3x3_s2", False),)
    yield "conv2/3x3_reduce", (("pool1/norm1", False),)
    yield "conv2/3x3", (("conv2/3x3_reduce", True),)
    yield "conv2/norm2", (("conv2/3x3", True),)
    yield "pool2/3x3_s2", (("conv2/norm2", False),)
    at = ""
    for module in INCEPTIONS:
        if module in BEFORE:
            if at:
                yield BEFORE[module], ((at, False),)
            at = BEFORE[module]
        yield from _module(f"inception_{module}", at)
        at = f"inception_{module}/output"
    yield "pool5/7x7_s1", ((at, False),)
    yield LAST, (("pool5/7x7_s1", False),)


def _module(name: str, before: str) -> Iterator[tuple[str, tuple[Value, ...]]]:
    """Yield the layers of an inception module."""
    read = ((before, False),)
    yield f"{name}/1x1", read
    for side in ("3x3", "5x5"):
        yield f"{name}/{side}_reduce", read
        yield f"{name}/{side}", ((f"{name}/{side}_reduce", True),)
    yield f"{name}/pool", read
    yield f"{name}/pool_proj", ((f"{name}/pool", False),)
    parts = ("1x1", "3x3", "5x5", "pool_proj")
    yield f"{name}/output", tuple((f"{name}/{part}", True) for part in parts)


def _wires(layers: Sequence[CaffeLayer]) -> Mapping[str, tuple[Value, ...]]:
    """Return the values that every layer reads; a blob may be written again in place."""
    values: dict[str, Value] = {}
    found = {}
    for layer in layers:
        read = tuple(values.get(blob, (blob, False)) for blob in layer.inputs)
        value = (layer.name, False)
        if read and layer.type in PASSING:
            value = read[0]
        elif read and layer.type == "ReLU" and layer.slope == 0:
            value = read[0][0], True
        else:
            found[layer.name] = read
        values |= dict.fromkeys(layer.outputs, value)
    return found


def _type(name: str) -> str:
    """Return the type of a layer.

    >>> [_type(name) for name in ("pool2/3x3_s2", "inception_3a/pool_proj", "conv2/norm2")]
    ['Pooling', 'Convolution', 'LRN']
    """
    first, _, word = name.partition("/")
    if name == LAST:
        return "InnerProduct"
    if word.startswith("norm"):
        return "LRN"
    if word == "output":
        return "Concat"
    return "Pooling" if word == "pool" or first.startswith("pool") else "Convolution"


def _fault(layer: CaffeLayer) -> tuple[str, str] | None:
    """Return what a layer does in the published net, and what it does here, if that differs."""
    if layer.type == "LRN" and layer.lrn and not _is_close(layer.lrn):
        return f"normalises by {LRN}", str(layer.lrn)
    if layer.window is None:
        return None
    if layer.type == "Convolution":
        wanted = _convolution(layer)
        return None if layer.window == wanted else (f"slides by {wanted}", str(layer.window))
    if layer.type != "Pooling":
        return None
    if layer.name == "pool5/7x7_s1":
        average = layer.average and (layer.over_map or layer.window == Window((7, 7)))
        return None if average else ("averages 7x7", str(layer.window))
    wanted = WITHIN if layer.name.endswith("/pool") else HALVING
    if layer.average or layer.window != wanted:
        return f"is a max-pool by {wanted}", str(layer.window)
    return None


def _is_close(lrn: Lrn) -> bool:
    """Return whether constants are the published ones, but for rounding to 32 bits."""
    return all(math.isclose(*pair, rel_tol=1e-5) for pair in zip(lrn, LRN, strict=True))


def _convolution(layer: CaffeLayer) -> Window:
    """Return how a convolution of this name slides: its side is in its name."""
    word = layer.name.rpartition("/")[2]
    side = 1 if word.endswith(("reduce", "proj")) else int(word[0])
    stride = 2 if word.endswith("s2") else 1
    return Window((side, side), (stride, stride), (side // 2,) * 4)


def _listed(values: Sequence[Value]) -> str:
    return ", ".join(f"{name}{' after a ReLU' if rectified else ''}" for name, rectified in values)
