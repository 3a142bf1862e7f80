"""What a map over an image says in numbers: where it is strongest, and how it is spread.

H, W sides of the map.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from verydeep.data.geometry import Box

ROWS = ("upper", "middle", "lower")
COLUMNS = ("left", "middle", "right")


class Peak(NamedTuple):
    """The strongest place of a map.

    Attributes:
        x: Its column, in pixels from the left edge.
        y: Its row, in pixels from the upper edge.
        value: Of the map there.
    """

    x: int
    y: int
    value: float


def peak(heat: Tensor) -> Peak:
    """Return where a map (H, W) is largest; of equal values the one nearest to their middle.

    >>> peak(torch.tensor([[0.0, 1.0], [3.0, 2.0]]))
    Peak(x=0, y=1, value=3.0)
    """
    places = (heat == heat.max()).nonzero()
    off = (places - places.double().mean(0)).square().sum(1)
    y, x = places[int(off.argmin())].tolist()
    return Peak(x, y, float(heat[y, x]))


def share_inside(heat: Tensor, box: Box) -> float:
    """Return which share of a map's positive mass lies in a box, 0 to 1; 0 of a map without any.

    Args:
        heat: (H, W).
        box: In pixels of the map; a pixel that is cut counts with its share of area.

    >>> share_inside(torch.ones(4, 4), Box(0, 0, 1.5, 4))
    0.375
    """
    mass = heat.double().clamp(min=0)
    total = float(mass.sum())
    rows = _cover(heat.shape[0], box.y0, box.y1)
    columns = _cover(heat.shape[1], box.x0, box.x1)
    return float(rows @ mass @ columns) / total if total else 0.0


def strongest_ninth(heat: Tensor) -> tuple[str, float]:
    """Return which cell of a 3x3 grid holds most of a map's positive mass, and its share.

    >>> strongest_ninth(torch.eye(3) * torch.tensor([1.0, 1.0, 2.0]))
    ('lower right', 0.5)
    """
    high, wide = (side / 3 for side in heat.shape)
    shares = {}
    for row in range(3):
        for column in range(3):
            cell = Box(wide * column, high * row, wide * (column + 1), high * (row + 1))
            shares[_place(row, column)] = share_inside(heat, cell)
    place = max(shares, key=shares.__getitem__)
    return place, shares[place]


def half_area(heat: Tensor) -> float:
    """Return the share of the map's area that holds half of its positive mass, at the least.

    0.5 of a map that is the same everywhere; the smaller, the more the map is drawn together.

    >>> half_area(torch.tensor([[1.0, 1.0], [1.0, 3.0]]))
    0.25
    """
    mass = heat.double().clamp(min=0).flatten().sort(descending=True).values
    reached = mass.cumsum(0) >= mass.sum() / 2
    return (int(reached.int().argmax()) + 1) / len(mass)


def _place(row: int, column: int) -> str:
    return "middle" if row == column == 1 else f"{ROWS[row]} {COLUMNS[column]}"


def _cover(length: int, start: float, stop: float) -> Tensor:
    """Return how much of each pixel of a line lies between two points."""
    first = torch.arange(length, dtype=torch.float64)
    return ((first + 1).clamp(max=stop) - first.clamp(min=start)).clamp(min=0)
