"""Theoretical receptive fields against brute force, effective ones against finite differences."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transfer.made import classifier

from verydeep.data.geometry import Window
from verydeep.errors import InputError
from verydeep.inspection.activations import Unit
from verydeep.inspection.layers import parts_of
from verydeep.inspection.receptive_field import (
    Field,
    ReceptiveField,
    receptive_field,
    receptive_fields,
    theoretical_field,
)
from verydeep.inspection.subject import make_subject
from verydeep.nets.layer_outputs import trace
from verydeep.nets.vgg import VGG, vgg


@cache
def net_of(name: str) -> VGG:
    torch.manual_seed(0)
    return vgg(name, 3, input_size=32, width=0.04, hidden=200).eval()


def brute_force(net: VGG, layer: str, place: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Return (H, W): whether the units at a place change, bit for bit, if that pixel does.

    Every pixel is changed alone, up and down, and the image goes through the net anew; all
    passes are of one shape, as sums are rounded in another order in another shape.
    """
    x = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(5))
    row, column = place

    def units(pictures: Tensor) -> Tensor:
        with torch.inference_mode():
            return trace(net, pictures, [layer])[layer][:, :, row, column]

    before = units(x)
    changed = torch.zeros(size, dtype=torch.bool)
    for y in range(size[0]):
        for column_ in range(size[1]):
            for shift in (6.0, -6.0):
                other = x.clone()
                other[0, :, y, column_] += shift
                changed[y, column_] |= bool((units(other) != before).any())
    return changed


@pytest.mark.parametrize(
    ("name", "layer", "place", "size"),
    [
        ("A", "conv1_1", (0, 5), (32, 33)),
        ("A-LRN", "pool2", (3, 7), (32, 35)),
        ("B", "conv2_2", (15, 0), (33, 32)),
        ("C", "pool2", (4, 4), (34, 39)),
        ("C", "conv3_3", (2, 8), (32, 39)),
        ("D", "pool3", (0, 4), (32, 44)),
        ("A", "conv4_1", (3, 0), (32, 47)),
        ("A", "fc6", (0, 1), (32, 66)),
    ],
)
def test_no_pixel_outside_has_any_influence_and_the_edges_inside_have(
    name: str, layer: str, place: tuple[int, int], size: tuple[int, int]
) -> None:
    changed = brute_force(net_of(name), layer, place, size)
    top, left, height, width = theoretical_field(net_of(name), layer, *place, size).visible
    inside = torch.zeros(size, dtype=torch.bool)
    inside[top : top + height, left : left + width] = True
    assert not (changed & ~inside).any()
    rows, columns = changed.any(1).nonzero(), changed.any(0).nonzero()
    assert (rows.min(), rows.max()) == (top, top + height - 1)
    assert (columns.min(), columns.max()) == (left, left + width - 1)


