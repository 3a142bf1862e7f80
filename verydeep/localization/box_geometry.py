"""Box arithmetic: conversion between images and a net's views, IoU, clipping (appendix A).

The last dimension of a box tensor is 4, in one of two forms:

- corners (x0, y0, x1, y1), x to the right, y down; x1 and y1 are exclusive;
- centre and size (cx, cy, w, h), the output of a box regressor, relative to its input window.

All functions keep the floating-point dtype and broadcast over leading dimensions "...".
N, M boxes; G boxes per position; h, w sides of a map of boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verydeep.data import geometry
from verydeep.data.geometry import Window


@dataclass(frozen=True, slots=True)
class PlacedView:
    """Input window of a net and its place on the image.

    Attributes:
        picture: Height and width of the upright image, in pixels.
        rescaled: Height and width of the whole image after rescaling.
        window: Window on the rescaled image; it may extend beyond the edges.
        flip: True if the window is mirrored.
        stride: Pixels of the rescaled image between neighbouring positions of the net's dense
            output; 0 if the window is a crop.
    """

    picture: tuple[int, int]
    rescaled: tuple[int, int]
    window: Window
    flip: bool = False
    stride: int = 0

    @property
    def factor(self) -> tuple[float, float, float, float]:
        """Factors of (cx, cy, w, h) from the image to the window, applied before :attr:`shift`."""
        y = self.rescaled[0] / self.picture[0] / self.window.height
        x = self.rescaled[1] / self.picture[1] / self.window.width
        return (-x if self.flip else x), y, x, y

    @property
    def shift(self) -> tuple[float, float, float, float]:
        """Offsets added after :attr:`factor`, to be relative to the window."""
        x = self.window.left / self.window.width
        y = self.window.top / self.window.height
        return (1 + x if self.flip else -x), -y, 0.0, 0.0


def to_center(corners: Tensor) -> Tensor:
    """Convert boxes (..., 4) from corners to centre and size.

    >>> to_center(torch.tensor([10.0, 20.0, 30.0, 60.0])).tolist()
    [20.0, 40.0, 20.0, 40.0]
    """
    first, last = corners[..., :2], corners[..., 2:]
    return torch.cat([(first + last) / 2, last - first], -1)


def to_corners(center: Tensor) -> Tensor:
    """Convert boxes (..., 4) from centre and size to corners.

    A negative size gives an empty box, with corners in the wrong order.
    """
    middle, half = center[..., :2], center[..., 2:] / 2
    return torch.cat([middle - half, middle + half], -1)


def area(corners: Tensor) -> Tensor:
    """Return the areas (...) of boxes (..., 4); 0 for empty boxes, including x1 < x0."""
    return (corners[..., 2:] - corners[..., :2]).clamp(min=0).prod(-1)


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersections (..., 4) of boxes (..., 4) as corners; they may be empty."""
    first = torch.maximum(a[..., :2], b[..., :2])
    last = torch.minimum(a[..., 2:], b[..., 2:])
    return torch.cat([first, last], -1)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union (...) of boxes (..., 4), corners; 0 for empty boxes.

    >>> iou(torch.tensor([0.0, 0.0, 2.0, 2.0]), torch.tensor([1.0, 0.0, 3.0, 2.0])).item()
    0.3333333432674408
    """
    common = area(overlap(a, b))
    union = area(a) + area(b) - common
    return torch.where(common > 0, common / union, torch.zeros_like(common))


def iou_matrix(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union (N, M) of every box of ``a`` with every box of ``b``.

    Args:
        a: Corners, (N, 4).
        b: Corners, (M, 4).
    """
    return iou(a[:, None], b[None])


def clip(boxes: Tensor, height: float, width: float) -> Tensor:
    """Clip boxes (..., 4), corners, to an image of this size."""
    most = torch.tensor([width, height, width, height], dtype=boxes.dtype, device=boxes.device)
    return torch.minimum(boxes.clamp(min=0), most)


def to_view(boxes: Tensor, view: PlacedView | Sequence[PlacedView]) -> Tensor:
    """Convert boxes from image pixels to coordinates relative to a net's input window.

    Args:
        boxes: Corners in pixels of the upright image, (..., 4).
        view: View; or, for boxes (N, ..., 4), N views.

    Returns:
        Centre and size relative to the window, (..., 4): (0.5, 0.5) is its middle, (1, 1) its size.
        Not clipped: partly visible boxes extend beyond 0 or 1.
    """
    factor, shift = _placement(boxes, view)
    return to_center(boxes) * factor + shift


