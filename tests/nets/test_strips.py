"""Strip-wise convolution against whole images, and strips against receptive fields.

What a cell of the last map sees is found here by walking back through the layers as PyTorch has
them, one kernel at a time, without a formula for receptive fields.
"""

from __future__ import annotations

from functools import cache

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import verydeep
from verydeep.nets.anatomy import anatomy
from verydeep.nets.table import NAMES
from verydeep.nets.tiling import Strip, cut_line, map_in_strips

LENGTHS = st.integers(32, 3000)
LONGEST = st.integers(0, 1500)


@cache
def net(name: str, norm: str | None = None) -> verydeep.VGG:
    torch.manual_seed(1)
    made = verydeep.vgg(name, 5, input_size=32, width=0.125, hidden=32, batch_norm=norm == "batch")
    with torch.no_grad():
        for layer in (made.classifier.fc6, made.classifier.fc7):
            layer.weight.abs_()  # of so few units all might be off
    for module in made.modules():  # as after training
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias, 0, 0.3)
    return made.double().eval()


def picture(height: int, width: int, count: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(height * 1000 + width)
    return torch.randn(count, 3, height, width, generator=generator, dtype=torch.float64)


@cache
def kernels(name: str) -> tuple[tuple[int, int, int], ...]:
    """Return kernel, stride and padding of every layer with a spatial extent, last one first."""
    found = []
    for layer in net(name).features:
        if isinstance(layer, nn.Conv2d):
            found.append((layer.kernel_size[0], layer.stride[0], layer.padding[0]))
        elif isinstance(layer, nn.MaxPool2d):
            found.append((layer.kernel_size, layer.stride, layer.padding))
    return tuple(reversed(found))


def seen(name: str, cell: int) -> tuple[int, int]:
    """Return the first and last pixel that a cell of the last map depends on, perhaps outside."""
    first = last = cell
    for kernel, stride, padding in kernels(name):
        first = first * stride - padding
        last = last * stride - padding + kernel - 1
    return first, last


# ---- lines ----


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_sees_as_many_pixels_as_the_anatomy_says(name: str) -> None:
    first, last = seen(name, 7)
    assert last - first + 1 == anatomy(name).receptive_field
    assert net(name).anatomy().receptive_field == anatomy(name).receptive_field


@given(LENGTHS, LONGEST, st.sampled_from([1, 4, 32]), st.integers(1, 300))
@example(95, 64, 32, 32)
def test_every_cell_is_computed_once_and_in_order(
    length: int, longest: int, stride: int, field: int
) -> None:
    cells = []
    for strip in cut_line(length, stride, field, longest):
        assert strip.start % stride == 0
        assert 0 <= strip.start < strip.stop <= length
        assert strip.skip >= 0
        assert strip.cells >= 1
        # The layers make so many cells of the strip; those kept are among them.
        made = (strip.stop - strip.start) // stride
        assert strip.skip + strip.cells <= made
        first = strip.start // stride + strip.skip
        cells += range(first, first + strip.cells)
    assert cells == list(range(length // stride))


@pytest.mark.parametrize("name", NAMES)
@given(length=LENGTHS, longest=LONGEST)
def test_all_that_a_kept_cell_sees_is_in_its_strip_or_beyond_the_picture(
    name: str, length: int, longest: int
) -> None:
    for start, stop, skip, cells in cut_line(length, 32, anatomy(name).receptive_field, longest):
        for cell in range(start // 32 + skip, start // 32 + skip + cells):
            first, last = seen(name, cell)
            assert start <= max(first, 0)
            assert min(last, length - 1) < stop


@pytest.mark.parametrize("name", NAMES)
@given(length=LENGTHS, longest=LONGEST)
def test_a_strip_is_no_longer_than_allowed_or_than_one_cell_needs(
    name: str, length: int, longest: int
) -> None:
    field = anatomy(name).receptive_field
    # A cell in the middle with what it sees, in whole cells.
    first, last = seen(name, 100)
    needed = 32 * (last // 32 - first // 32 + 1)
    for strip in cut_line(length, 32, field, longest):
        assert strip.stop - strip.start <= max(longest, needed)


@given(LENGTHS, st.integers(7 * 32, 1500))
def test_a_strip_uses_the_length_that_it_may_have(length: int, longest: int) -> None:
    for start, stop, _, _ in cut_line(length, 32, 212, longest):
        assert stop == length or stop - start > longest - 32


def test_strips_by_hand() -> None:
    # 31 pixels are seen on either side of a cell of 32: one cell of overlap.
    assert list(cut_line(400, 32, 94, 192)) == [
        Strip(start=0, stop=192, skip=0, cells=5),
        Strip(start=128, stop=320, skip=1, cells=4),
        Strip(start=256, stop=400, skip=1, cells=3),
    ]


# ---- images ----


@pytest.mark.parametrize("norm", [None, "batch"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("height", "width"), [(45, 397), (390, 37)])
def test_a_long_picture_in_strips_has_the_same_scores(
    name: str, norm: str | None, height: int, width: int
) -> None:
    x, model = picture(height, width), net(name, norm)
    with torch.no_grad():
        whole = model.score_map(x)
        for pixels in (1, 45 * 256):
            parts = model.score_map(x, pixels=pixels)
            assert parts.shape == whole.shape == (1, 5, height // 32, width // 32)
            assert (parts - whole).abs().max() <= 1e-10
    assert (whole.amax((2, 3)) - whole.amin((2, 3))).min() > 1e-3  # they say something


@pytest.mark.parametrize("name", NAMES)
def test_with_a_cell_less_of_overlap_maps_would_differ(name: str) -> None:
    """The overlap is necessary, and these tests detect its absence."""
    model, x = net(name), picture(32, 800)
    field = anatomy(name).receptive_field
    with torch.no_grad():
        whole = model.feature_map(x)
        found, narrow = (
            map_in_strips(model.features, x, stride=32, field=seen, pixels=1)
            for seen in (field, field - 64)
        )
    assert (found - whole).abs().max() <= 1e-10
    assert (narrow - whole).abs().max() > 1e-6


@pytest.mark.parametrize("name", ["A", "C", "E"])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (75, 64), (64, 95), (96, 96), (127, 33)])
def test_of_batches_every_picture_is_the_same_whatever_the_bound(
    name: str, height: int, width: int
) -> None:
    x, model = picture(height, width, count=5), net(name, "batch")
    with torch.no_grad():
        whole = model.score_map(x)
        area = height * width
        for pixels in (1, area // 2, area, 2 * area + 1, 5 * area - 1, 5 * area):
            found = model.score_map(x, pixels=pixels)
            assert found.shape == whole.shape
            assert (found - whole).abs().max() <= 1e-10


@pytest.mark.parametrize("length", [449, 479, 480, 481, 511])
def test_the_pixels_behind_the_last_cell_are_seen_too(length: int) -> None:
    """The last map excludes them, but earlier convolutions use them."""
    model = net("A")
    x = picture(32, length)
    with torch.no_grad():
        found = model.score_map(x, pixels=32 * 224)
        assert (found - model.score_map(x)).abs().max() <= 1e-10
        if length % 32:
            x[..., -1] += 5
            assert (found - model.score_map(x, pixels=32 * 224)).abs().max() > 1e-6


@given(
    st.integers(32, 70),
    st.integers(32, 420),
    st.booleans(),
    st.integers(1, 2),
    st.integers(1, 30_000),
)
@settings(max_examples=50)
def test_in_strips_or_not_maps_are_the_same(
    short: int, long: int, tall: bool, count: int, pixels: int
) -> None:
    height, width = (long, short) if tall else (short, long)
    x, model = picture(height, width, count), net("B")
    with torch.no_grad():
        whole, parts = model.feature_map(x), model.feature_map(x, pixels=pixels)
    assert parts.shape == whole.shape
    assert (parts - whole).abs().max() <= 1e-10


def shapes_within(model: verydeep.VGG, x: Tensor, pixels: int | None) -> list[tuple[int, ...]]:
    """Return the shapes of all batches passed to the convolutions."""
    shapes: list[tuple[int, ...]] = []
    hook = model.features.register_forward_hook(
        lambda module, inputs, output: shapes.append(tuple(inputs[0].shape))
    )
    try:
        with torch.no_grad():
            model.score_map(x, pixels=pixels)
    finally:
        hook.remove()
    return shapes


@pytest.mark.parametrize(
    ("count", "height", "width"),
    [(1, 33, 700), (1, 700, 33), (7, 64, 50), (3, 40, 500), (2, 500, 40), (1, 250, 261)],
)
@pytest.mark.parametrize("name", ["A", "D"])
def test_what_goes_through_together_is_bounded(
    name: str, count: int, height: int, width: int
) -> None:
    first, last = seen(name, 100)
    needed = 32 * (last // 32 - first // 32 + 1) * min(height, width)
    for pixels in (1, 12_000, 50_000):
        shapes = shapes_within(net(name), picture(height, width, count), pixels)
        for n, _, h, w in shapes:
            assert n * h * w <= max(pixels, needed)
            assert n == 1 or (h, w) == (height, width)


def test_with_room_for_all_or_no_bound_nothing_is_cut() -> None:
    x = picture(40, 90, 3)
    for pixels in (None, 3 * 40 * 90, 10**9):
        assert shapes_within(net("A"), x, pixels) == [(3, 3, 40, 90)]


def test_whole_pictures_go_together_as_long_as_they_fit() -> None:
    shapes = shapes_within(net("A"), picture(40, 90, 5), 2 * 40 * 90 + 1)
    assert shapes == [(2, 3, 40, 90), (2, 3, 40, 90), (1, 3, 40, 90)]


def test_only_the_longer_side_is_cut() -> None:
    for height, width in ((40, 500), (500, 40)):
        shapes = shapes_within(net("A"), picture(height, width), 40 * 250)
        assert len(shapes) > 1
        assert {min(shape[2:]) for shape in shapes} == {40}


def test_anything_that_works_at_every_position_can_be_cut() -> None:
    """One kernel of 3 pixels and one pool, and strips of a few pixels."""
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, 2)).double()
    x = torch.randn(2, 1, 9, 31, dtype=torch.float64)
    with torch.no_grad():
        for pixels in (1, 60, 9 * 12):
            found = map_in_strips(features, x, stride=2, field=4, pixels=pixels)
            assert (found - features(x)).abs().max() <= 1e-12
