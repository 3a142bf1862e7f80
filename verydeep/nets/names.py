"""Aliases of the nets: ``vgg16`` is net D, ``vgg16_bn`` net D with batch normalisation."""

from __future__ import annotations

import re
from typing import NamedTuple

from verydeep.errors import InputError, did_you_mean
from verydeep.nets.families import NEIGHBOURS, neighbour
from verydeep.nets.table import NAMES, SIX

BY_LAYERS = {"11": "A", "13": "B", "16": "D", "19": "E"}
"""Nets by number of weight layers, as in torchvision, timm and Keras; C has 16 as well."""

_BY_CAPITALS = {name.upper(): name for name in NAMES}
_BATCH_NORM = re.compile(r"[-_ ]?(bn|batch[-_ ]?norm)$")
_PREFIX = re.compile(r"^(vgg|net)?[-_ ]?")


class Known(NamedTuple):
    """A resolved net name.

    Attributes:
        name: Column of Table 1, or the rival of net B.
        batch_norm: Whether the name includes batch normalisation.
    """

    name: str
    batch_norm: bool


def known_as(name: object) -> Known | None:
    """Return the net with this name or alias, or None.

    >>> known_as("VGG-16"), known_as("vgg19_bn"), known_as("a-lrn"), known_as("resnet50")
    (Known(name='D', batch_norm=False), Known(name='E', batch_norm=True), \
Known(name='A-LRN', batch_norm=False), None)
    """
    if isinstance(name, bool) or not isinstance(name, str | int):
        return None
    if other := neighbour(name):
        return Known(other, batch_norm=False)
    word = str(name).strip().lower()
    plain = _BATCH_NORM.sub("", word)
    core = _PREFIX.sub("", plain).replace("_", "-")
    found = BY_LAYERS.get(core) or _BY_CAPITALS.get(core.upper())
    return Known(found, plain != word) if found else None


def check_name(name: str) -> str:
    """Return the name of a net as in :data:`verydeep.nets.table.COLUMNS`.

    Raises:
        InputError: The net is unknown.

    >>> check_name("a-lrn"), check_name("vgg16")
    ('A-LRN', 'D')
    """
    known = known_as(name)
    if known and not known.batch_norm:
        return known.name
    if known:
        raise InputError(
            f"{name!r} is net {known.name} with batch normalisation: give {known.name}, and switch "
            "that on beside it"
        )
    others = [other for family in NEIGHBOURS for other in family.names]
    raise InputError(
        f"there is no net {name!r}; the paper has {', '.join(SIX)} (vgg11 is A, vgg13 B, "
        f"vgg16 D, vgg19 E) and {NAMES[-1]}; beside them there are {', '.join(others)}"
        f"{did_you_mean(str(name).upper(), NAMES)}{did_you_mean(str(name).lower(), others)}"
    )
