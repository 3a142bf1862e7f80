"""What the last layer of a box net says, and how far off it is (appendix A). Pure functions.

The last fully connected layer of any of the six nets is made 4·G wide: one box for all classes
(single-class regression, SCR, G = 1) or one for each (per-class regression, PCR, G = K). A box is
centre x, centre y, width, height, relative to what the net is shown.

N images, K classes, G boxes an image; h, w sides of a map of answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

LossName = Literal["euclidean", "smooth-l1"]

BEND = 0.1
"""Deviation, in sides of what the net is shown, from which on smooth L1 grows linearly."""


CORRECT_ABOVE = 0.5
"""A box is right if its overlap (intersection over union) with the true one exceeds this."""


def outputs_for(classes: int, *, per_class: bool) -> int:
    """Return how many numbers the last layer gives: 4·K (PCR) or 4 (SCR).

    >>> outputs_for(1000, per_class=True), outputs_for(1000, per_class=False)
    (4000, 4)
    """
    return 4 * (classes if per_class else 1)


def as_boxes(answers: Tensor) -> Tensor:
    """Return answers (N, 4·G) or (N, 4·G, h, w) as boxes (N, G, 4) or (N, G, 4, h, w)."""
    return answers.reshape(len(answers), -1, 4, *answers.shape[2:])


def of_class(boxes: Tensor, labels: Tensor) -> Tensor:
    """Return the box of one class of each image.

    Args:
        boxes: (N, G, 4, ...), G = 1 or K; with G = 1 it is the box of any class.
        labels: int64 (N,), the classes.

    Returns:
        (N, 4, ...).
    """
    rows = torch.arange(len(boxes), device=boxes.device)
    return boxes[rows, labels if boxes.shape[1] > 1 else torch.zeros_like(labels)]


def euclidean(found: Tensor, true: Tensor) -> Tensor:
    """Return the squared Euclidean distance of boxes, as published: Σⱼ (foundⱼ − trueⱼ)², j = 1…4.

    Args:
        found: (..., 4), relative centre and size.
        true: (..., 4).

    Returns:
        (...), one loss a box; the loss of a batch is their mean.

    >>> euclidean(torch.tensor([0.5, 0.5, 0.4, 0.2]), torch.tensor([0.5, 0.4, 0.2, 0.2])).item()
    0.05000000074505806
    """
    return (found - true).square().sum(-1)


def smooth_l1(found: Tensor, true: Tensor) -> Tensor:
    """Return a loss that grows linearly for boxes that are far off (Girshick 2015; not the paper).

    Σⱼ dⱼ² where the deviation dⱼ = |foundⱼ − trueⱼ| is below b, and b·(2·dⱼ − b) beyond, with b =
    :data:`BEND`: near the truth it is :func:`euclidean`, and its slope never exceeds 2·b.

    Args:
        found: (..., 4), relative centre and size.
        true: (..., 4).

    Returns:
        (...), one loss a box.
    """
    off = (found - true).abs()
    return torch.where(off < BEND, off.square(), BEND * (2 * off - BEND)).sum(-1)


LOSSES: dict[LossName, Callable[[Tensor, Tensor], Tensor]] = {
    "euclidean": euclidean,
    "smooth-l1": smooth_l1,
}
"""Losses (...) from boxes (..., 4) that were found and true ones, by their names in a recipe."""
