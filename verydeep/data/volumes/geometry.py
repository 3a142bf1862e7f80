"""Cuboids of voxels: the windows and crops of volumes, as in :mod:`verydeep.data.geometry`."""

from __future__ import annotations

from typing import NamedTuple

from verydeep.data.geometry import Rounding

Sides = tuple[int, int, int]
"""Depth, height and width, in voxels."""

Extent = tuple[float, float, float]
"""Depth, height and width, in the shortest edge of a voxel."""


class Cuboid(NamedTuple):
    """A part of a volume in whole voxels, given by its first corner and its sides."""

    front: int
    top: int
    left: int
    depth: int
    height: int
    width: int

    @property
    def corner(self) -> Sides:
        """First slice, row and column."""
        return self[:3]

    @property
    def sides(self) -> Sides:
        """Depth, height and width."""
        return self[3:]

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The part as an index."""
        z, y, x = (slice(at, at + side) for at, side in zip(self[:3], self[3:], strict=True))
        return z, y, x


class CubeView(NamedTuple):
    """The part of a rescaled volume that a net receives.

    Attributes:
        window: Part of the volume.
        flip: Whether it is mirrored, left to right.
    """

    window: Cuboid
    flip: bool = False

    @property
    def shown(self) -> Sides:
        """Sides of the net's input."""
        return self.window.sides


def rescaled_sides(extent: Extent, scale: int, rounding: Rounding = "nearest") -> Sides:
    """Return the sides of a volume whose smallest extent is brought to ``scale``.

    The voxels of the new volume are cubes, whatever those of the old one are.

    >>> rescaled_sides((91, 109, 91), 32)
    (32, 38, 32)
    """
    smallest = min(extent)
    exact = (side * scale / smallest for side in extent)
    z, y, x = (max(scale, int(e) if rounding == "down" else round(e)) for e in exact)
    return z, y, x


def center_cuboid(sides: Sides, size: int) -> Cuboid:
    """Return the central cube of side ``size``; half voxels round towards the first corner.

    >>> center_cuboid((32, 39, 32), 32)
    Cuboid(front=0, top=3, left=0, depth=32, height=32, width=32)
    """
    front, top, left = ((side - size) // 2 for side in sides)
    return Cuboid(front, top, left, size, size, size)
