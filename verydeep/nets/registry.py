"""Nets by name. Names and sizes are known without torch; only building a net imports it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from verydeep.nets.anatomy import Anatomy, anatomy, anatomy_of
from verydeep.nets.columns import Column, Shape, nearest_column
from verydeep.nets.names import check_name, known_as
from verydeep.nets.table import (
    BLOCKS,
    HIDDEN,
    NAMES,
    SIX,
    SMALLEST_INPUT,
    Layer,
    block_of,
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
    "SIX",
    "SMALLEST_INPUT",
    "Anatomy",
    "Column",
    "Layer",
    "Shape",
    "anatomy",
    "anatomy_of",
    "block_of",
    "build",
    "check_name",
    "final_map",
    "in_words",
    "input_for_map",
    "is_shallowest",
    "known_as",
    "nearest_column",
    "weight_layers",
]


def build(name: str, num_classes: int, **settings: Any) -> Net:
    """Build a net without initializing it.

    Args:
        name: One of :data:`NAMES`.
        num_classes: Outputs of its last layer, K.
        settings: As :meth:`verydeep.nets.interface.Net.settings` returns them.

    Raises:
        InputError: There is no such net, or a setting is invalid.
    """
    from verydeep.nets.vgg import VGG

    return VGG(name, num_classes, **settings)


def in_words() -> str:
    """Return the names of all nets in a phrase.

    >>> in_words()
    'A, A-LRN, B, C, D, E or B-5x5'
    """
    return f"{', '.join(NAMES[:-1])} or {NAMES[-1]}"


def is_shallowest(name: str) -> bool:
    """Return whether none of the six nets has fewer layers with weights.

    >>> [name for name in NAMES if is_shallowest(name)]
    ['A', 'A-LRN', 'B-5x5']
    """
    return weight_layers(name) <= min(map(weight_layers, SIX))
