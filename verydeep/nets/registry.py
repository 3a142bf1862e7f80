"""Nets by name. Names and sizes are known without torch; only building a net imports it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from verydeep.nets import table
from verydeep.nets.anatomy import Anatomy
from verydeep.nets.anatomy import anatomy as paper_anatomy
from verydeep.nets.columns import Column, Shape, nearest_column
from verydeep.nets.families import NEIGHBOURS, Family, family_of
from verydeep.nets.names import check_name, known_as
from verydeep.nets.table import (
    BLOCKS,
    HIDDEN,
    SIX,
    SMALLEST_INPUT,
    Layer,
    final_map,
    input_for_map,
    weight_layers,
)

if TYPE_CHECKING:
    from verydeep.nets.interface import Net

__all__ = [
    "BLOCKS",
    "HIDDEN",
    "NAMES",
    "PAPER_NETS",
    "SIX",
    "SMALLEST_INPUT",
    "Anatomy",
    "Column",
    "Family",
    "Layer",
    "Shape",
    "anatomy",
    "anatomy_of",
    "block_of",
    "build",
    "check_name",
    "family_of",
    "final_map",
    "in_words",
    "input_for_map",
    "is_shallowest",
    "known_as",
    "nearest_column",
    "neighbour_layers",
    "weight_layers",
]

PAPER_NETS = table.NAMES
"""Nets that Table 1 describes."""

NAMES = (*PAPER_NETS, *(name for family in NEIGHBOURS for name in family.names))
"""All nets."""


def build(name: str, num_classes: int, **settings: Any) -> Net:
    """Build a net without initializing it.

    Args:
        name: One of :data:`NAMES`.
        num_classes: Outputs of its last layer, K.
        settings: As :meth:`verydeep.nets.interface.Net.settings` returns them.

    Raises:
        InputError: There is no such net, or a setting is invalid.
    """
    name = check_name(name)
    net: Net = family_of(name).load()(name, num_classes, **settings)
    return net


def anatomy(name: str, num_classes: int | None = None, **settings: Any) -> Anatomy:
    """Return the anatomy of any net; the settings are those of its builder.

    Table 1 is counted by arithmetic; other nets are built without memory, and counted on their
    modules, which needs torch.

    Args:
        name: Name of a net or an alias.
        num_classes: Outputs of its last layer, K; None: as published.
        settings: As :meth:`verydeep.nets.interface.Net.settings` returns them.

    Raises:
        InputError: The net is unknown, or a setting is invalid.

    >>> anatomy("lecun1989").parameters
    9760
    """
    name = check_name(name)
    if name in PAPER_NETS:
        sizes = {key: value for key, value in settings.items() if key != "dropout"}
        return paper_anatomy(name, 1000 if num_classes is None else num_classes, **sizes)
    import torch

    classes = {} if num_classes is None else {"num_classes": num_classes}
    with torch.device("meta"):
        net: Net = family_of(name).load()(name, **classes, **settings)
    return net.anatomy()


def anatomy_of(settings: Mapping[str, Any], num_classes: int = 1000) -> Anatomy:
    """Return the anatomy of a net with settings as :meth:`Net.settings` returns them."""
    return anatomy(num_classes=num_classes, **settings)


def neighbour_layers(name: str, *, batch_norm: bool = True) -> dict[str, tuple[int, ...]]:
    """Return path and shape of the weights of all convolutions of a neighbour of the paper's nets.

    Args:
        name: Name of the net.
        batch_norm: Whether it has batch normalisation.
    """
    import torch
    from torch import nn

    with torch.device("meta"):
        net = build(name, 1, batch_norm=batch_norm)
    return {
        path: tuple(module.weight.shape)
        for path, module in net.features.named_modules()
        if isinstance(module, nn.Conv2d)
    }


def block_of(parameter: str) -> int | None:
    """Return the block of a parameter by its name; None for layers after the features.

    Layers of features are named by their block, the first digit of the name.

    >>> block_of("features.conv3_1.weight"), block_of("classifier.fc8.bias")
    (3, None)
    """
    part, layer, *_ = parameter.split(".")
    digit = re.search(r"\d", layer)
    return int(digit[0]) if part == "features" and digit else None


def in_words() -> str:
    """Return the names of all nets in a phrase.

    >>> in_words()
    'A, A-LRN, B, C, D, E, B-5x5, lecun1989, googlenet or senet154'
    """
    return f"{', '.join(NAMES[:-1])} or {NAMES[-1]}"


def is_shallowest(name: str) -> bool:
    """Return whether none of the six nets has fewer layers with weights; true of other families.

    >>> [name for name in NAMES if is_shallowest(name)]
    ['A', 'A-LRN', 'B-5x5', 'lecun1989', 'googlenet', 'senet154']
    """
    return name not in PAPER_NETS or weight_layers(name) <= min(map(weight_layers, SIX))
