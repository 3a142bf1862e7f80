"""Views of rescaled volumes: the same kinds as of images, with a third axis. Pure geometry."""

from __future__ import annotations

from collections.abc import Iterable
from functools import singledispatch
from itertools import product
from typing import cast

from verydeep.data.geometry import View
from verydeep.data.volumes.geometry import CubeView, Cuboid, Sides, center_cuboid
from verydeep.errors import InputError
from verydeep.evaluation.views import Center, Dense, Grid, Views, spread

AnyView = View | CubeView

IMAGES_ONLY = (
    "the protocols ten-crop and googlenet are of images: volumes have center, dense, crops and both"
)
"""Reason why a volume has no such views."""


def views_of(kind: Views, sides: tuple[int, ...], input_size: int) -> tuple[AnyView, ...]:
    """Return the views of a rescaled image, or of a volume.

    A grid of crops has as many slices of crops as the smaller of its rows and columns.

    Args:
        kind: Kind of view.
        sides: H, W; or D, H, W.
        input_size: Side of the net's smallest input.

    Raises:
        InputError: The kind is of images only.

    >>> from verydeep.evaluation.views import Grid
    >>> [view.window.corner for view in views_of(Grid(1, 2, flip=False), (32, 32, 40), 32)]
    [(0, 0, 0), (0, 0, 8)]
    """
    if len(sides) == 2:
        return kind(*sides, input_size)
    return _of_volume(kind, cast(Sides, sides), input_size)


@singledispatch
def _of_volume(kind: object, sides: Sides, input_size: int) -> tuple[CubeView, ...]:
    raise InputError(IMAGES_ONLY)


@_of_volume.register
def _(kind: Dense, sides: Sides, input_size: int) -> tuple[CubeView, ...]:
    return _mirrored([Cuboid(0, 0, 0, *sides)], kind.flip)


@_of_volume.register
def _(kind: Center, sides: Sides, input_size: int) -> tuple[CubeView, ...]:
    return _mirrored([center_cuboid(sides, input_size)], kind.flip)


@_of_volume.register
def _(kind: Grid, sides: Sides, input_size: int) -> tuple[CubeView, ...]:
    counts = (min(kind.rows, kind.columns), kind.rows, kind.columns)
    lines = (spread(side - input_size, n) for side, n in zip(sides, counts, strict=True))
    cubes = (Cuboid(*corner, *[input_size] * 3) for corner in product(*lines))
    return _mirrored(cubes, kind.flip)


def _mirrored(windows: Iterable[Cuboid], flip: bool) -> tuple[CubeView, ...]:
    turns = (False, True) if flip else (False,)
    return tuple(CubeView(window, turn) for window in windows for turn in turns)
