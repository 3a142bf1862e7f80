"""Boxes: overlap against torchvision, conversion to views and back, against an image's pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import box_convert, box_iou, clip_boxes_to_image

from verydeep.data.geometry import Window
from verydeep.data.pipeline.augment import Augmentation, cut, draw_crop, sample_generator
from verydeep.localization.box_geometry import (
    PlacedView,
    area,
    clip,
    from_view,
    iou,
    iou_matrix,
    to_center,
    to_corners,
    to_view,
    visible_share,
)

NUMBERS = st.floats(-2000, 2000, allow_subnormal=False)
SIZES = st.tuples(st.integers(1, 3000), st.integers(1, 3000))
BOXES = st.lists(st.tuples(*[NUMBERS] * 4), min_size=1, max_size=8).map(
    lambda rows: torch.tensor(rows, dtype=torch.float64)
)
VIEWS = st.builds(
    PlacedView,
    SIZES,
    SIZES,
    st.builds(
        Window,
        st.integers(-100, 3000),
        st.integers(-100, 3000),
        st.integers(1, 512),
        st.integers(1, 512),
    ),
    st.booleans(),
)


def random_boxes(count: int, seed: int, side: float = 100.0) -> Tensor:
    corners = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(seed)) * side
    return torch.cat([corners.amin(1), corners.amax(1)], -1)


@given(BOXES)
def test_both_forms_are_those_of_torchvision(boxes: Tensor) -> None:
    torch.testing.assert_close(to_center(boxes), box_convert(boxes, "xyxy", "cxcywh"))
    torch.testing.assert_close(to_corners(boxes), box_convert(boxes, "cxcywh", "xyxy"))
    torch.testing.assert_close(to_corners(to_center(boxes)), boxes, rtol=0, atol=1e-9)


def test_overlap_is_that_of_torchvision() -> None:
    a, b = random_boxes(300, 0), random_boxes(200, 1)
    torch.testing.assert_close(iou_matrix(a, b), box_iou(a, b))
    torch.testing.assert_close(iou(a[:200], b), box_iou(a, b).diagonal())


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0.0),
        ((0, 0, 10, 10), (2, 2, 7, 7), 0.25),
        ((5, 5, 5, 9), (0, 0, 10, 10), 0.0),
        ((5, 5, 5, 5), (5, 5, 5, 5), 0.0),
        ((8, 8, 2, 2), (0, 0, 10, 10), 0.0),
        ((8, 8, 2, 2), (8, 8, 2, 2), 0.0),
        ((-5, -5, 5, 5), (-5, -5, 5, 0), 0.5),
    ],
)
def test_overlap_of_boxes_that_touch_or_are_empty(
    a: tuple[float, ...], b: tuple[float, ...], expected: float
) -> None:
    one, other = torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
    assert iou(one, other).item() == pytest.approx(expected)
    assert iou(other, one).item() == pytest.approx(expected)


def test_no_boxes_make_an_empty_matrix() -> None:
    assert iou_matrix(torch.zeros(0, 4), random_boxes(3, 0)).shape == (0, 3)
    assert iou_matrix(random_boxes(3, 0), torch.zeros(0, 4)).shape == (3, 0)


@given(BOXES, SIZES)
def test_clipping_is_that_of_torchvision(boxes: Tensor, size: tuple[int, int]) -> None:
    torch.testing.assert_close(clip(boxes, *size), clip_boxes_to_image(boxes, size))


@given(BOXES, VIEWS)
def test_from_the_picture_to_a_view_and_back(boxes: Tensor, view: PlacedView) -> None:
    relative = to_view(boxes, view)
    # Windows far away or tiny magnify the last bits: the bound is relative to what is added.
    magnitude = max(4000.0, *(abs(s / f) for s, f in zip(view.shift, view.factor, strict=True)))
    torch.testing.assert_close(from_view(relative, view), boxes, rtol=0, atol=1e-14 * magnitude * 8)


@given(BOXES, VIEWS)
def test_from_a_view_to_the_picture_and_back(boxes: Tensor, view: PlacedView) -> None:
    relative = boxes / 1000
    magnitude = max(2.0, *(abs(s) for s in view.shift))
    back = to_view(from_view(relative, view), view)
    torch.testing.assert_close(back, relative, rtol=0, atol=1e-14 * magnitude * 8)


@given(st.lists(VIEWS, min_size=1, max_size=4))
def test_many_views_at_once_are_each_view_by_itself(views: list[PlacedView]) -> None:
    boxes = random_boxes(len(views) * 3, 2).double().reshape(len(views), 3, 4)
    together = to_view(boxes, views)
    apart = torch.stack([to_view(box, view) for box, view in zip(boxes, views, strict=True)])
    torch.testing.assert_close(together, apart)
    torch.testing.assert_close(from_view(together, views), boxes, rtol=1e-9, atol=1e-7)
    shares = torch.stack([visible_share(b, view) for b, view in zip(boxes, views, strict=True)])
    torch.testing.assert_close(visible_share(boxes, views), shares)


def test_the_middle_of_a_crop_is_a_half() -> None:
    view = PlacedView((100, 200), (50, 100), Window(10, 30, 20, 40))
    whole = torch.tensor([60.0, 20.0, 140.0, 60.0])
    assert to_view(whole, view).tolist() == pytest.approx([0.5, 0.5, 1.0, 1.0])
    left_half = torch.tensor([60.0, 20.0, 100.0, 60.0])
    assert to_view(left_half, view).tolist() == pytest.approx([0.25, 0.5, 0.5, 1.0])
    mirrored = PlacedView(view.picture, view.rescaled, view.window, flip=True)
    assert to_view(left_half, mirrored).tolist() == pytest.approx([0.75, 0.5, 0.5, 1.0])


@pytest.mark.parametrize("index", range(12))
def test_boxes_follow_the_pixels_through_a_training_crop(index: int) -> None:
    """A bright rectangle is cut as in training; its box is found again in the crop's pixels."""
    box = torch.tensor([90.0, 60.0, 130.0, 120.0])
    pixels = torch.zeros(3, 200, 240, dtype=torch.uint8)
    pixels[:, 60:120, 90:130] = 255
    augmentation = Augmentation(size=256, scale=(280, 400))
    crop = draw_crop(augmentation, 200, 240, sample_generator(0, 0, index))
    shown = cut(pixels, crop)[0].numpy() > 127
    view = PlacedView((200, 240), crop.rescaled, crop.window, crop.flip)
    expected = clip(to_corners(to_view(box, view)) * 256, 256, 256)
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    found = torch.tensor([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    torch.testing.assert_close(expected, found.float(), rtol=0, atol=1.01)


def test_the_crops_of_that_test_are_mirrored_and_not() -> None:
    augmentation = Augmentation(size=256, scale=(280, 400))
    flips = {draw_crop(augmentation, 200, 240, sample_generator(0, 0, i)).flip for i in range(12)}
    assert flips == {False, True}


@given(VIEWS, st.integers(0, 50), st.integers(0, 50), st.integers(1, 40), st.integers(1, 40))
def test_visible_share_against_counted_pixels(
    view: PlacedView, left: int, top: int, width: int, height: int
) -> None:
    """With an image that is not rescaled, whole pixels can be counted."""
    plain = PlacedView(
        (100, 100), (100, 100), Window(*(x % 60 + 1 for x in view.window)), view.flip
    )
    box = np.zeros((200, 200), bool)
    box[top : top + height, left : left + width] = True
    y, x, h, w = plain.window
    corners = torch.tensor([left, top, left + width, top + height], dtype=torch.float64)
    counted = box[y : y + h, x : x + w].sum() / box.sum()
    assert visible_share(corners, plain).item() == pytest.approx(counted, abs=1e-9)


def test_an_empty_box_is_not_visible() -> None:
    view = PlacedView((10, 10), (10, 10), Window(0, 0, 10, 10))
    assert visible_share(torch.tensor([3.0, 3.0, 3.0, 8.0]), view).item() == 0
    assert area(torch.tensor([5.0, 5.0, 1.0, 1.0])).item() == 0
