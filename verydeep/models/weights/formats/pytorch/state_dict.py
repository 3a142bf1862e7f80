"""Layers of a PyTorch net from the names and shapes of its tensors.

O outputs, I inputs, h, w sides of a kernel, D numbers that a fully connected layer reads.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from verydeep.errors import ModelError, printable
from verydeep.models.weights.formats.values import as_weights, check_sizes
from verydeep.models.weights.source import BatchNorm, SourceLayer

WRAPPERS = ("module", "_orig_mod", "model", "net", "backbone", "network", "vgg")
"""First parts of names that programs put before the names of a net's layers."""

MOST_TENSORS = 2000
NORM = ("weight", "bias", "running_mean", "running_var")
PERMUTED = 6
"""Most fully connected layers whose order is found by trying."""


@dataclass(frozen=True, eq=False)
class Stored:
    """A tensor in a file.

    Attributes:
        shape: Its shape.
        size: Bytes to read.
        read: Reads it.
    """

    shape: tuple[int, ...]
    size: int
    read: Callable[[], Tensor]


@dataclass(frozen=True, eq=False)
class Module:
    """A module of the source's net: its name and its own tensors by their last names."""

    name: str
    tensors: dict[str, Stored] = field(default_factory=dict)
    norm: Module | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weights; empty without any."""
        return self.tensors["weight"].shape if "weight" in self.tensors else ()

    @property
    def is_norm(self) -> bool:
        """Whether this is a batch normalisation."""
        statistics = [self.tensors.get(name) for name in NORM[2:]]
        return len(self.shape) <= 1 and all(one and len(one.shape) == 1 for one in statistics)

    @property
    def used(self) -> list[Stored]:
        """Tensors that are read."""
        wanted = ("weight", "bias") if self.shape[1:] else NORM
        own = [self.tensors[name] for name in wanted if name in self.tensors]
        return own + (self.norm.used if self.norm else [])


def read_layers(
    tensors: Mapping[str, Stored], held: int, *, sort: bool = False
) -> tuple[tuple[SourceLayer, ...], tuple[str, ...]]:
    """Return the layers of a net in forward order, and what is none of them.

    The order is that of the file, with the numbered parts of one module in the order of their
    numbers; convolutions come before fully connected layers.

    Args:
        tensors: All tensors by name.
        held: Size of the file in bytes.
        sort: Order by names alone, because the order of the file says nothing.

    Raises:
        ModelError: There are no layers, too many numbers, or a tensor cannot be used.
    """
    if len(tensors) > MOST_TENSORS:
        raise ModelError(f"holds {len(tensors):,} tensors, more than a net of the paper ever has")
    modules = _modules(tensors, sort=sort)
    layers, unplaced = _with_norms(modules)
    if not layers:
        raise ModelError(
            f"holds no weights of a convolution or fully connected layer; {_found(tensors)}"
        )
    used = [stored for layer in layers for stored in layer.used]
    check_sizes([one.shape for one in used], [one.size for one in used], held)
    return tuple(map(_layer, layers)), tuple(unplaced)


def _found(tensors: Mapping[str, Stored]) -> str:
    if not tensors:
        return "found no tensors at all"
    return f"found {', '.join(map(printable, itertools.islice(tensors, 3)))}"


def _modules(tensors: Mapping[str, Stored], *, sort: bool) -> list[Module]:
    names = sorted(tensors, key=natural) if sort else list(tensors)
    modules: dict[str, Module] = {}
    for name in names:
        owner, _, last = name.rpartition(".")
        modules.setdefault(owner, Module(owner)).tensors[last] = tensors[name]
    prefix = _wrapping(list(modules))
    ranks = _ranks(list(modules))
    ordered = sorted(modules.values(), key=lambda module: ranks[module.name])
    return [replace(module, name=module.name.removeprefix(prefix)) for module in ordered]


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts names by the numbers in them.

    >>> sorted(["conv10", "conv9", "a"], key=natural)
    ['a', 'conv9', 'conv10']
    """
    parts = re.findall(r"[0-9]{1,9}|[^0-9]+|[0-9]", name)
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)


def _wrapping(names: list[str]) -> str:
    """Return the wrappers' names that all names begin with, with the dots."""
    prefix = ""
    while True:
        heads = {name.removeprefix(prefix).partition(".")[0] for name in names}
        if len(heads) != 1 or not heads <= set(WRAPPERS):
            return prefix
        prefix += f"{heads.pop()}."


