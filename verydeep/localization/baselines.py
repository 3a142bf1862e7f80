"""What a box is worth that knows nothing of the picture, so that a result means something."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from verydeep.data.geometry import Window
from verydeep.data.samples import Box
from verydeep.localization.boxes import View, from_view, to_view

CENTRAL_SQUARE = math.sqrt(0.5)
"""Side of the central square as a share of the picture's smallest side: half a square's area."""


def whole_view(size: tuple[int, int]) -> View:
    """Return a picture of that height and width as a view of itself."""
    return View(size, size, Window(0, 0, *size))


def mean_box(boxes: Sequence[Box], sizes: Sequence[tuple[int, int]]) -> Tensor:
    """Return the mean box of pictures, float64 (4,): centre and size relative to the picture.

    Args:
        boxes: One of each picture, in its pixels.
        sizes: Height and width of each picture.
    """
    corners = torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4)
    return to_view(corners, [whole_view(size) for size in sizes]).mean(0)


def baselines(size: tuple[int, int], mean: Tensor | None) -> Mapping[str, Tensor]:
    """Return the boxes, (4,) corners in pixels, that every picture of a size would be given.

    Args:
        size: Height and width of the picture.
        mean: Mean box of the training set, see :func:`mean_box`; None leaves it out.

    >>> {name: box.round().tolist() for name, box in baselines((100, 200), None).items()}
    {'whole_picture': [0.0, 0.0, 200.0, 100.0], 'central_square': [65.0, 15.0, 135.0, 85.0]}
    """
    height, width = size
    side = CENTRAL_SQUARE * min(size)
    square = torch.tensor([0.5, 0.5, side / width, side / height], dtype=torch.float64)
    whole = torch.tensor([0.5, 0.5, 1.0, 1.0], dtype=torch.float64)
    relative = {"mean_box": mean, "whole_picture": whole, "central_square": square}
    view = whole_view(size)
    return {name: from_view(box, view) for name, box in relative.items() if box is not None}
