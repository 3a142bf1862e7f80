"""Where Keras keeps the weights of a layer in an HDF5 file, by their parts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from verydeep.errors import ModelError, printable
from verydeep.models.weights.formats.keras.config import Step
from verydeep.models.weights.formats.keras.hdf5 import Node

DEPENDENCIES = "_layer_checkpoint_dependencies"
"""What Keras 2.12 and 2.13 called ``layers``."""

MOST_GROUPS = 4000
DEEPEST = 24

Parts = Mapping[str, Node]
"""Weights of a layer: kernel, bias, gamma, beta, mean, variance."""

_PARTS = {
    **{name: name for name in ("kernel", "bias", "gamma", "beta", "mean", "variance")},
    **{"W": "kernel", "b": "bias", "moving_mean": "mean", "moving_variance": "variance"},
    **{"running_mean": "mean", "running_std": "variance"},  # Keras 1, which meant the variance
}
_PART = re.compile(rf"(?:^|_)({'|'.join(sorted(_PARTS, key=len, reverse=True))})(?:_\d+)?$")


class Store(Protocol):
    """Weights of layers, however they are stored."""

    def parts(self, step: Step) -> Parts:
        """Return the weights of a layer; empty without any."""


@dataclass(frozen=True)
class Owner:
    """A layer as older files name it.

    Attributes:
        group: The outermost layer it is in.
        name: Its name, with those of the models around it.
        parts: Its weights.
    """

    group: str
    name: str
    parts: dict[str, Node]


@dataclass(frozen=True)
class NamedStore:
    """Weights as Keras 1 and 2 store them, and all Keras in ``.h5``: by name.

    Attributes:
        root: The group of all layers.
    """

    root: Node

    @cached_property
    def owners(self) -> tuple[Owner, ...]:
        """All layers with weights, in the order of the model."""
        return tuple(owner for name in self._names() for owner in self._owners(name))

    def _names(self) -> tuple[str, ...]:
        names = _listed(self.root, "layer_names")
        if len(names) > MOST_GROUPS:
            raise ModelError(f"names {len(names):,} layers")
        return names

    def _owners(self, group: str) -> Iterator[Owner]:
        node = self.root.children.get(group)
        if node is None:
            raise ModelError(f"names a layer {printable(group)}, which it does not hold")
        found: dict[str, Owner] = {}
        for name in _listed(node, "weight_names"):
            weight = node.find(name)
            if weight is None or not weight.is_dataset:
                raise ModelError(f"names weights {printable(name)}, which it does not hold")
            path, _, last = name.rpartition("/")
            part = _PART.search(last.partition(":")[0])
            if part is None:
                continue
            name_of = path or last[: part.start()] or group
            owner = found.setdefault(name_of, Owner(group, name_of, {}))
            if owner.parts.setdefault(_PARTS[part[1]], weight) is not weight:
                raise ModelError(f"names two weights {printable(name)}")
        yield from found.values()

    def parts(self, step: Step) -> Parts:
        """Return the weights of a layer; empty without any."""
        inside = [owner for owner in self.owners if owner.group == step.group]
        same = [owner for owner in inside if owner.name.rpartition("/")[2] == step.name]
        if step.group == step.name and not same:
            same = inside  # a layer of its own, whose weights may be named otherwise
        if len(same) > 1:
            raise ModelError(f"holds weights of several layers named {printable(step.name)}")
        return same[0].parts if same else {}


def _listed(node: Node, name: str) -> tuple[str, ...]:
    """Return a list of names, which Keras cuts into several attributes if it is long."""
    if name in node.attributes:
        return node.attributes[name]
    cut: list[tuple[str, ...]] = []
    while (part := f"{name}{len(cut)}") in node.attributes:
        cut.append(node.attributes[part])
    return tuple(one for part in cut for one in part)


@dataclass(frozen=True)
class NumberedStore:
    """Variables as Keras 3 stores them: by number, under the class of the layer.

    Attributes:
        root: The group of the whole model.
    """

    root: Node

    def parts(self, step: Step) -> Parts:
        """Return the weights of a layer; empty without any.

        Raises:
            ModelError: The variables are not those of such a layer.
        """
        variables = self._variables(step)
        names = _variable_names(step)
        if variables and not names[0] <= len(variables) <= len(names[1]):
            raise ModelError(
                f"{printable(step.name)}: {len(variables):,} variables, where a {step.kind} has "
                f"{len(names[1])}"
            )
        return dict(zip(names[1], variables, strict=False))

    def _variables(self, step: Step) -> list[Node]:
        for path in (step.path, step.path.replace("layers/", f"{DEPENDENCIES}/")):
            node = self.root.find(path)
            if node is not None:
                return variables_of(node)
        return []


def variables_of(node: Node) -> list[Node]:
    """Return the variables of one layer of Keras 3."""
    group = node.children.get("vars")
    if group is None:
        return []
    return [group.children[key] for key in sorted(group.children, key=lambda key: (len(key), key))]


def _variable_names(step: Step) -> tuple[int, list[str]]:
    """Return how many variables a layer has at least, and the names of all."""
    config = step.config
    if step.kind.startswith("BatchNormalization"):
        learned = [("gamma", "scale"), ("beta", "center")]
        names = [name for name, setting in learned if config.get(setting, True)]
        return len(names) + 2, [*names, "mean", "variance"]
    if step.kind == "Normalization":
        return 0, ["mean", "variance", "count"]
    names = ["kernel", "bias"] if config.get("use_bias", True) else ["kernel"]
    return len(names), names


def all_numbered(root: Node) -> Iterator[tuple[str, str, list[Node]]]:
    """Yield path, name and variables of every layer of Keras 3, innermost models first.

    Raises:
        ModelError: There are too many groups, or groups that hold themselves.
    """
    seen: set[int] = set()
    found: list[tuple[int, str, str, list[Node]]] = []
    left = [("", root)]
    while left:
        path, node = left.pop()
        if node.address in seen or len(seen) > MOST_GROUPS or path.count("/") > DEEPEST:
            raise ModelError("holds groups that hold themselves")
        seen.add(node.address)
        if node.is_dataset:
            continue
        variables = variables_of(node)
        if variables:
            names = node.children["vars"].attributes.get("name", ())
            name = names[0] if names else path.rpartition("/")[2]
            found.append((-path.count("/"), path, name, variables))
        for key, child in node.children.items():
            if key != "vars" and (path or key != "optimizer"):
                left.append((f"{path}/{key}" if path else key, child))
    for _, path, name, variables in sorted(found, key=lambda one: (one[0], _natural(one[1]))):
        yield path, name, variables


def _natural(path: str) -> tuple[str, tuple[tuple[str, int], ...]]:
    """Return a key that sorts the layers of one model by class and number."""
    model, _, last = path.rpartition("/")
    kind, _, number = last.rpartition("_")
    if number.isdecimal() and len(number) < 10:
        return model, ((kind, int(number)),)
    return model, ((last, 0),)
