"""Baseline boxes that ignore the image, to compare results with."""

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
from verydeep.localization.protocol import CORRECT_ABOVE

CENTRAL_SQUARE = math.sqrt(0.5)
"""Side of the central square relative to the image's smallest side: half the square's area."""


def whole_view(size: tuple[int, int]) -> PlacedView:
    """Return the view that shows a whole image of this height and width."""
    return PlacedView(size, size, Window(0, 0, *size))


def relative_boxes(boxes: Sequence[Box], sizes: Sequence[tuple[int, int]]) -> Tensor:
    """Return boxes as centre and size relative to their images, float64 (N, 4).

    Args:
        boxes: One box per image, in pixels.
        sizes: Height and width of each image, in pixels.
    """
    corners = torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4)
    return to_view(corners, [whole_view(size) for size in sizes])


STARTS = 100
"""Maximum number of boxes tried as the start of the search for the constant box."""

FINEST = 1 / 512
"""Smallest step of the search, relative to the image's side."""


def constant_box(boxes: Tensor) -> Tensor:
    """Return a box with IoU > 0.5 to as many boxes of a set as possible (a local optimum).

    The search starts at the best of the set's mean and some of its boxes. It changes one edge, the
    centre or the size by a step while that helps, then halves the step. The mean IoU breaks ties.

    Args:
        boxes: Centre and size relative to their images, (N, 4), N ≥ 1.

    Returns:
        Centre and size relative to the image, float64 (4,).
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
    """Return for each candidate the number of boxes with IoU > 0.5, plus half its mean IoU."""
    overlaps = iou_matrix(to_corners(candidates), corners)
    return (overlaps > CORRECT_ABOVE).double().sum(1) + overlaps.mean(1) / 2


def fit_baselines(boxes: Tensor) -> dict[str, Tensor]:
    """Return the mean box and the best constant box of a training set, (4,) each.

    Args:
        boxes: Centre and size relative to their images, (N, 4), N ≥ 1.
    """
    return {"mean_box": boxes.mean(0), "constant_box": constant_box(boxes)}


def baselines(size: tuple[int, int], fitted: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the baseline boxes for an image size, corners (4,) in pixels.

    Args:
        size: Height and width of the image.
        fitted: Boxes fitted on the training set; see :func:`fit_baselines`.

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
