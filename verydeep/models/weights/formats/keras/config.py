"""The layers of a Keras model in forward order, from its configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from verydeep.errors import ModelError, printable

MOST_LAYERS = 2000
DEEPEST = 16

CHANNELS = "channels in another order"
"""Kind of a step that stands for operations which reorder the channels of the images."""


@dataclass(frozen=True)
class Step:
    """A layer of a model.

    Attributes:
        kind: Its class in Keras.
        name: Its name.
        config: Its settings.
        path: Where Keras 3 stores its variables.
        group: The outermost layer that it is in, under which older files store its weights.
        calls: How it is called: constants besides the layers before it.
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    path: str = ""
    group: str = ""
    calls: Any = None


def forward_steps(model: Mapping[str, Any]) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """Return the layers from the images to the scores, and the names of all others.

    Args:
        model: Configuration of a model: Sequential, Functional, or one inside the other.

    Raises:
        ModelError: The layers are no chain.
        LookupError, TypeError, AttributeError: The configuration is damaged.
    """
    steps: list[Step] = []
    unused: list[str] = []
    _walk(model, "", "", 0, steps, unused)
    return tuple(steps), tuple(unused)


def snake_case(kind: str) -> str:
    """Return the name that Keras gives to layers of a class.

    >>> snake_case("BatchNormalization"), snake_case("Conv2D")
    ('batch_normalization', 'conv2d')
    """
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _walk(
    model: Mapping[str, Any],
    path: str,
    group: str,
    depth: int,
    steps: list[Step],
    unused: list[str],
) -> None:
    layers = _layers(model)
    if depth > DEEPEST or len(layers) + len(steps) > MOST_LAYERS:
        raise ModelError("has more layers than a net of the paper ever has")
    paths = dict(zip(map(_name, layers), _paths(layers, path), strict=True))
    order = _order(model, layers)
    used = {_name(layer) for layer in order if not isinstance(layer, Step)}
    used.update(*(layer.config["read"] for layer in order if isinstance(layer, Step)))
    unused += [name for name in map(_name, layers) if order and name not in used]
    for layer in order:
        if isinstance(layer, Step):
            steps.append(layer)
            continue
        name = _name(layer)
        if _is_model(layer):
            _walk(layer, f"{paths[name]}/", group or name, depth + 1, steps, unused)
        else:
            calls = layer.get("inbound_nodes")
            kind = str(layer["class_name"])
            steps.append(Step(kind, name, layer["config"], paths[name], group or name, calls))


def _layers(model: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    config = model["config"]
    layers = config if isinstance(config, list) else config["layers"]
    if not isinstance(layers, list):
        raise TypeError("layers are no list")
    return layers


def _is_model(layer: Mapping[str, Any]) -> bool:
    config = layer["config"]
    return isinstance(config, list) or "layers" in config


def _name(layer: Mapping[str, Any]) -> str:
    config = layer["config"]
    inner = "" if isinstance(config, list) else config.get("name", "")
    return str(layer.get("name") or inner or layer["class_name"])


def _paths(layers: Sequence[Mapping[str, Any]], path: str) -> Iterator[str]:
    """Yield where Keras 3 stores layers: numbered by class in the order of the model."""
    seen: dict[str, int] = {}
    for layer in layers:
        name = snake_case(str(layer["class_name"]))
        number = seen[name] = seen.get(name, -1) + 1
        yield f"{path}layers/{name}_{number}" if number else f"{path}layers/{name}"


def _order(
    model: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any] | Step]:
    """Return the layers of one model from its input to its output."""
    config = model["config"]
    if isinstance(config, list) or "output_layers" not in config:
        return list(layers)
    known = {_name(layer): layer for layer in layers}
    found: list[Mapping[str, Any] | Step] = []
    name: str | None = _only(_sources(config["output_layers"]), "the outputs")
    while name is not None:
        layer = known[name]
        if len(found) > len(layers):
            raise ModelError("has layers that read their own output")
        parents = _sources(layer.get("inbound_nodes"))
        if reordered := _reordered(layer, parents, known):
            step, name = reordered
            found.append(step)
            continue
        found.append(layer)
        name = _only(parents, name) if parents else None
    return found[::-1]


def _only(names: list[str], place: str) -> str:
    if len(names) != 1:
        raise ModelError(
            f"branches at {printable(place)}, which reads {len(names):,} layers "
            f"({printable(', '.join(names[:3]))}); the nets of the paper are chains"
        )
    return names[0]


def _sources(nodes: Any, depth: int = 0) -> list[str]:
    """Return the names of the layers that a layer reads, once each."""
    found: dict[str, None] = {}
    if depth < DEEPEST:
        if isinstance(nodes, dict):
            history = nodes.get("keras_history")
            if history:
                return [str(history[0])]
            parts: Any = nodes.values()
        elif isinstance(nodes, list):
            if len(nodes) >= 3 and isinstance(nodes[0], str) and type(nodes[1]) is int:
                return [nodes[0]]
            parts = nodes
        else:
            parts = ()
        for part in parts:
            found |= dict.fromkeys(_sources(part, depth + 1))
    return list(found)


def _reordered(
    layer: Mapping[str, Any], parents: list[str], known: Mapping[str, Mapping[str, Any]]
) -> tuple[Step, str] | None:
    """Return a step for three channels that are taken apart and stacked, and what it reads."""
    if layer["class_name"] != "Stack" or len(parents) != 3:
        return None
    before: set[str] = set()
    numbers = []
    for parent in map(known.__getitem__, parents):
        key = parent["inbound_nodes"][0]["args"][1]
        if parent["class_name"] != "GetItem" or type(key[-1]) is not int:
            return None
        numbers.append(key[-1])
        before |= set(_sources(parent["inbound_nodes"]))
    step = Step(CHANNELS, _name(layer), {"order": numbers, "read": {*parents, _name(layer)}})
    return step, _only(sorted(before), _name(layer))
