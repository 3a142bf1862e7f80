"""Boxes as tensors, from images to the views of a net and back (appendix A). Pure arithmetic.

The last dimension of a tensor of boxes is 4, in one of two forms:

- corners (x0, y0, x1, y1), x to the right, y down; x1 and y1 are the first ones outside;
- centre and size (cx, cy, w, h), which is what a net answers, relative to what it is shown.

All functions work on any floating type, keep it, and broadcast over leading dimensions "...".
N, M boxes.
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
    """What a net is shown, and where on the image that is.

    Attributes:
        picture: Height and width of the upright image, in pixels.
        rescaled: Height and width of the whole image after rescaling.
        window: The part of the rescaled image that is shown. It may reach beyond its edges.
        flip: Whether that part is mirrored.
        stride: Pixels of the rescaled image between neighbouring positions of the net's dense
            answer; 0 if the window is shown as a crop.
    """

    picture: tuple[int, int]
    rescaled: tuple[int, int]
    window: Window
    flip: bool = False
    stride: int = 0

    @property
    def factor(self) -> tuple[float, float, float, float]:
        """What (cx, cy, w, h) on the image are multiplied by, before :attr:`shift` is added."""
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
    """Return the part of boxes (..., 4), by their corners, that lies on an image of that size."""
    most = torch.tensor([width, height, width, height], dtype=boxes.dtype, device=boxes.device)
    return torch.minimum(boxes.clamp(min=0), most)


def to_view(boxes: Tensor, view: PlacedView | Sequence[PlacedView]) -> Tensor:
    """Return where boxes on the image are in what a net is shown.

    Args:
        boxes: (..., 4), corners in pixels of the upright image.
        view: What is shown; or, for boxes (N, ..., 4), what of each of N.

    Returns:
        (..., 4), centre and size relative to the window: (0.5, 0.5) is its middle, (1, 1) its size.
        Not clipped: what is partly shown reaches beyond 0 or 1.
    """
    factor, shift = _placement(boxes, view)
    return to_center(boxes) * factor + shift


def from_view(relative: Tensor, view: PlacedView | Sequence[PlacedView]) -> Tensor:
    """Return where on the image boxes are that a net has found; the inverse of :func:`to_view`.

    Args:
        relative: (..., 4), centre and size relative to the window.
        view: What is shown; or, for boxes (N, ..., 4), what of each of N.

    Returns:
        (..., 4), corners in pixels of the upright image. Not clipped.
    """
    factor, shift = _placement(relative, view)
    return to_corners((relative - shift) / factor)


def visible_share(box: Tensor, view: PlacedView | Sequence[PlacedView]) -> Tensor:
    """Return which share (...) of the area of boxes is shown, 0 to 1; 0 of empty boxes.

    Args:
        box: (..., 4), corners in pixels of the upright image.
        view: What is shown; or, for boxes (N, ..., 4), what of each of N.
    """
    shown = to_corners(to_view(box, view))
    whole = area(shown)
    visible = area(clip(shown, 1, 1))
    return torch.where(whole > 0, visible / whole, torch.zeros_like(whole))


def _placement(boxes: Tensor, view: PlacedView | Sequence[PlacedView]) -> tuple[Tensor, Tensor]:
    """Return factor and shift, (4,) of one view or (N, 1, ..., 4) of N."""
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
    """Return what a net sees at position (0, 0) of what it is shown.

    Args:
        picture: Height and width of the upright image.
        rescaled: Height and width after rescaling.
        shown: The part of the rescaled image; not resized.
        input_size: Side of the net's windows.
        stride: Pixels between neighbouring windows.
    """
    assert shown.side in (None, shown.window.height), "a resized view has positions of its own"
    top, left, _, width = shown.window
    if shown.flip:  # the first window of the mirror image is the last of the image
        left += width - input_size
    first = Window(top, left, input_size, input_size)
    return PlacedView(picture, rescaled, first, shown.flip, stride)


def position_view(first: PlacedView, row: int, column: int) -> PlacedView:
    """Return what a net sees at a position of its dense answer.

    >>> view = PlacedView((90, 160), (90, 160), Window(0, 96, 64, 64), flip=True, stride=32)
    >>> position_view(view, 0, 2).window
    Window(top=0, left=32, height=64, width=64)
    """
    window = first.window
    sideways = -first.stride * column if first.flip else first.stride * column
    moved = window._replace(top=window.top + first.stride * row, left=window.left + sideways)
    return replace(first, window=moved)


def boxes_on_picture(maps: Tensor, first: PlacedView) -> Tensor:
    """Return where on the image the boxes of a dense answer are.

    Args:
        maps: (G, 4, h, w), centre and size relative to each position's window.
        first: What the net sees at position (0, 0).

    Returns:
        (h, w, G, 4), corners in pixels of the upright image. Not clipped.
    """
    h, w = maps.shape[-2:]
    relative = maps.permute(2, 3, 0, 1)
    # A window's place relative to the first, in the direction in which the net sees it.
    steps = torch.arange(max(h, w), dtype=maps.dtype, device=maps.device) * first.stride
    rows, columns = steps[:h] / first.window.height, steps[:w] / first.window.width
    nothing = maps.new_zeros(h, w)
    offset = torch.stack(
        [columns.expand(h, w), rows[:, None].expand(h, w), nothing, nothing], dim=-1
    )
    return from_view(relative + offset[:, :, None], first)
