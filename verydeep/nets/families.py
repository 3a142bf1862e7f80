"""Families of nets: who published them, where they are built, and which settings they have.

The nets of the paper are one family. Its neighbours, which the lecture compares them with, are
families of one net each. This module does not import torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

from verydeep.nets import table


@dataclass(frozen=True)
class Family:
    """Nets of one paper.

    Attributes:
        paper: Authors and year.
        names: Names of its nets.
        builder: Module and class, as ``module:Class``.
        settings: Every setting of its nets and the default, without name and number of classes.
        recipe: Recipe shipped with the package that trains its nets as published.
        smallest_input: Side of the smallest input, in pixels.
        any_size: Whether the nets classify larger images densely; else they take images of exactly
            ``input_size``.
        aliases: Names of its nets elsewhere, by lower-case spelling.
        known_for: The published result, in a phrase.
        adaptable: Whether its nets have what box regressors and transfers need: pools by block and
            three fully connected layers.
    """

    paper: str
    names: tuple[str, ...]
    builder: str
    settings: Mapping[str, Any]
    recipe: str
    smallest_input: int
    any_size: bool = True
    aliases: Mapping[str, str] = field(default_factory=dict)
    known_for: str = ""
    adaptable: bool = False

    def load(self) -> Any:
        """Import and return the class of its nets."""
        module, _, name = self.builder.partition(":")
        return getattr(importlib.import_module(module), name)


PAPER = Family(
    paper="Simonyan & Zisserman (2014)",
    names=table.NAMES,
    builder="verydeep.nets.vgg:VGG",
    settings={
        "batch_norm": False,
        "input_size": 224,
        "channels": 3,
        "width": 1.0,
        "hidden": table.HIDDEN,
        "dropout": 0.5,
        "dimensions": 2,
    },
    recipe="paper",
    smallest_input=table.SMALLEST_INPUT,
    adaptable=True,
)

LECUN_1989 = Family(
    paper="LeCun et al. (1989)",
    names=("lecun1989",),
    builder="verydeep.nets.lecun1989:LeCun1989",
    settings={
        "input_size": 16,
        "channels": 1,
        "width": 1.0,
        "hidden": 30,
        "dropout": 0.0,
        "activation": "tanh",
        "output": "tanh",
    },
    recipe="lecun1989",
    smallest_input=16,
    any_size=False,
    aliases={"lecun": "lecun1989", "lecun-1989": "lecun1989", "lecun_1989": "lecun1989"},
    known_for="5.0 % error on 2,007 zip code digits",
)

GOOGLENET = Family(
    paper="Szegedy et al. (2014)",
    names=("googlenet",),
    builder="verydeep.nets.googlenet:GoogLeNet",
    settings={
        "batch_norm": False,
        "input_size": 224,
        "channels": 3,
        "width": 1.0,
        "dropout": 0.4,
        "auxiliary": True,
    },
    recipe="googlenet",
    smallest_input=32,
    aliases={"inception_v1": "googlenet", "inception-v1": "googlenet", "inceptionv1": "googlenet"},
    known_for="6.67 % top-5 error of an ensemble of 7, winner of ILSVRC 2014",
)

SENET = Family(
    paper="Hu et al. (2017)",
    names=("senet154",),
    builder="verydeep.nets.senet:SENet154",
    settings={
        "batch_norm": True,
        "input_size": 224,
        "channels": 3,
        "width": 1.0,
        "dropout": 0.2,
    },
    recipe="senet154",
    smallest_input=32,
    aliases={"senet-154": "senet154", "legacy_senet154": "senet154"},
    known_for="2.251 % top-5 error of an ensemble, winner of ILSVRC 2017",
)

FAMILIES = (PAPER, LECUN_1989, GOOGLENET, SENET)
NEIGHBOURS = FAMILIES[1:]


@cache
def families() -> Mapping[str, Family]:
    """Return the family of every net by its name."""
    return MappingProxyType({name: family for family in FAMILIES for name in family.names})


def family_of(name: str) -> Family:
    """Return the family of a net.

    >>> family_of("D").paper, family_of("lecun1989").any_size
    ('Simonyan & Zisserman (2014)', False)
    """
    return families()[name]


def neighbour(name: object) -> str | None:
    """Return the name of a neighbour of the paper's nets by name or alias; None for other nets.

    >>> neighbour("LeCun-1989"), neighbour("D")
    ('lecun1989', None)
    """
    word = str(name).strip().lower()
    for family in NEIGHBOURS:
        if word in family.names:
            return word
        if word in family.aliases:
            return family.aliases[word]
    return None
