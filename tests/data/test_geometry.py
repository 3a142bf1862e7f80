"""Rescaled sizes and windows against exact integer arithmetic and torchvision."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from verydeep.data.geometry import Rounding, View, Window, center_window, rescaled_size

SIDES = st.integers(1, 30_000)
SCALES = st.integers(1, 2048)
ROUNDINGS = st.sampled_from(["nearest", "down"])


@given(SIDES, SIDES, SCALES)
@example(20, 400, 256)
@example(400, 20, 256)
def test_the_smallest_side_is_the_scale_and_the_other_the_nearest_whole_number(
    height: int, width: int, scale: int
) -> None:
    new_height, new_width = rescaled_size(height, width, scale)
    assert min(new_height, new_width) == scale
    smallest = min(height, width)
    # |new - old·scale/smallest| ≤ 1/2, without a division.
    assert 2 * abs(new_height * smallest - height * scale) <= smallest
    assert 2 * abs(new_width * smallest - width * scale) <= smallest


@given(SIDES, SIDES, SCALES)
def test_rounded_down_the_longer_side_is_the_largest_that_is_not_too_long(
    height: int, width: int, scale: int
) -> None:
    found = rescaled_size(height, width, scale, "down")
    assert found == tuple(side * scale // min(height, width) for side in (height, width))


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 80))
@example(1, 60, 80)
@example(60, 1, 80)
@example(20, 31, 10)  # half a pixel
def test_rounded_down_is_the_size_that_torchvision_resizes_to(
    height: int, width: int, scale: int
) -> None:
    resized = transforms.Resize(scale)(Image.new("L", (width, height)))
    assert rescaled_size(height, width, scale, "down") == (resized.height, resized.width)


@given(SIDES, SIDES, SCALES, ROUNDINGS)
def test_a_picture_on_its_side_has_its_size_on_its_side(
    height: int, width: int, scale: int, rounding: Rounding
) -> None:
    found = rescaled_size(height, width, scale, rounding)
    assert rescaled_size(width, height, scale, rounding) == found[::-1]


@given(SIDES, SIDES, ROUNDINGS)
def test_its_own_scale_leaves_a_picture_as_it_is(
    height: int, width: int, rounding: Rounding
) -> None:
    assert rescaled_size(height, width, min(height, width), rounding) == (height, width)


@given(SIDES, SCALES, ROUNDINGS)
def test_a_square_stays_a_square(side: int, scale: int, rounding: Rounding) -> None:
    assert rescaled_size(side, side, scale, rounding) == (scale, scale)


@pytest.mark.parametrize(
    ("size", "nearest", "down"),
    [
        ((375, 500), (256, 341), (256, 341)),  # 341.33
        ((300, 451), (256, 385), (256, 384)),  # 384.85
        ((451, 300), (385, 256), (384, 256)),
        ((50, 1000), (256, 5120), (256, 5120)),
    ],
)
def test_sizes_worked_out_by_hand(
    size: tuple[int, int], nearest: tuple[int, int], down: tuple[int, int]
) -> None:
    assert rescaled_size(*size, 256) == rescaled_size(*size, 256, "nearest") == nearest
    assert rescaled_size(*size, 256, "down") == down


@given(st.data(), st.integers(1, 500))
def test_the_central_window_is_inside_and_central(data: st.DataObject, size: int) -> None:
    height, width = data.draw(st.tuples(*[st.integers(size, 3000)] * 2))
    window = center_window(height, width, size)
    assert (window.height, window.width) == (size, size)
    below = height - window.top - size
    right = width - window.left - size
    assert 0 <= below - window.top <= 1
    assert 0 <= right - window.left <= 1
    assert window.top >= 0
    assert window.left >= 0


def test_a_view_shows_its_window_at_its_own_size_or_as_a_square() -> None:
    window = Window(3, 4, 50, 70)
    assert View(window) == View(window, flip=False, side=None)
    assert View(window).shown == View(window, flip=True).shown == (50, 70)
    assert View(window, side=32).shown == (32, 32)