def _ranks(names: list[str]) -> dict[str, tuple[tuple[int, int], ...]]:
    """Return a key for every name: numbered siblings by number, all others as they come."""
    first: dict[tuple[str, ...], int] = {}
    ranks = {}
    for place, name in enumerate(names):
        rank = []
        parts = name.split(".")[:64]
        for depth, part in enumerate(parts):
            numbered = part.isdecimal() and len(part) < 10
            group = (*parts[:depth], "" if numbered else part)
            rank.append((first.setdefault(group, place), int(part) if numbered else 0))
        ranks[name] = tuple(rank)
    return ranks


def _with_norms(modules: Sequence[Module]) -> tuple[list[Module], list[str]]:
    """Return layers with their normalisations, and lines about what is left."""
    layers: dict[str, Module] = {}
    unplaced = []
    for module in modules:
        if len(module.shape) in (2, 4):
            layers[module.name] = module
        elif not module.is_norm and module.tensors:
            unplaced.append(_other(module))
    for place, module in enumerate(modules):
        if not module.is_norm:
            continue
        before = layers.get(_before(module, modules, place).name)
        if before is None:
            unplaced.append(f"{printable(module.name)}: a batch normalisation before any layer")
        else:
            layers[before.name] = _joined(before, module)
    convolutions = [layer for layer in layers.values() if len(layer.shape) == 4]
    connected = [layer for layer in layers.values() if len(layer.shape) == 2]
    return convolutions + _chained(connected), unplaced


def _other(module: Module) -> str:
    shapes = ", ".join(
        f"{printable(name)} {'x'.join(map(str, stored.shape)) or 'number'}"
        for name, stored in itertools.islice(module.tensors.items(), 4)
    )
    return f"{printable(module.name) or 'the net itself'}: neither kind of layer ({shapes})"


def _before(norm: Module, modules: Sequence[Module], place: int) -> Module:
    """Return the module whose outputs a normalisation reads."""
    parent, _, last = norm.name.rpartition(".")
    siblings = {
        module.name.rpartition(".")[2]: module
        for module in modules
        if module.name.rpartition(".")[0] == parent and len(module.shape) in (2, 4)
    }
    if last.isdecimal() and len(last) < 10:
        same = siblings.get(str(int(last) - 1))
        earlier = [int(name) for name in siblings if name.isdecimal() and int(name) < int(last)]
        if same is None and earlier:
            nearest = siblings[str(max(earlier))]
            if len(nearest.shape) == 2:
                return nearest  # a head unlike the paper's, wherever its normalisation is
            raise ModelError(
                f"{printable(norm.name)}: a batch normalisation that does not come directly after "
                "a convolution; no net of the paper does that"
            )
    else:
        digits = re.findall("[0-9]+", last)
        named = [one for name, one in siblings.items() if re.findall("[0-9]+", name) == digits]
        same = named[0] if len(named) == 1 else None
    if same is not None:
        return same
    return next((module for module in reversed(modules[:place]) if module.shape[1:]), norm)


def _joined(layer: Module, norm: Module) -> Module:
    wrong = {stored.shape for name, stored in norm.tensors.items() if name in NORM}
    if layer.norm or wrong != {(layer.shape[0],)}:
        raise ModelError(
            f"{printable(norm.name)}: a batch normalisation that does not fit the "
            f"{layer.shape[0]:,} outputs of {printable(layer.name)}"
        )
    return replace(layer, norm=norm)


def _chained(layers: list[Module]) -> list[Module]:
    """Return fully connected layers in the one order in which each reads what another gives."""

    def fits(order: Sequence[Module]) -> bool:
        return all(a.shape[0] == b.shape[1] for a, b in itertools.pairwise(order))

    if fits(layers) or len(layers) > PERMUTED:
        return layers
    orders = [order for order in itertools.permutations(layers) if fits(order)]
    return list(orders[0]) if len(orders) == 1 else layers


def _layer(module: Module) -> SourceLayer:
    weight = as_weights(module.tensors["weight"].read(), f"{module.name}.weight")
    bias = module.tensors.get("bias")
    if bias and bias.shape != weight.shape[:1]:
        raise ModelError(
            f"{printable(module.name)}.bias: {'x'.join(map(str, bias.shape))} numbers for "
            f"{weight.shape[0]:,} outputs"
        )
    return SourceLayer(
        name=module.name or "weight",
        weight=weight,
        bias=as_weights(bias.read(), f"{module.name}.bias") if bias else None,
        norm=_norm(module.norm) if module.norm else None,
    )


def _norm(module: Module) -> BatchNorm:
    read = {
        name: as_weights(module.tensors[name].read(), f"{module.name}.{name}")
        for name in NORM
        if name in module.tensors
    }
    mean, variance = read["running_mean"], read["running_var"]
    if (variance < 0).any():
        raise ModelError(f"{printable(module.name)}.running_var: a variance below 0")
    scale = read.get("weight", torch.ones_like(mean))
    return BatchNorm(scale, read.get("bias", torch.zeros_like(mean)), mean, variance)
