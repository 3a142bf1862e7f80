"""Boxes as tensors, from pictures to the views of a net and back (appendix A). Pure arithmetic.

The last dimension of a tensor of boxes is 4, in one of two forms:

- corners (x0, y0, x1, y1), x to the right, y down; x1 and y1 are the first ones outside;
- centre and size (cx, cy, w, h), which is what a net answers, relative to what it is shown.

All functions work on any floating type, keep it, and broadcast over leading dimensions "...".
N, M boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from verydeep.data.geometry import Window


@dataclass(frozen=True, slots=True)
class View:
    """What a net is shown, and where on the picture that is.

    Attributes:
        picture: Height and width of the upright picture, in pixels.
        rescaled: Height and width of the whole picture after rescaling.
        window: The part of the rescaled picture that is shown. It may reach beyond its edges.
        flip: Whether that part is mirrored.
    """

    picture: tuple[int, int]
    rescaled: tuple[int, int]
    window: Window
    flip: bool = False

    @property
    def factor(self) -> tuple[float, float, float, float]:
        """What (cx, cy, w, h) on the picture are multiplied by, before :attr:`shift` is added."""
        y = self.rescaled[0] / self.picture[0] / self.window.height
        x = self.rescaled[1] / self.picture[1] / self.window.width
        return (-x if self.flip else x), y, x, y

    @property
    def shift(self) -> tuple[float, float, float, float]:
        """What is then added, to be relative to the window."""
        x = self.window.left / self.window.width
        y = self.window.top / self.window.height
        return (1 + x if self.flip else -x), -y, 0.0, 0.0


def to_center(corners: Tensor) -> Tensor:
    """Return centres and sizes (..., 4) of boxes that are given by their corners (..., 4).

    >>> to_center(torch.tensor([10.0, 20.0, 30.0, 60.0])).tolist()
    [20.0, 40.0, 20.0, 40.0]
    """
    first, last = corners[..., :2], corners[..., 2:]
    return torch.cat([(first + last) / 2, last - first], -1)


def to_corners(center: Tensor) -> Tensor:
    """Return the corners (..., 4) of boxes that are given by centre and size (..., 4).

    A negative size gives corners in the wrong order: an empty box.
    """
    middle, half = center[..., :2], center[..., 2:] / 2
    return torch.cat([middle - half, middle + half], -1)


def area(corners: Tensor) -> Tensor:
    """Return the areas (...) of boxes (..., 4); empty ones, also with x1 < x0, have none."""
    return (corners[..., 2:] - corners[..., :2]).clamp(min=0).prod(-1)


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Return the corners (..., 4) of what boxes (..., 4) have in common; perhaps an empty box."""
    first = torch.maximum(a[..., :2], b[..., :2])
    last = torch.minimum(a[..., 2:], b[..., 2:])
    return torch.cat([first, last], -1)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Return intersection over union (...) of boxes (..., 4) by their corners; 0 of empty boxes.

    >>> iou(torch.tensor([0.0, 0.0, 2.0, 2.0]), torch.tensor([1.0, 0.0, 3.0, 2.0])).item()
    0.3333333432674408
    """
    common = area(overlap(a, b))
    union = area(a) + area(b) - common
    return torch.where(common > 0, common / union, torch.zeros_like(common))


def iou_matrix(a: Tensor, b: Tensor) -> Tensor:
    """Return intersection over union (N, M) of every box of ``a`` (N, 4) with every one of ``b``.

    Args:
        a: (N, 4), corners.
        b: (M, 4), corners.
    """
    return iou(a[:, None], b[None])


def clip(boxes: Tensor, height: float, width: float) -> Tensor:
    """Return the part of boxes (..., 4), by their corners, that lies on a picture of that size."""
    most = torch.tensor([width, height, width, height], dtype=boxes.dtype, device=boxes.device)
    return torch.minimum(boxes.clamp(min=0), most)


def to_view(boxes: Tensor, view: View | Sequence[View]) -> Tensor:
    """Return where boxes on the picture are in what a net is shown.

    Args:
        boxes: (..., 4), corners in pixels of the upright picture.
        view: What is shown; or, for boxes (N, ..., 4), what of each of N.

    Returns:
        (..., 4), centre and size relative to the window: (0.5, 0.5) is its middle, (1, 1) its size.
        Not clipped: what is partly shown reaches beyond 0 or 1.
    """
    factor, shift = _placement(boxes, view)
    return to_center(boxes) * factor + shift


def from_view(relative: Tensor, view: View | Sequence[View]) -> Tensor:
    """Return where on the picture boxes are that a net has found; the inverse of :func:`to_view`.

    Args:
        relative: (..., 4), centre and size relative to the window.
        view: What is shown; or, for boxes (N, ..., 4), what of each of N.

    Returns:
        (..., 4), corners in pixels of the upright picture. Not clipped.
    """
    factor, shift = _placement(relative, view)
    return to_corners((relative - shift) / factor)


def visible_share(box: Tensor, view: View | Sequence[View]) -> Tensor:
    """Return which share (...) of the area of boxes is shown, 0 to 1; 0 of empty boxes.

    Args:
        box: (..., 4), corners in pixels of the upright picture.
        view: What is shown; or, for boxes (N, ..., 4), what of each of N.
    """
    shown = to_corners(to_view(box, view))
    whole = area(shown)
    visible = area(clip(shown, 1, 1))
    return torch.where(whole > 0, visible / whole, torch.zeros_like(whole))


def _placement(boxes: Tensor, view: View | Sequence[View]) -> tuple[Tensor, Tensor]:
    """Return factor and shift, (4,) of one view or (N, 1, ..., 4) of N."""
    views = [view] if isinstance(view, View) else view
    numbers = torch.tensor(
        [(each.factor, each.shift) for each in views], dtype=boxes.dtype, device=boxes.device
    )
    if isinstance(view, View):
        return numbers[0, 0], numbers[0, 1]
    shape = (len(views), *(1 for _ in boxes.shape[1:-1]), 4)
    return numbers[:, 0].reshape(shape), numbers[:, 1].reshape(shape)
