"""Views of rescaled images against plain loops and torchvision's crops.

Where a reference shows pixels, no two pixels of the image are equal: equal views are then equal
windows, and a wrong mirror image cannot hide.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms import CenterCrop
from torchvision.transforms import TenCrop as TorchvisionTenCrop

from verydeep.data.geometry import View, Window
from verydeep.evaluation.views import Center, Dense, GoogLeNetCrops, Grid, TenCrop, Views

KINDS: tuple[Views, ...] = (
    Dense(),
    Center(),
    Center(half_even=True),
    Grid(),
    Grid(1, 1),
    Grid(2, 7),
    TenCrop(),
    GoogLeNetCrops(),
)
SIZES = st.integers(1, 40)
ROOMS = st.integers(0, 60)

EDGES = [
    pytest.param(32, 32, id="of input size"),
    pytest.param(33, 33, id="one pixel more, square"),
    pytest.param(64, 64, id="square"),
    pytest.param(32, 33, id="one column of room"),
    pytest.param(34, 32, id="two rows of room"),
    pytest.param(37, 50, id="odd and even"),
    pytest.param(51, 40, id="tall"),
    pytest.param(32, 640, id="panorama 20:1"),
    pytest.param(660, 33, id="tower 1:20"),
    pytest.param(35, 350, id="10:1"),
    pytest.param(359, 36, id="almost 1:10"),
]


def numbered(height: int, width: int) -> Tensor:
    """Return an image (1, H, W) of which no two pixels are equal."""
    return torch.arange(height * width).view(1, height, width)


def cut(picture: Tensor, view: View) -> Tensor:
    """Return the pixels that a view shows, column by column from the right if it is mirrored."""
    top, left, height, width = view.window
    rows = picture[:, top : top + height]
    columns = [rows[:, :, left + place] for place in range(width)]
    return torch.stack(columns[::-1] if view.flip else columns, dim=2)


def pixels_of(crops: list[Tensor]) -> Counter[tuple[object, ...]]:
    """Return how often each crop is there, by all its pixels."""
    return Counter((crop.shape, *crop.flatten().tolist()) for crop in crops)


def nearest(exact: Fraction, most: int) -> int:
    """Return the whole number from 0 to ``most`` next to a fraction, the smaller of two."""
    return min(range(most + 1), key=lambda whole: (abs(exact - whole), whole))


def without_the_odd_pixel(picture: Tensor, size: int) -> Tensor:
    """Leave out a last row or column, so that the room around a window of that size is even."""
    _, height, width = picture.shape
    return picture[:, : height - (height - size) % 2, : width - (width - size) % 2]


# ---- what holds for all kinds ----


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(size=SIZES, down=ROOMS, right=ROOMS)
@example(size=32, down=0, right=0)
@example(size=32, down=0, right=608)
@example(size=32, down=608, right=0)
def test_all_windows_lie_inside_the_picture_and_are_shown_large_enough(
    kind: Views, size: int, down: int, right: int
) -> None:
    height, width = size + down, size + right
    for window, _, side in kind(height, width, size):
        assert 0 <= window.top <= window.top + window.height <= height
        assert 0 <= window.left <= window.left + window.width <= width
        assert (window.height, window.width) == (size, size) or side == size or kind == Dense()


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(("height", "width"), EDGES)
def test_each_view_is_followed_by_its_mirror_image(kind: Views, height: int, width: int) -> None:
    both = kind(height, width, 32)
    plain = dataclasses.replace(kind, flip=False)(height, width, 32)
    assert len(both) == 2 * len(plain)
    for number, view in enumerate(plain):
        assert not view.flip
        assert both[2 * number] == view
        assert both[2 * number + 1] == (view.window, True, view.side)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(size=SIZES, down=ROOMS, right=ROOMS)
def test_their_number_does_not_depend_on_the_picture(
    kind: Views, size: int, down: int, right: int
) -> None:
    expected = {Dense: 2, Center: 2, TenCrop: 10, GoogLeNetCrops: 36}
    count = 2 * kind.rows * kind.columns if isinstance(kind, Grid) else expected[type(kind)]
    assert len(kind(size + down, size + right, size)) == count


def test_the_papers_grid_has_fifty_crops_a_scale() -> None:
    assert len(Grid()(256, 341, 224)) == 25 * 2
    assert len(set(Grid()(256, 341, 224))) == 50


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(size=SIZES, down=ROOMS, right=ROOMS)
def test_a_picture_on_its_side_has_its_windows_on_their_side(
    kind: Views, size: int, down: int, right: int
) -> None:
    if isinstance(kind, Grid):
        turned: Views = dataclasses.replace(kind, rows=kind.columns, columns=kind.rows)
    else:
        turned = kind
    upright = Counter(kind(size + down, size + right, size))
    lying = Counter(
        View(Window(left, top, width, height), flip, side)
        for (top, left, height, width), flip, side in turned(size + right, size + down, size)
    )
    assert upright == lying


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_kinds_are_values_that_cannot_be_changed(kind: Views) -> None:
    twin = dataclasses.replace(kind)
    assert twin == kind
    assert twin is not kind
    assert hash(twin) == hash(kind)
    assert {kind: 1}[twin] == 1
    assert dataclasses.replace(kind, flip=False) != kind
    with pytest.raises(dataclasses.FrozenInstanceError):
        kind.flip = False
    assert len(set(KINDS)) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_picture_of_input_size_is_all_that_is_seen(kind: Views) -> None:
    picture = numbered(32, 32)
    for view in kind(32, 32, 32):
        expected = picture.flip(2) if view.flip else picture
        assert torch.equal(cut(picture, view), expected)
        assert view.shown == (32, 32)


# ---- each kind ----


@given(SIZES, ROOMS, ROOMS)
def test_dense_is_the_whole_picture(size: int, down: int, right: int) -> None:
    picture = numbered(size + down, size + right)
    plain, mirrored = (cut(picture, view) for view in Dense()(size + down, size + right, size))
    assert torch.equal(plain, picture)
    assert torch.equal(mirrored, picture.flip(2))


@pytest.mark.parametrize(("height", "width"), EDGES)
def test_rounded_to_even_the_center_is_torchvisions(height: int, width: int) -> None:
    picture = numbered(height, width)
    (view,) = Center(flip=False, half_even=True)(height, width, 32)
    assert torch.equal(cut(picture, view), CenterCrop(32)(picture))


@given(SIZES, ROOMS, ROOMS)
def test_the_center_is_torchvisions_whatever_the_room(size: int, down: int, right: int) -> None:
    picture = numbered(size + down, size + right)
    (even,) = Center(flip=False, half_even=True)(size + down, size + right, size)
    assert torch.equal(cut(picture, even), CenterCrop(size)(picture))
    # Half a pixel up and left: as if the last row or column were not there.
    (view,) = Center(flip=False)(size + down, size + right, size)
    expected = CenterCrop(size)(without_the_odd_pixel(picture, size))
    assert torch.equal(cut(picture, view), expected)


def test_the_two_ways_to_round_the_center_differ_where_half_a_pixel_would_go_to_an_odd_one() -> (
    None
):
    rooms = range(8)
    tops = [Center(flip=False)(32 + room, 32, 32)[0].window.top for room in rooms]
    even = [Center(False, half_even=True)(32 + room, 32, 32)[0].window.top for room in rooms]
    assert tops == [0, 0, 1, 1, 2, 2, 3, 3]
    assert even == [0, 0, 1, 2, 2, 2, 3, 4]


@pytest.mark.parametrize(("rows", "columns"), [(5, 5), (1, 1), (1, 4), (3, 1), (2, 3), (7, 6)])
@pytest.mark.parametrize(("height", "width"), EDGES)
def test_a_grid_stands_at_even_steps_row_by_row(
    rows: int, columns: int, height: int, width: int
) -> None:
    expected = []
    for row in range(rows):
        for column in range(columns):
            # A single row or column stands in the middle.
            down = Fraction(row, rows - 1) if rows > 1 else Fraction(1, 2)
            right = Fraction(column, columns - 1) if columns > 1 else Fraction(1, 2)
            top = nearest(down * (height - 32), height - 32)
            left = nearest(right * (width - 32), width - 32)
            expected.append((top, left, 32, 32))
    found = Grid(rows, columns, flip=False)(height, width, 32)
    assert [tuple(view.window) for view in found] == expected


@given(SIZES, ROOMS, ROOMS, st.integers(2, 9), st.integers(2, 9))
def test_a_grid_touches_all_four_borders_and_is_symmetric(
    size: int, down: int, right: int, rows: int, columns: int
) -> None:
    height, width = size + down, size + right
    windows = [view.window for view in Grid(rows, columns, flip=False)(height, width, size)]
    assert windows[0][:2] == (0, 0)
    assert windows[-1][:2] == (down, right)
    for one, other in zip(windows, windows[::-1], strict=True):
        # What is free above one crop is free below its opposite, to within a pixel.
        assert abs(one.top - (height - other.top - size)) <= 1
        assert abs(one.left - (width - other.left - size)) <= 1
    tops, lefts = ([window[axis] for window in windows] for axis in (0, 1))
    assert tops == sorted(tops)
    steps = [right - left for left, right in pairwise(lefts[:columns])]
    assert max(steps) - min(steps) <= 1


@pytest.mark.parametrize(("height", "width"), EDGES)
def test_ten_crops_are_torchvisions_of_the_central_square(height: int, width: int) -> None:
    picture, side = numbered(height, width), min(height, width)
    square = CenterCrop(side)(without_the_odd_pixel(picture, side))
    assert square.shape[1:] == (side, side)
    crops = TorchvisionTenCrop(32)(square)
    corners = [*crops[:4], *crops[5:9]]
    center = CenterCrop(32)(without_the_odd_pixel(square, 32))
    found = [cut(picture, view) for view in TenCrop()(height, width, 32)]
    assert pixels_of(found) == pixels_of([*corners, center, center.flip(2)])
    if (side - 32) % 2 == 0:
        assert pixels_of(found) == pixels_of(list(crops))


def test_krizhevskys_crops_by_hand() -> None:
    views = TenCrop(flip=False)(256, 341, 224)
    corners = [(view.window.top, view.window.left) for view in views]
    # The square is columns 42 to 297; 32 pixels of room in it.
    assert corners == [(0, 42), (0, 74), (32, 42), (32, 74), (16, 58)]


def crops_of_szegedy(height: int, width: int, size: int) -> Counter[tuple[object, ...]]:
    """Return the 36 crops of a scale as their paper describes them, in section 7.

    "we take the left, center and right square of these resized images (in the case of portrait
    images, we take the top, center and bottom squares). For each square, we then take the 4 corners
    and the center 224x224 crop as well as the square resized to 224x224, and their mirrored
    versions."
    """
    crops: Counter[tuple[object, ...]] = Counter()
    if height > width:
        side, spare = width, height - width
        squares = [(0, 0), (spare // 2, 0), (spare, 0)]
    else:
        side, spare = height, width - height
        squares = [(0, 0), (0, spare // 2), (0, spare)]
    for top, left in squares:
        bottom, right = top + side - size, left + side - size
        middle = (top + (side - size) // 2, left + (side - size) // 2)
        for mirrored in (False, True):
            for corner in ((top, left), (top, right), (bottom, left), (bottom, right), middle):
                crops[(*corner, size, size), mirrored, None] += 1
            crops[(top, left, side, side), mirrored, size] += 1
    return crops


@pytest.mark.parametrize(("height", "width"), EDGES)
def test_googlenets_crops_are_those_of_its_paper(height: int, width: int) -> None:
    found = Counter(
        (tuple(window), flip, side) for window, flip, side in GoogLeNetCrops()(height, width, 32)
    )
    assert found == crops_of_szegedy(height, width, 32)


@pytest.mark.parametrize(("long", "lying"), [(4 / 3, True), (4 / 3, False), (1, True), (2.5, True)])
def test_at_its_four_scales_googlenet_is_shown_144_crops(long: float, lying: bool) -> None:
    count = 0
    for scale in (256, 288, 320, 352):
        height, width = (scale, round(long * scale)) if lying else (round(long * scale), scale)
        views = GoogLeNetCrops()(height, width, 224)
        found = Counter((tuple(window), flip, side) for window, flip, side in views)
        assert found == crops_of_szegedy(height, width, 224)
        assert all(view.shown == (224, 224) for view in views)
        count += len(views)
    assert count == 144


@given(SIZES, ROOMS, ROOMS)
def test_googlenets_squares_reach_both_ends_of_the_picture(
    size: int, down: int, right: int
) -> None:
    height, width = size + down, size + right
    windows = [view.window for view in GoogLeNetCrops()(height, width, size)]
    assert min(window.top for window in windows) == 0
    assert min(window.left for window in windows) == 0
    assert max(window.top + window.height for window in windows) == height
    assert max(window.left + window.width for window in windows) == width
