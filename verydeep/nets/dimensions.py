"""What the inputs of nets are called by their number of dimensions. Does not import torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class InputWords(NamedTuple):
    """Words for inputs.

    Attributes:
        thing: What one is called.
        unit: What its sides are counted in.
        axes: Letters of its axes.
        order: Its axes in words, in the order of sizes.
    """

    thing: str
    unit: str
    axes: str
    order: str


INPUT_WORDS = {
    2: InputWords("image", "pixels", "H, W", "height x width"),
    3: InputWords("volume", "voxels", "D, H, W", "depth x height x width"),
}
"""Words by number of dimensions."""


def times(sides: Iterable[int]) -> str:
    """Return sides or other sizes in words.

    >>> times((64, 3, 3, 3))
    '64x3x3x3'
    """
    return "x".join(map(str, sides))
