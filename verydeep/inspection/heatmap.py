"""Summary numbers of a heat map: its peak, location and concentration.

H, W: sides of the map.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from verydeep.data.geometry import Box

ROWS = ("upper", "middle", "lower")
COLUMNS = ("left", "middle", "right")


class Peak(NamedTuple):
    """Maximum of a map.

    Attributes:
        x: Column, in pixels.
        y: Row, in pixels.
        value: Value of the map.
    """

    x: int
    y: int
    value: float


def peak(heat: Tensor) -> Peak:
    """Return the maximum of a map (H, W); among equal values, the one nearest to their mean.

    >>> peak(torch.tensor([[0.0, 1.0], [3.0, 2.0]]))
    Peak(x=0, y=1, value=3.0)
    """
    maxima = (heat == heat.max()).nonzero()
    distances = (maxima - maxima.double().mean(0)).square().sum(1)
    y, x = maxima[int(distances.argmin())].tolist()
    return Peak(x, y, float(heat[y, x]))


def share_inside(heat: Tensor, box: Box) -> float:
    """Return the share of a map's positive mass inside a box, 0 to 1; 0 if the mass is 0.

    Args:
        heat: Map, (H, W).
        box: Box in pixels of the map; partly covered pixels count by their covered area.

    >>> share_inside(torch.ones(4, 4), Box(0, 0, 1.5, 4))
    0.375
    """
    mass = heat.double().clamp(min=0)
    total = float(mass.sum())
    rows = _cover(heat.shape[0], box.y0, box.y1)
    columns = _cover(heat.shape[1], box.x0, box.x1)
    return float(rows @ mass @ columns) / total if total else 0.0


def strongest_ninth(heat: Tensor) -> tuple[str, float]:
    """Return the cell of a 3x3 grid with most of a map's positive mass, and its share.

    >>> strongest_ninth(torch.eye(3) * torch.tensor([1.0, 1.0, 2.0]))
    ('lower right', 0.5)
    """
    high, wide = (side / 3 for side in heat.shape)
    shares = {}
    for row in range(3):
        for column in range(3):
            cell = Box(wide * column, high * row, wide * (column + 1), high * (row + 1))
            name = "middle" if row == column == 1 else f"{ROWS[row]} {COLUMNS[column]}"
            shares[name] = share_inside(heat, cell)
    return max(shares.items(), key=lambda item: item[1])


def half_area(heat: Tensor) -> float:
    """Return the smallest share of a map's area that holds half of its positive mass.

    It is 0.5 for a constant map, and smaller for concentrated ones.

    >>> half_area(torch.tensor([[1.0, 1.0], [1.0, 3.0]]))
    0.25
    """
    mass = heat.double().clamp(min=0).flatten().sort(descending=True).values
    reached = mass.cumsum(0) >= mass.sum() / 2
    return (int(reached.int().argmax()) + 1) / len(mass)


def _cover(length: int, start: float, stop: float) -> Tensor:
    """Return the covered share of each pixel of a line between two points."""
    first = torch.arange(length, dtype=torch.float64)
    return ((first + 1).clamp(max=stop) - first.clamp(min=start)).clamp(min=0)