@given(
    name=st.sampled_from(["A", "A-LRN", "B", "C", "D", "E"]),
    layer=st.sampled_from(["conv1_1", "relu1_1", "pool1", "conv3_2", "pool3", "conv5_2", "pool5"]),
    size=st.tuples(st.integers(32, 130), st.integers(32, 130)),
    place=st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True)),
)
def test_the_whole_field_has_the_side_that_anatomy_counts(
    name: str, layer: str, size: tuple[int, int], place: tuple[float, float]
) -> None:
    part = next(part for part in parts_of(net_of(name)) if part.layer.name == layer)
    row, column = (int(p * (side // part.stride)) for p, side in zip(place, size, strict=True))
    field = theoretical_field(net_of(name), layer, row, column, size)
    assert field.whole.height == field.whole.width == part.receptive_field
    first = theoretical_field(net_of(name), layer, 0, 0, size).whole
    assert field.whole.top - first.top == row * part.stride
    assert field.whole.left - first.left == column * part.stride
    assert 0 <= field.visible.top < field.visible.top + field.visible.height <= size[0]
    assert 0 <= field.visible.left < field.visible.left + field.visible.width <= size[1]


def test_a_unit_in_the_middle_of_a_large_picture_sees_its_whole_field() -> None:
    field = theoretical_field(net_of("D"), "pool5", 10, 10, (700, 700))
    assert field.whole == field.visible == Window(230, 230, 212, 212)


def test_a_place_or_layer_that_is_not_there_is_refused() -> None:
    with pytest.raises(IndexError, match="2 positions along this side, got 2"):
        theoretical_field(net_of("A"), "pool4", 2, 0, (32, 64))
    with pytest.raises(InputError, match="no layer 'pool6'"):
        theoretical_field(net_of("A"), "pool6", 0, 0, (32, 64))


# ---- effective ----


def test_gradients_are_what_differences_of_the_unit_say() -> None:
    model = classifier(32)
    pixels = torch.randint(0, 256, (3, 40, 33), generator=torch.Generator().manual_seed(2))
    subject = make_subject(model, "x", pixels.to(torch.uint8))
    found = receptive_field(subject, Unit("norm2_1", 3, 4, 5, 0.0))
    net = vgg("A", 3, input_size=32, width=0.125, hidden=256, batch_norm=True).double().eval()
    net.load_state_dict(model.net.state_dict())

    def unit(picture: Tensor) -> float:
        x = (picture - torch.tensor((120.0, 110.0, 100.0)).view(3, 1, 1)) / 50
        with torch.inference_mode():
            return float(net.features[:6](x[None])[0, 3, 4, 5])

    assert [name for name, _ in net.features.named_children()][5] == "norm2_1"
    assert found.unit.value == pytest.approx(unit(pixels.double()), rel=1e-4)
    assert found.unit.value != 0
    for y, x in ((8, 10), (9, 12), (11, 11), (6, 9), (30, 30)):
        total = 0.0
        for colour in range(3):
            step = torch.zeros(3, 40, 33, dtype=torch.float64)
            step[colour, y, x] = 1e-4
            total += abs(unit(pixels + step) - unit(pixels - step)) / 2e-4
        assert float(found.gradient[y, x]) == pytest.approx(total, rel=1e-3, abs=1e-9)
    top, left, height, width = found.field.visible
    outside = found.gradient.clone()
    outside[top : top + height, left : left + width] = 0
    assert not outside.any()


@pytest.mark.parametrize("layer", ["conv1_1", "pool2", "conv3_2", "relu4_1", "pool5", "fc6", "fc8"])
@pytest.mark.parametrize("size", [(64, 64), (71, 140), (133, 66)])
def test_a_part_of_the_picture_gives_the_gradient_of_the_whole(
    layer: str, size: tuple[int, int]
) -> None:
    model = classifier()
    pixels = torch.randint(0, 256, (3, *size), generator=torch.Generator().manual_seed(1))
    subject = make_subject(model, "x", pixels.to(torch.uint8))
    x = model.eager.input_of(subject.pixels[None]).requires_grad_()
    values = trace(model.eager.net, x, [layer])[layer]
    height, width = values.shape[2:]
    for row in {0, height // 2, height - 1}:
        for column in {0, width // 2, width - 1}:
            found = receptive_field(subject, Unit(layer, 1, row, column, 0.0))
            (whole,) = torch.autograd.grad(values[0, 1, row, column], x, retain_graph=True)
            expected = whole[0].abs().sum(0) / 50
            torch.testing.assert_close(found.gradient, expected, rtol=1e-3, atol=1e-7)
            assert found.unit.value == pytest.approx(
                values[0, 1, row, column].item(), rel=1e-4, abs=1e-5
            )


def test_the_strongest_unit_of_each_layer_is_looked_at() -> None:
    model = classifier(32)
    pixels = torch.randint(0, 256, (3, 40, 50), generator=torch.Generator().manual_seed(2))
    subject = make_subject(model, "x", pixels.to(torch.uint8))
    found = receptive_fields(subject, ["pool3", "pool1", "fc7"])
    assert [one.unit.layer for one in found] == ["pool1", "pool3", "fc7"]
    for one in found:
        values = model.maps(subject.pixels[None], [one.unit.layer])[one.unit.layer][0]
        assert one.unit.value == pytest.approx(float(values.max()), rel=1e-5)
        alone = receptive_field(subject, one.unit)
        torch.testing.assert_close(one.gradient, alone.gradient)


def sight_of(gradient: Tensor, whole: Window) -> ReceptiveField:
    return ReceptiveField(Unit("pool1", 0, 0, 0, 1.0), Field(whole, whole), gradient)


@given(st.integers(0, 1000), st.sampled_from([(3, 5, 12, 12), (-4, -4, 15, 15), (6, 9, 9, 9)]))
def test_mass_and_side_are_those_of_a_plain_search(
    seed: int, whole: tuple[int, int, int, int]
) -> None:
    top, left, side, _ = whole
    gradient = np.zeros((24, 28))
    random = np.random.default_rng(seed)
    ys, xs = (slice(max(0, start), start + side) for start in (top, left))
    gradient[ys, xs] = random.random(gradient[ys, xs].shape) ** 4
    found = sight_of(torch.from_numpy(gradient).float(), Window(*whole))
    pad = np.pad(gradient.astype(np.float32).astype(float), 30)

    def mass(length: int) -> float:
        first = [30 + start + (side - length) // 2 for start in (top, left)]
        return float(pad[first[0] : first[0] + length, first[1] : first[1] + length].sum())

    total = mass(side)
    lengths = range(side % 2 or 2, side + 1, 2)
    expected = next(length for length in lengths if mass(length) >= 0.95 * total - 1e-12)
    assert found.effective_side == expected
    middle = max((length for length in lengths if length <= side / 2), default=0)
    assert found.central_share == pytest.approx(mass(middle) / total)


def test_even_gradients_leave_a_quarter_in_the_middle_and_none_leaves_nothing() -> None:
    even = sight_of(torch.ones(40, 40), Window(0, 0, 40, 40))
    assert even.central_share == 0.25
    assert even.effective_side == 40
    dead = sight_of(torch.zeros(40, 40), Window(0, 0, 40, 40))
    assert (dead.central_share, dead.effective_side) == (None, None)
