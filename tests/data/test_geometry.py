"""Rescaled sizes and windows against exact integer arithmetic."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from verydeep.data.geometry import center_window, rescaled_size

SIDES = st.integers(1, 30_000)
SCALES = st.integers(1, 2048)


@given(SIDES, SIDES, SCALES)
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
def test_a_picture_on_its_side_has_its_size_on_its_side(
    height: int, width: int, scale: int
) -> None:
    assert rescaled_size(width, height, scale) == rescaled_size(height, width, scale)[::-1]


@given(SIDES, SIDES)
def test_its_own_scale_leaves_a_picture_as_it_is(height: int, width: int) -> None:
    assert rescaled_size(height, width, min(height, width)) == (height, width)


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
