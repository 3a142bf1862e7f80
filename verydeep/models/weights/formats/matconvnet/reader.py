"""Weights of MatConvNet, ``.mat``: nets of SimpleNN and DagNN.

O outputs, I inputs, h, w sides of a kernel, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from verydeep.errors import ModelError, printable
from verydeep.models.weights.formats.chain import Chain, Lrn, Window
from verydeep.models.weights.formats.longest_path import Step, longest_path
from verydeep.models.weights.formats.matconvnet.mat5 import is_mat5, read_mat5
from verydeep.models.weights.formats.matconvnet.mat73 import is_mat73, read_mat73
from verydeep.models.weights.formats.matconvnet.matlab_values import (
    MatlabError,
    Numbers,
    Struct,
    floats,
    listed,
    text,
    texts,
)
from verydeep.models.weights.formats.matconvnet.meta import read_meta
from verydeep.models.weights.formats.protobuf_wire import map_file
from verydeep.models.weights.formats.values import check_count, faults_of, to_tensor
from verydeep.models.weights.source import BatchNorm, SourceFile, SourceLayer

KINDS = {
    **{"Conv": "conv", "ReLU": "relu", "Pooling": "pool", "LRN": "lrn", "BatchNorm": "bnorm"},
    **{"DropOut": "dropout", "SoftMax": "softmax", "Loss": "loss", "Sigmoid": "sigmoid"},
}
"""Blocks of DagNN, without ``dagnn.``, as types of SimpleNN."""

LEAST_NUMBERS, MOST_NUMBERS = 2**20, 8
"""A net may have this many weights, or this many for each byte of its file."""

HARMLESS = ("dropout", "softmaxloss", "loss")


def matches(head: bytes, path: Path) -> bool:
    """Return whether a file is one of MATLAB.

    Args:
        head: First bytes of the file.
        path: The file; not read.
    """
    return is_mat5(head) or is_mat73(head)


def read(path: Path) -> SourceFile:
    """Read the weights.

    Raises:
        ModelError: The file is damaged, or holds no net of MatConvNet, or its net is no VGG net.
        MissingExtra: The file is of MATLAB 7.3, and h5py is not installed.
    """
    with faults_of(path, "a MATLAB file of a net"), ExitStack() as stack:
        data = map_file(path)
        if is_mat73(bytes(data[:128])):
            variables, file = read_mat73(path)
            stack.enter_context(file)
        else:
            variables = read_mat5(data)
        return _read_net(variables, len(data))


@dataclass(frozen=True, eq=False)
class _Layer:
    """A layer of either kind of net."""

    name: str
    kind: str
    weights: tuple[Any, ...]
    options: Mapping[str, Any]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


def _read_net(variables: Mapping[str, Any], size: int) -> SourceFile:
    net = _find_net(variables)
    layers = _dag_layers(net) if "params" in net else _simple_layers(net)
    weights = [one for layer in layers for one in layer.weights if isinstance(one, Numbers)]
    count = sum(one.count for one in weights)
    check_count(count)
    if count > max(LEAST_NUMBERS, MOST_NUMBERS * size):  # layers can share their weights
        raise MatlabError(f"layers with {count:,} weights in a file of {size:,} bytes")
    chain = Chain()
    on_path = set(_path(layers))
    for place, layer in enumerate(layers):
        if place in on_path:
            _add(chain, layer)
        elif layer.weights:
            chain.ignore(f"{printable(layer.name)}: {printable(layer.kind)} on a branch")
    meta = read_meta(net, chain)
    return SourceFile(
        format="MatConvNet model (.mat)",
        family="matconvnet",
        facts=meta.facts,
        classes=meta.classes,
        input_size=meta.input_size,
        **chain.finish()._asdict(),
    )


def _find_net(variables: Mapping[str, Any]) -> Struct:
    """Return the struct that has layers: the file itself, or one of its variables."""
    for candidate in (variables, *variables.values()):
        if isinstance(candidate, Mapping) and listed(candidate.get("layers")):
            return dict(candidate)
    names = ", ".join(sorted(printable(name) for name in variables)[:10]) or "nothing"
    raise ModelError(
        "a MatConvNet file must have a variable 'layers', or a struct with it; it has "
        f"{names}. Save a DagNN by its saveobj()"
    )


def _simple_layers(net: Struct) -> list[_Layer]:
    layers = []
    for number, layer in enumerate(listed(net["layers"]), 1):
        if not isinstance(layer, dict):
            raise MatlabError(f"layer {number} is no struct")
        weights = layer.get("weights")
        if weights is None and "filters" in layer:
            weights = [layer["filters"], layer.get("biases")]
        name = text(layer.get("name")) or f"layer {number}"
        layers.append(_Layer(name, text(layer.get("type")), tuple(listed(weights)), layer))
    return layers


def _dag_layers(net: Struct) -> list[_Layer]:
    values = {text(one.get("name")): one.get("value") for one in _structs(net["params"])}
    layers = []
    for layer in _structs(net["layers"]):
        block = layer.get("block")
        kind = text(layer.get("type")).removeprefix("dagnn.")
        layers.append(
            _Layer(
                name=text(layer.get("name")),
                kind=KINDS.get(kind, kind),
                weights=tuple(values.get(name) for name in texts(layer.get("params"))),
                options=block if isinstance(block, dict) else {},
                inputs=tuple(texts(layer.get("inputs"))),
                outputs=tuple(texts(layer.get("outputs"))),
            )
        )
    return layers


def _structs(value: Any) -> list[Struct]:
    return [one for one in listed(value) if isinstance(one, dict)]


def _path(layers: Sequence[_Layer]) -> list[int]:
    if not any(layer.inputs for layer in layers):
        return list(range(len(layers)))
    return longest_path(
        [Step(layer.inputs, layer.outputs, layer.kind == "conv") for layer in layers]
    )


def _add(chain: Chain, layer: _Layer) -> None:
    options = layer.options
    match layer.kind:
        case "conv":
            found = _convolution(layer)
            sides = [float(side) for side in found.weight.shape[2:]]
            chain.convolution(found, _window(options, sides))
        case "bnorm":
            chain.norm(layer.name, _norm(layer))
        case "relu" if not any(floats(options.get("leak"))):
            chain.relu()
        case "softmax":
            chain.softmax(layer.name)
        case "pool":
            sides = floats(options.get("pool", options.get("poolSize")))
            method = text(options.get("method")) or "max"
            chain.pool(layer.name, _window(options, sides), average=method != "max")
        case "normalize" | "lrn" if len(param := floats(options.get("param"))) == 4:
            size, k, alpha, beta = param  # alpha is not divided by the size here
            chain.normalize_locally(layer.name, Lrn(int(size), alpha * size, beta, k))
        case kind if kind not in HARMLESS:
            chain.other(layer.name, f"a layer of type {printable(kind)}")


def _convolution(layer: _Layer) -> SourceLayer:
    filters, *biases = layer.weights or (None,)
    if not isinstance(filters, Numbers) or not filters.count or len(filters.dims) > 4:
        raise ModelError(
            f"the filters of {printable(layer.name)} must be an array of hxwxIxO; this "
            "layer has none"
        )
    # MATLAB drops the last dimensions where they are 1.
    values = filters.load().reshape(*filters.dims, *[1] * (4 - len(filters.dims)))
    weight = to_tensor(values.transpose(3, 2, 0, 1), layer.name)
    bias = _vector(biases[0], layer.name) if biases else None
    if bias is not None and len(bias) != len(weight):
        raise ModelError(
            f"{printable(layer.name)} must have {len(weight):,} biases, one for each "
            f"filter; it has {len(bias):,} instead"
        )
    return SourceLayer(layer.name, weight, bias)


def _vector(value: Any, name: str) -> Tensor | None:
    """Return biases; an empty array means that there are none."""
    if not isinstance(value, Numbers) or not value.count:
        return None
    return to_tensor(value.load().ravel("F"), name)


def _norm(layer: _Layer) -> BatchNorm:
    """Return a batch normalisation; MatConvNet keeps means and deviations, ε included."""
    arrays = [one for one in layer.weights if isinstance(one, Numbers)]
    channels = arrays[0].count if arrays else 0
    if len(arrays) != 3 or arrays[1].count != channels or arrays[2].dims != (channels, 2):
        raise ModelError(
            f"{printable(layer.name)} must have factors, offsets and moments for each "
            "channel; save the net after it has been trained"
        )
    scale, shift, moments = (to_tensor(one.load(), layer.name) for one in arrays)
    mean, deviation = moments.unbind(1)
    return BatchNorm(scale.reshape(-1), shift.reshape(-1), mean, deviation**2, epsilon=0.0)


def _window(options: Mapping[str, Any], sides: Sequence[float]) -> Window:
    """Return how a filter or pool slides; MATLAB's padding is top, bottom, left, right."""
    top, bottom, left, right = _several(options, "pad", 0, 4)
    height, width = (int(side) for side in (*sides, *sides)[:2]) if sides else (0, 0)
    return Window(
        (height, width),
        tuple(_several(options, "stride", 1, 2)),  # type: ignore[arg-type]
        (top, left, bottom, right),
        tuple(_several(options, "dilate", 1, 2)),  # type: ignore[arg-type]
    )


def _several(options: Mapping[str, Any], name: str, default: int, count: int) -> list[int]:
    """Return an option that is given once for all sides or for each of them."""
    given = [int(value) for value in floats(options.get(name))] or [default]
    if len(given) not in (1, count):
        raise MatlabError(f"{len(given)} values of {name}")
    return given if len(given) == count else given * count
