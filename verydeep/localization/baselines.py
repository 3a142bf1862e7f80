"""What a box is worth that knows nothing of the image, so that a result means something."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from verydeep.data.geometry import Box, Window
from verydeep.localization.box_geometry import (
    PlacedView,
    from_view,
    iou_matrix,
    to_corners,
    to_view,
)
from verydeep.localization.head import CORRECT_ABOVE

CENTRAL_SQUARE = math.sqrt(0.5)
"""Side of the central square as a share of the image's smallest side: half a square's area."""


def whole_view(size: tuple[int, int]) -> PlacedView:
    """Return an image of that height and width as a view of itself."""
    return PlacedView(size, size, Window(0, 0, *size))


def relative_boxes(boxes: Sequence[Box], sizes: Sequence[tuple[int, int]]) -> Tensor:
    """Return boxes of images, float64 (N, 4): centre and size relative to the image.

    Args:
        boxes: One of each image, in its pixels.
        sizes: Height and width of each image.
    """
    corners = torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4)
    return to_view(corners, [whole_view(size) for size in sizes])


STARTS = 100
"""Boxes of a set that the search for the best constant box may begin with."""

FINEST = 1 / 512
"""Of its steps, as a share of the image's side."""


def constant_box(boxes: Tensor) -> Tensor:
    """Return the box that overlaps more boxes of a set by over one half than its neighbours do.

    It is sought from the best of the set's mean and some of its boxes: one edge, the centre or the
    size is moved by a step as long as that helps, then the step is halved. Of boxes that meet
    equally many that with the larger mean overlap is better.

    Args:
        boxes: (N, 4), centre and size relative to their images, N ≥ 1.

    Returns:
        float64 (4,), likewise.
    """
    corners = to_corners(boxes.double())
    starts = torch.cat([boxes.mean(0, keepdim=True), boxes[:: -(-len(boxes) // STARTS)]]).double()
    values = _met(starts, corners)
    best, value, step = starts[values.argmax()], values.max(), 1 / 8
    while step >= FINEST:
        moved = best + step * _MOVES
        moved = moved[(moved[:, 2:] > 0).all(1)]
        values = _met(moved, corners)
        if values.max() > value:
            best, value = moved[values.argmax()], values.max()
        else:
            step /= 2
    return best


_STEPS = torch.tensor(
    [
        *((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)),
        *((0.5, 0, 1, 0), (0.5, 0, -1, 0), (0, 0.5, 0, 1), (0, 0.5, 0, -1)),
    ],
    dtype=torch.float64,
)
_MOVES = torch.cat([_STEPS, -_STEPS])


def _met(candidates: Tensor, corners: Tensor) -> Tensor:
    """Return of boxes how many others they meet, and a fraction that grows with the overlap."""
    overlaps = iou_matrix(to_corners(candidates), corners)
    return (overlaps > CORRECT_ABOVE).double().sum(1) + overlaps.mean(1) / 2


def fit_baselines(boxes: Tensor) -> dict[str, Tensor]:
    """Return the mean box of a training set and its best constant box, (4,) each.

    Args:
        boxes: (N, 4), centre and size relative to their images, N ≥ 1.
    """
    return {"mean_box": boxes.mean(0), "constant_box": constant_box(boxes)}


def baselines(size: tuple[int, int], fitted: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the boxes, (4,) corners in pixels, that every image of a size would be given.

    Args:
        size: Height and width of the image.
        fitted: Boxes of the training set, see :func:`fit_baselines`.

    >>> {name: box.round().tolist() for name, box in baselines((100, 200), {}).items()}
    {'whole_picture': [0.0, 0.0, 200.0, 100.0], 'central_square': [65.0, 15.0, 135.0, 85.0]}
    """
    height, width = size
    side = CENTRAL_SQUARE * min(size)
    square = torch.tensor([0.5, 0.5, side / width, side / height], dtype=torch.float64)
    whole = torch.tensor([0.5, 0.5, 1.0, 1.0], dtype=torch.float64)
    relative = {**fitted, "whole_picture": whole, "central_square": square}
    view = whole_view(size)
    return {name: from_view(box, view) for name, box in relative.items()}
