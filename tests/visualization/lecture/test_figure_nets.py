"""Net figures against PyTorch modules, gradients and a FLOP counter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from verydeep.nets.table import SIX
from verydeep.nets.vgg import VGG
from verydeep.visualization.lecture.conv_stacks import CHANNELS, PAIRS, SIZE, draw_stacks, stack
from verydeep.visualization.lecture.parameters import (
    draw_parameters,
    parameters_by_group,
    parameters_by_layer,
    short,
)
from verydeep.visualization.lecture.receptive_field import NETS, draw_receptive_field, growth

# ---- parameters ----


def state_by_layer(name: str) -> dict[str, int]:
    """Count the values of a full net's state dict, layer by layer."""
    with torch.device("meta"):
        state = VGG(name).state_dict()
    counts: dict[str, int] = {}
    for key, value in state.items():
        layer = key.split(".")[1]
        counts[layer] = counts.get(layer, 0) + value.numel()
    return counts


@pytest.mark.parametrize("name", SIX)
def test_parameters_are_those_of_the_state_dict(name: str) -> None:
    counts = state_by_layer(name)
    assert parameters_by_layer(name) == counts
    groups = parameters_by_group(name)
    assert sum(groups.values()) == sum(counts.values())
    assert groups["fc6"] == counts["fc6"] > 0.7 * sum(counts.values())
    convolutions = [count for layer, count in counts.items() if layer.startswith("conv")]
    assert groups["convolutions"] == sum(convolutions)


def test_columns_add_up_and_cells_hold_every_count() -> None:
    upper, lower = draw_parameters().axes
    totals = [sum(state_by_layer(name).values()) / 1e6 for name in SIX]
    tops = np.zeros(len(SIX))
    for bars in upper.containers:
        assert [bar.get_y() for bar in bars] == pytest.approx(list(tops))
        tops += [bar.get_height() for bar in bars]
    assert list(tops) == pytest.approx(totals)
    assert [text.get_text() for text in upper.texts] == [f"{total:.1f}" for total in totals]
    layers = [label.get_text() for label in lower.get_yticklabels()]
    nets = [label.get_text() for label in lower.get_xticklabels()]
    found = {
        (nets[int(x)], layers[int(y)]): text.get_text()
        for text in lower.texts
        for x, y in [text.get_position()]
    }
    expected = {
        (name, layer): short(count) for name in SIX for layer, count in state_by_layer(name).items()
    }
    assert found == expected


# ---- receptive fields ----


def fields_by_gradient(name: str, side: int = 288) -> list[int]:
    """Return the receptive field after each convolution: the pixels with a gradient.

    Weights and images are positive and pools average, so that no gradient vanishes.
    """
    net = VGG(name, 1, input_size=32, channels=1, width=1 / 512, hidden=8).requires_grad_(False)
    x = torch.ones(1, 1, side, side, requires_grad=True)
    maps: Tensor = x
    fields = []
    for module in net.features:
        if isinstance(module, nn.MaxPool2d):
            maps = nn.functional.avg_pool2d(maps, 2)
            continue
        if isinstance(module, nn.Conv2d):
            module.weight.fill_(1 / 9)
            module.bias.fill_(1.0)
        maps = module(maps)
        if isinstance(module, nn.Conv2d):
            middle = maps.shape[-1] // 2
            (slope,) = torch.autograd.grad(maps[0, 0, middle, middle], x, retain_graph=True)
            fields.append(int((slope[0, 0] > 0).any(0).sum()))
    return fields


@pytest.mark.parametrize("name", SIX)
def test_the_receptive_field_grows_as_gradients_say(name: str) -> None:
    assert [step.field for step in growth(name)] == fields_by_gradient(name)


def test_a_convolution_of_1x1_widens_nothing() -> None:
    steps = growth("C")
    points = [place for place, step in enumerate(steps) if step.kernel == 1]
    assert [steps[place].layer for place in points] == ["conv3_3", "conv4_3", "conv5_3"]
    for place in points:
        assert steps[place].field == steps[place - 1].field


def test_lines_and_names_end_where_the_nets_do() -> None:
    (axes,) = draw_receptive_field().axes
    lines = {
        len(line.get_xdata()): list(line.get_ydata())
        for line in axes.lines
        if line.get_marker() == "None" and len(line.get_xdata()) > 2
    }
    titles = [text.get_text() for text in axes.texts]
    for name in NETS:
        fields = [step.field for step in growth(name)]
        title = "A, A-LRN" if name == "A" else name
        assert f"{title}: {fields[-1]}" in titles
        if name not in "CD":  # as many convolutions in both
            assert lines[len(fields)] == fields
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert len(hollow) == 3 + 1  # the legend's


# ---- stacks ----


def built(kernels: tuple[int, ...], channels: int) -> nn.Sequential:
    convolutions = [nn.Conv2d(channels, channels, k, padding=k // 2) for k in kernels]
    return nn.Sequential(*(part for conv in convolutions for part in (conv, nn.ReLU())))


@pytest.mark.parametrize("kernels", [(3, 3), (5,), (3, 3, 3), (7,), (1, 3)])
def test_stacks_measure_what_modules_do(kernels: tuple[int, ...]) -> None:
    with torch.device("meta"):
        net = built(kernels, CHANNELS)
        counter = FlopCounterMode(display=False)
        with counter:
            net(torch.empty(1, CHANNELS, SIZE, SIZE))
    found = stack(kernels)
    weights = [value.numel() for key, value in net.state_dict().items() if key.endswith("weight")]
    assert found.weights == sum(weights)
    assert found.multiply_adds == counter.get_total_flops() // 2  # a product and an addition
    assert found.non_linearities == sum(isinstance(part, nn.ReLU) for part in net)


@pytest.mark.parametrize("kernels", [(3, 3), (5,), (3, 3, 3), (7,), (1, 3)])
def test_stacks_see_what_gradients_say(kernels: tuple[int, ...]) -> None:
    net = built(kernels, 1).requires_grad_(False)
    for parameter in net.parameters():
        parameter.fill_(0.5)
    x = torch.ones(1, 1, 15, 15, requires_grad=True)
    net(x)[0, 0, 7, 7].backward()
    assert x.grad is not None
    assert int((x.grad[0, 0] > 0).any(0).sum()) == stack(kernels).receptive_field


def test_each_pair_sees_the_same() -> None:
    for side, kernels in PAIRS.items():
        assert stack(kernels).receptive_field == stack((side,)).receptive_field == side


def test_bars_of_stacks() -> None:
    heights = [[bar.get_height() for bar in axes.patches] for axes in draw_stacks().axes]
    products = CHANNELS**2 * SIZE**2 / 1e9
    assert heights[0] == [18, 27, 25, 49]
    assert heights[1] == pytest.approx([products * n for n in (18, 27, 25, 49)])
    assert heights[2] == [2, 3, 1, 1]
