"""Sizes and windows of rescaled pictures: pure arithmetic, shared by training and testing."""

from __future__ import annotations

from typing import NamedTuple


class Window(NamedTuple):
    """A rectangle of whole pixels: its upper left corner and its size."""

    top: int
    left: int
    height: int
    width: int


def rescaled_size(height: int, width: int, scale: int) -> tuple[int, int]:
    """Return the size of a picture whose smallest side is brought to ``scale``.

    Isotropic up to rounding: the longer side is rounded to whole pixels.

    >>> rescaled_size(375, 500, 256)
    (256, 341)
    """
    smallest = min(height, width)
    return max(scale, round(height * scale / smallest)), max(scale, round(width * scale / smallest))


def center_window(height: int, width: int, size: int) -> Window:
    """Return the central square of side ``size``; half pixels go up and left.

    >>> center_window(256, 341, 224)
    Window(top=16, left=58, height=224, width=224)
    """
    return Window((height - size) // 2, (width - size) // 2, size, size)
