"""Drawings of activations: their numbers match the computed values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from transfer.made import classifier, noise

from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.inspection.activations import activations
from verydeep.inspection.receptive_field import receptive_fields
from verydeep.inspection.subject import Subject, make_subject
from verydeep.inspection.top_activations import Channel, strongest_patches
from verydeep.nets.registry import build
from verydeep.visualization.inspection.feature_maps import maps_section
from verydeep.visualization.inspection.filters import filters_section
from verydeep.visualization.inspection.receptive_field import receptive_field_section
from verydeep.visualization.inspection.tiles import Tile, draw_tiles
from verydeep.visualization.inspection.top_activations import exciting_section
from verydeep.visualization.plots.style import brief_number


@pytest.fixture(scope="module")
def subject() -> Subject:
    pixels = torch.from_numpy(np.array(noise(((66, 101),))[0])).permute(2, 0, 1)
    return make_subject(classifier(), "noise", pixels)


def shown(figure: Figure) -> list[Any]:
    """Return the values of every image on a drawing."""
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]


def words(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_maps_are_drawn_in_the_order_of_their_strength(subject: Subject) -> None:
    section = maps_section(subject, ["conv2_1"])
    found = {one.layer: one for one in activations(subject, ["conv2_1", "pool5", "fc8"])}
    for panel in section.panels:
        layer = panel.title.partition(":")[0]
        if layer not in found:
            continue
        units = found[layer].strongest(16)
        drawn = shown(panel.figure)
        for unit, values, title in zip(units, drawn, words(panel.figure), strict=False):
            assert np.array_equal(values, found[layer].values[unit.channel].numpy())
            assert title.endswith(f": {brief_number(unit.value)}")
        assert len(drawn) >= len(units)
        assert f"{units[0].value:.3g}" in panel.alt
    names = [panel.title.partition(":")[0] for panel in section.panels]
    assert names == ["pool1", "conv2_1", "pool2", "pool3", "pool4", "pool5", "relu7", "fc8"]


def test_rings_stand_on_the_strongest_positions(subject: Subject) -> None:
    (panel,) = [p for p in maps_section(subject).panels if p.name == "maps-pool4"]
    figure = panel.figure
    (axes, *_) = figure.axes
    rings = [(float(x), float(y)) for line in axes.lines[::2] for x, y in [line.get_xydata()[0]]]
    for image, (x, y) in zip(axes.images, rings, strict=True):
        left, right, bottom, top = image.get_extent()
        values = np.asarray(image.get_array())
        height, width = values.shape
        place = int((y - top) / (bottom - top) * height), int((x - left) / (right - left) * width)
        assert values[place] == values.max()
    # They end where their map does: neither words nor neighbours are drawn over.
    figure.canvas.draw()
    for line, image in zip(axes.lines, np.repeat(axes.images, 2), strict=True):
        left, right, bottom, top = image.get_extent()
        corners = axes.transData.inverted().transform(line.get_clip_box().corners())
        assert corners.min(0) == pytest.approx([left, top])
        assert corners.max(0) == pytest.approx([right, bottom])


def test_scores_of_one_position_are_bars_with_the_classes_names() -> None:
    pixels = torch.from_numpy(np.array(noise(((64, 64),))[0])).permute(2, 0, 1)
    single = make_subject(classifier(), "noise", pixels)
    (panel,) = [p for p in maps_section(single).panels if p.name == "maps-fc8"]
    (axes,) = panel.figure.axes
    scores = classifier().score_map(pixels[None]).flatten()
    order = scores.argsort(descending=True).tolist()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["abc"[k] for k in order]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(scores[order].tolist())


def test_fields_are_outlined_where_they_are(subject: Subject) -> None:
    section = receptive_field_section(subject, ["conv3_1"])
    found = receptive_fields(subject, ["pool1", "pool2", "conv3_1", "pool3", "pool4", "pool5"])
    for panel, one in zip(section.panels, found, strict=True):
        left, right, *_ = panel.figure.axes
        (outline,) = left.patches
        place = (outline.get_y(), outline.get_x(), outline.get_height(), outline.get_width())
        assert place == tuple(one.field.visible)
        top, start, height, width = one.field.visible
        (gradient,) = shown_on(right)
        part = one.gradient[top : top + height, start : start + width]
        assert np.array_equal(gradient, part.numpy())
        assert right.get_xlim() == (start, start + width)
        (square,) = right.patches
        assert square.get_width() == square.get_height() == one.effective_side
        assert f"square of {one.effective_side} pixels" in panel.alt
        # A field that is hardly seen has a ring around it.
        small = max(height / 66, width / 101) < 0.1
        rings = [line.get_xydata()[0] for line in left.lines]
        middle = pytest.approx([start + width / 2, top + height / 2])
        assert len(rings) == (2 if small else 0)
        assert all(ring == middle for ring in rings)
        figure = panel.figure
        figure.canvas.draw()
        for axes in (left, right):
            assert axes.get_xlabel() == "pixels"
            assert all(
                float(tick).is_integer() for tick in [*axes.get_xticks(), *axes.get_yticks()]
            )
        assert f"sees {one.field.whole.width}x{one.field.whole.height} pixels" in panel.alt


def shown_on(axes: Any) -> list[Any]:
    return [np.asarray(image.get_array()) for image in axes.images]


def test_a_unit_that_nothing_changes_is_said_to_be_so(subject: Subject) -> None:
    model = classifier()
    with torch.no_grad():
        before = model.net.features.norm5_2.weight.clone(), model.net.features.norm5_2.bias.clone()
        model.net.features.norm5_2.weight.zero_()
        model.net.features.norm5_2.bias.zero_()
    try:
        dead = model.on(model.machine)
        section = receptive_field_section(make_subject(dead, "x", subject.pixels))
    finally:
        with torch.no_grad():
            model.net.features.norm5_2.weight.copy_(before[0])
            model.net.features.norm5_2.bias.copy_(before[1])
    assert "all gradients are 0" in section.panels[-1].alt
    assert section.facts["layers"][-1]["effective_side"] is None


def test_filters_have_the_colours_of_their_weights(subject: Subject) -> None:
    section = filters_section(subject)
    weights = classifier().net.features.conv1_1.weight.detach()
    largest = float(weights.abs().max())
    drawn = shown(section.panels[0].figure)[: len(weights)]
    for weight, colours in zip(weights, drawn, strict=True):
        expected = 0.5 + weight.permute(1, 2, 0).numpy() / (2 * largest)
        np.testing.assert_allclose(colours, expected, atol=1e-6)
        assert 0 <= colours.min() <= colours.max() <= 1
    assert section.facts["norms"] == pytest.approx(weights.flatten(1).norm(dim=1).tolist())


def test_patches_are_drawn_in_one_place_whatever_is_cut_off() -> None:
    pictures = TestPictures(noise(((64, 64), (80, 64), (64, 96))), (64,))
    channel = Channel("pool4", 7)
    found = strongest_patches(classifier(), pictures, [channel])
    section = exciting_section(found, lambda index: f"p{index}.png", among="noise", count=3)
    axes = section.panels[0].figure.axes
    drawn = [shown_on(near)[0] for near in axes[::2]]
    patches = found[channel]
    for whole, patch in zip(axes[1::2], patches, strict=True):
        (picture,), (outline,) = shown_on(whole), whole.patches
        assert np.array_equal(picture, patch.thumbnail.permute(1, 2, 0).numpy())
        place = (outline.get_y(), outline.get_x(), outline.get_height(), outline.get_width())
        assert place == tuple(patch.field.visible)
        assert whole.images[0].get_extent() == [0, patch.size[1], patch.size[0], 0]
    assert len({values.shape for values in drawn}) == 1
    tops = [p.field.visible.top - p.field.whole.top for p in patches]
    lefts = [p.field.visible.left - p.field.whole.left for p in patches]
    for patch, values, top, left in zip(patches, drawn, tops, lefts, strict=True):
        y, x = top - min(tops), left - min(lefts)
        height, width = patch.pixels.shape[1:]
        part = np.rint(values[y : y + height, x : x + width] * 255)
        assert np.array_equal(part, patch.pixels.permute(1, 2, 0).numpy())
        assert f"p{patch.index}.png {patch.unit.value:.3g}" in section.panels[0].alt
        beyond = np.ones(values.shape[:2], bool)
        beyond[y : y + height, x : x + width] = False
        assert (values[beyond] == 0.5).all()
    assert section.facts["channels"][0]["patches"][0]["file"] == f"p{patches[0].index}.png"


@pytest.mark.parametrize("shape", [(5, 5), (3, 40), (200, 4)])
@pytest.mark.parametrize("count", [1, 3, 17])
def test_tiles_of_any_shape_and_number_lie_beside_one_another(
    shape: tuple[int, int], count: int
) -> None:
    figure = draw_tiles([Tile(np.zeros(shape), "x")] * count, 4, scale=(0, 1), unit="u")
    axes = figure.axes[0]
    boxes = [image.get_extent() for image in axes.images]
    assert len(boxes) == count
    for number, (left, right, bottom, top) in enumerate(boxes):
        assert 0 <= left < right <= axes.get_xlim()[1]
        assert 0 <= top < bottom <= axes.get_ylim()[0]
        for other in boxes[:number]:
            assert left >= other[1] or right <= other[0] or top >= other[2] or bottom <= other[3]


@pytest.mark.parametrize(
    "scale", [(0, 0.002), (0, 0.02), (-340, 390), (0, 280), (0, 1490), (0, 7.6e5)]
)
@pytest.mark.parametrize("count", [4, 16])
def test_the_colour_bar_fits_whatever_the_values_are(
    scale: tuple[float, float], count: int
) -> None:
    tiles = [Tile(np.linspace(*scale, 6).reshape(2, 3), "433: 1,490")] * count
    figure = draw_tiles(tiles, 4, scale=scale, unit="activation")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    bar = figure.axes[1]
    texts = [bar.title, bar.yaxis.label, *bar.get_yticklabels()]
    for text in texts:
        box = text.get_window_extent()
        low, high = bar.get_ylim()
        beyond = text in texts[2:] and not low <= text.get_position()[1] <= high
        if text.get_text() and not beyond and (text is not bar.yaxis.label or count > 4):
            assert 0 <= box.y0 < box.y1 <= figure.bbox.y1
        assert box.x1 <= figure.bbox.x1
    power = {0.002: "×10⁻³", 0.02: "×10⁻²", 1490: "×10³", 7.6e5: "×10⁵"}.get(scale[1], "")
    assert bar.get_title() == power


@pytest.mark.parametrize(
    ("name", "classes", "settings", "words"),
    [
        ("A", 2, {"hidden": 8}, "paper), after the penultimate layer and the scores before the"),
        ("A", 0, {}, "after each block of convolutions (section 2.1 of the paper). Channels"),
        ("googlenet", 2, {"input_size": 32}, "paper) and the scores before the softmax. Channels"),
    ],
)
def test_maps_are_said_to_be_of_the_layers_that_a_net_has(
    name: str, classes: int, settings: dict[str, Any], words: str
) -> None:
    net = build(name, classes, **{"input_size": 32, "width": 1 / 16, **settings})
    names = tuple("ab"[:classes])
    model = replace(classifier(), net=net.eval(), classes=names, titles={})
    pixels = torch.zeros(3, 32, 32, dtype=torch.uint8)
    assert words in maps_section(make_subject(model, "black", pixels)).lead