def from_view(relative: Tensor, view: PlacedView | Sequence[PlacedView]) -> Tensor:
    """Convert a net's boxes to image pixels; the inverse of :func:`to_view`.

    Args:
        relative: Centre and size relative to the window, (..., 4).
        view: View; or, for boxes (N, ..., 4), N views.

    Returns:
        Corners in pixels of the upright image, (..., 4). Not clipped.
    """
    factor, shift = _placement(relative, view)
    return to_corners((relative - shift) / factor)


def visible_share(box: Tensor, view: PlacedView | Sequence[PlacedView]) -> Tensor:
    """Return the visible fraction (...) of the area of boxes, 0 to 1; 0 for empty boxes.

    Args:
        box: Corners in pixels of the upright image, (..., 4).
        view: View; or, for boxes (N, ..., 4), N views.
    """
    shown = to_corners(to_view(box, view))
    whole = area(shown)
    visible = area(clip(shown, 1, 1))
    return torch.where(whole > 0, visible / whole, torch.zeros_like(whole))


def _placement(boxes: Tensor, view: PlacedView | Sequence[PlacedView]) -> tuple[Tensor, Tensor]:
    """Return factor and shift: (4,) for one view, (N, 1, ..., 4) for N views."""
    views = [view] if isinstance(view, PlacedView) else view
    numbers = torch.tensor(
        [(each.factor, each.shift) for each in views], dtype=boxes.dtype, device=boxes.device
    )
    if isinstance(view, PlacedView):
        return numbers[0, 0], numbers[0, 1]
    shape = (len(views), *(1 for _ in boxes.shape[1:-1]), 4)
    return numbers[:, 0].reshape(shape), numbers[:, 1].reshape(shape)


def first_view(
    picture: tuple[int, int],
    rescaled: tuple[int, int],
    shown: geometry.View,
    input_size: int,
    stride: int,
) -> PlacedView:
    """Return the net's window at position (0, 0) of a dense view.

    Args:
        picture: Height and width of the upright image.
        rescaled: Height and width after rescaling.
        shown: View of the rescaled image, not resized.
        input_size: Side of the net's windows, in pixels.
        stride: Pixels between neighbouring windows.
    """
    assert shown.side in (None, shown.window.height), "a resized view has positions of its own"
    top, left, _, width = shown.window
    if shown.flip:  # the mirror image's first window is the image's last
        left += width - input_size
    first = Window(top, left, input_size, input_size)
    return PlacedView(picture, rescaled, first, shown.flip, stride)


def position_view(first: PlacedView, row: int, column: int) -> PlacedView:
    """Return the net's window at a position of its dense output.

    >>> view = PlacedView((90, 160), (90, 160), Window(0, 96, 64, 64), flip=True, stride=32)
    >>> position_view(view, 0, 2).window
    Window(top=0, left=32, height=64, width=64)
    """
    window = first.window
    sideways = -first.stride * column if first.flip else first.stride * column
    moved = window._replace(top=window.top + first.stride * row, left=window.left + sideways)
    return replace(first, window=moved)


def boxes_on_picture(maps: Tensor, first: PlacedView) -> Tensor:
    """Convert the boxes of a dense output to image pixels.

    Args:
        maps: Centre and size relative to each position's window, (G, 4, h, w).
        first: Window at position (0, 0).

    Returns:
        Corners in pixels of the upright image, (h, w, G, 4). Not clipped.
    """
    h, w = maps.shape[-2:]
    relative = maps.permute(2, 3, 0, 1)
    # Offset of each window from the first, in the net's viewing direction.
    steps = torch.arange(max(h, w), dtype=maps.dtype, device=maps.device) * first.stride
    rows, columns = steps[:h] / first.window.height, steps[:w] / first.window.width
    nothing = maps.new_zeros(h, w)
    offset = torch.stack(
        [columns.expand(h, w), rows[:, None].expand(h, w), nothing, nothing], dim=-1
    )
    return from_view(relative + offset[:, :, None], first)
