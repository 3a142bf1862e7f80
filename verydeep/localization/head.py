"""Output layer and losses of a box regressor (appendix A). Pure functions.

The last fully connected layer of any of the six nets has 4·G outputs: one box for all classes
(single-class regression, SCR, G = 1) or one per class (per-class regression, PCR, G = K). A box is
centre x, centre y, width, height, relative to the net's input window.

N images, K classes, G boxes per image; h, w sides of an output map.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

LossName = Literal["euclidean", "smooth-l1"]

BEND = 0.1
"""Deviation above which smooth L1 is linear, relative to the side of the input window."""


def outputs_for(classes: int, *, per_class: bool) -> int:
    """Return the number of outputs of the last layer: 4·K (PCR) or 4 (SCR).

    >>> outputs_for(1000, per_class=True), outputs_for(1000, per_class=False)
    (4000, 4)
    """
    return 4 * (classes if per_class else 1)


def as_boxes(answers: Tensor) -> Tensor:
    """Reshape outputs (N, 4·G) or (N, 4·G, h, w) to boxes (N, G, 4) or (N, G, 4, h, w)."""
    return answers.reshape(len(answers), answers.shape[1] // 4, 4, *answers.shape[2:])


def of_class(boxes: Tensor, labels: Tensor) -> Tensor:
    """Select the box of one class for each image.

    Args:
        boxes: Boxes, (N, G, 4, ...); with G = 1 the box is the same for all classes.
        labels: Class indices, int64 (N,).

    Returns:
        Boxes, (N, 4, ...).
    """
    rows = torch.arange(len(boxes), device=boxes.device)
    return boxes[rows, labels if boxes.shape[1] > 1 else torch.zeros_like(labels)]


def euclidean(found: Tensor, true: Tensor) -> Tensor:
    """Return the squared Euclidean distance, the paper's loss: Σⱼ (foundⱼ − trueⱼ)², j = 1…4.

    Args:
        found: Predicted boxes, relative centre and size, (..., 4).
        true: True boxes, (..., 4).

    Returns:
        One loss per box, (...); the loss of a batch is their mean.

    >>> euclidean(torch.tensor([0.5, 0.5, 0.4, 0.2]), torch.tensor([0.5, 0.4, 0.2, 0.2])).item()
    0.05000000074505806
    """
    return (found - true).square().sum(-1)


def smooth_l1(found: Tensor, true: Tensor) -> Tensor:
    """Return smooth L1, linear for large deviations (Girshick 2015; not in the paper).

    The sum over j of dⱼ² where the deviation dⱼ = |foundⱼ − trueⱼ| is below b, else b·(2·dⱼ − b),
    with b = :data:`BEND`. For small deviations this equals :func:`euclidean`; the slope never
    exceeds 2·b.

    Args:
        found: Predicted boxes, relative centre and size, (..., 4).
        true: True boxes, (..., 4).

    Returns:
        One loss per box, (...).
    """
    off = (found - true).abs()
    return torch.where(off < BEND, off.square(), BEND * (2 * off - BEND)).sum(-1)


LOSSES: dict[LossName, Callable[[Tensor, Tensor], Tensor]] = {
    "euclidean": euclidean,
    "smooth-l1": smooth_l1,
}
"""Loss functions by their names in a recipe: predicted and true boxes (..., 4) to losses (...)."""
