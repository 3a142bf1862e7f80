"""Numbers behind the figures of a photograph against naive loops and plain passes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from photographed import narrow_subject

from verydeep.inspection.channel_model import CHANNEL_ASCENT
from verydeep.inspection.receptive_field import theoretical_field
from verydeep.visualization.lecture.photograph import fields
from verydeep.visualization.lecture.photograph.channels import (
    CHANNELS,
    channel_examples,
    inner_places,
    inner_units,
)
from verydeep.visualization.lecture.photograph.drawing import in_percent
from verydeep.visualization.lecture.photograph.filters import sort_filters
from verydeep.visualization.lecture.photograph.maps import draw_photograph_maps, drawn_layers

SUBJECT = narrow_subject()


def test_filters_are_sorted_by_what_they_compare() -> None:
    red, edge, colour_edge = torch.zeros(3, 3, 3, 3).unbind()
    red[0] = 1
    edge[:, :, 0], edge[:, :, 2] = 1, -1
    colour_edge[0, :, 0], colour_edge[0, :, 2] = 1, -1
    found = sort_filters(torch.stack([colour_edge, edge, red]))
    assert found.uniform.tolist() == pytest.approx([0, 0, 1], abs=1e-6)
    assert found.coloured.tolist() == pytest.approx([2 / 3, 0, 2 / 3], abs=1e-6)
    assert (found.blobs, found.edges) == ([2], [1, 0])


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("A", ("relu1_1", "relu2_1", "relu3_2", "relu4_2", "relu5_2")),
        ("D", ("relu1_1", "relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")),
    ],
)
def test_the_last_map_of_every_block_is_drawn(name: str, layers: tuple[str, ...]) -> None:
    assert drawn_layers(narrow_subject(name, size=(32, 32))) == layers


def test_the_shares_of_active_values_are_those_of_a_hook() -> None:
    seen: dict[str, torch.Tensor] = {}
    net = SUBJECT.model.net
    for name in drawn_layers(SUBJECT):
        module = net.features.get_submodule(name)
        module.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out[0]}))
    with torch.no_grad():
        net.features(SUBJECT.model.preprocessing(SUBJECT.pixels[None]))
    alt = draw_photograph_maps(SUBJECT).alt
    for name, values in seen.items():
        share = float((values > 0).double().mean())
        channel = int(values.amax((1, 2)).argmax())
        told = alt.partition(f"{name}: channels ")[2].partition(" above")[0]
        assert told.startswith(f"{channel}")
        assert in_percent(share) in told


@pytest.mark.parametrize("layer", ["conv3_2", "conv5_2"])
def test_inner_units_see_the_image_alone(layer: str) -> None:
    values = SUBJECT.model.maps(SUBJECT.pixels[None], {layer})[layer][0]
    inner = inner_places(SUBJECT, layer, values.shape[1:])
    best: dict[int, float] = {}
    for row, column in np.ndindex(*inner.shape):
        field = theoretical_field(SUBJECT.model.net, layer, row, column, (160, 176))
        assert inner[row, column] == (field.whole == field.visible)
        if inner[row, column]:
            for channel, value in enumerate(values[:, row, column].tolist()):
                best[channel] = max(best.get(channel, -np.inf), value)
    expected = sorted(best.values(), reverse=True)[:3]
    found = inner_units(SUBJECT, layer, 3)
    assert [unit.value for unit in found] == pytest.approx(expected)
    for unit in found:
        assert values[unit.channel, unit.row, unit.column] == pytest.approx(unit.value)


def test_without_inner_units_any_position_counts() -> None:
    subject = narrow_subject(size=(64, 64))  # conv5_2 of net A sees 134 pixels
    (unit,) = inner_units(subject, "conv5_2", 1)
    values = subject.model.maps(subject.pixels[None], {"conv5_2"})["conv5_2"][0]
    assert unit.value == pytest.approx(float(values.max()))


def test_fields_of_all_depths_lie_around_one_point() -> None:
    growth = fields.field_growth(SUBJECT)
    parts = {part.layer.name: part for part in SUBJECT.model.net.anatomy().parts}
    last = growth.fields[-1].field.whole
    for one in growth.fields:
        whole, part = one.field.whole, parts[one.unit.layer]
        assert whole.height == part.receptive_field
        assert abs(whole.top + whole.height / 2 - (last.top + last.height / 2)) <= part.stride / 2
        assert abs(whole.left + whole.width / 2 - (last.left + last.width / 2)) <= part.stride / 2
        assert float(one.gradient.sum()) == pytest.approx(1, rel=1e-4)
    assert growth.theoretical == sorted(growth.theoretical)
    assert all(e <= t for e, t in zip(growth.effective, growth.theoretical, strict=True))
    assert [one.unit.layer for one in growth.ends] == [
        *("conv1_1", "conv2_1", "conv3_2", "conv4_2", "conv5_2")
    ]


def test_a_mean_field_is_that_of_plain_gradients() -> None:
    one = next(f for f in fields.field_growth(SUBJECT).fields if f.unit.layer == "conv2_1")
    net, (_, height, width) = SUBJECT.model.net, SUBJECT.pixels.shape
    total = torch.zeros(height, width)
    values = SUBJECT.model.maps(SUBJECT.pixels[None], {"conv2_1"})["conv2_1"][0]
    channels = values[:, one.unit.row, one.unit.column].argsort(descending=True)
    for channel in channels[: fields.CHANNELS].tolist():
        x = SUBJECT.model.preprocessing(SUBJECT.pixels[None]).requires_grad_()
        net.features[:4](x)[0, channel, one.unit.row, one.unit.column].backward()
        assert x.grad is not None
        spread = x.grad[0].abs().sum(0)
        total += spread / spread.sum() / min(fields.CHANNELS, len(channels))
    assert torch.allclose(one.gradient, total, atol=1e-5)


def test_patches_of_channels_are_what_their_units_see() -> None:
    ascent = replace(CHANNEL_ASCENT, steps=2)
    examples = channel_examples(SUBJECT, ascent)
    assert len(examples) == 4 * CHANNELS
    for one in examples:
        values = SUBJECT.model.maps(SUBJECT.pixels[None], {one.unit.layer})[one.unit.layer][0]
        assert values[one.unit.channel, one.unit.row, one.unit.column] == pytest.approx(
            one.unit.value
        )
        assert one.model.channel == (one.unit.layer, one.unit.channel)
        place = theoretical_field(
            SUBJECT.model.net, one.unit.layer, one.unit.row, one.unit.column, (160, 176)
        ).whole
        seen = SUBJECT.pixels[
            :, place.top : place.top + place.height, place.left : place.left + place.width
        ]
        assert torch.equal(one.patch, seen)
