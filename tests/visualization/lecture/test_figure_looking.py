"""Inspection figures against plain passes through the modules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from looked_into import random_stripe_net

from verydeep.visualization.lecture.class_model import draw_class_model, spectrum
from verydeep.visualization.lecture.inspection_examples import (
    CHANNELS,
    LAYERS,
    draw_attributions,
    draw_maps,
)
from verydeep.visualization.lecture.stripe_task import (
    CLASSES,
    GREY,
    PATCH,
    WAVES,
    standing,
    stripes,
    with_random_classifier,
)


@pytest.mark.parametrize("kind", range(len(CLASSES)))
def test_stripes_run_as_said_and_in_the_patch_alone(kind: int) -> None:
    drawn = np.random.default_rng(kind)
    picture, patch = stripes(drawn, kind, side=64)
    inside = torch.zeros(64, 64, dtype=torch.bool)
    inside[int(patch.y0) : int(patch.y1), int(patch.x0) : int(patch.x1)] = True
    assert int(inside.sum()) == PATCH**2
    grey = picture.double().mean(0)
    assert float(grey[inside].std()) > 3 * float(grey[~inside].std())
    # A wave of the class explains most of the patch, one of another class nothing.
    y, x = np.mgrid[:64, :64]
    values = grey[inside].numpy() - grey[inside].numpy().mean()
    explained = []
    for across, down in WAVES:
        phase = (across * x + down * y)[inside.numpy()]
        basis = np.stack([np.sin(phase), np.cos(phase)], 1)
        found = basis @ np.linalg.lstsq(basis, values, rcond=None)[0]
        explained.append(float((found**2).sum() / (values**2).sum()))
    assert explained[kind] > 0.8
    assert sorted(explained)[-2] < 0.3


def test_the_maps_are_those_of_a_hook() -> None:
    model = random_stripe_net(0)
    subject, _ = standing(model)
    seen: dict[str, torch.Tensor] = {}
    for name in LAYERS:
        module = model.net.features.get_submodule(name)
        module.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out[0]}))
    with torch.no_grad():
        model.net.features(GREY(subject.pixels[None]))
    panels = draw_maps(model).axes[1:]
    assert len(panels) == CHANNELS * len(LAYERS)
    for place, axes in enumerate(panels):
        maps = seen[LAYERS[place // CHANNELS]]
        channel = int(axes.get_xlabel().removeprefix("channel "))
        strongest = maps.amax((1, 2)).argsort(descending=True)[:CHANNELS].tolist()
        assert channel == strongest[place % CHANNELS]
        (image,) = axes.images
        drawn = torch.as_tensor(np.asarray(image.get_array()))
        assert torch.allclose(drawn, maps[channel], atol=1e-5)


def test_the_gradients_are_those_of_a_plain_pass() -> None:
    model = random_stripe_net(1)
    axes = draw_attributions(model).axes
    nets = [model, *(with_random_classifier(model, seed) for seed in (0, 1))]
    for row, net in enumerate(nets):
        subject, _ = standing(net)
        x = GREY(subject.pixels[None]).requires_grad_()
        net.net.score_map(x)[0, subject.label].mean().backward()
        assert x.grad is not None
        gradient = x.grad[0].abs().amax(0) / GREY.divisor
        (image,) = axes[5 * row + 1].images
        drawn = torch.as_tensor(np.asarray(image.get_array()))
        assert torch.allclose(drawn, gradient, atol=1e-6 * float(gradient.max()) + 1e-9)


def test_a_random_classifier_leaves_the_convolutions_and_the_net_it_came_from() -> None:
    model = random_stripe_net(2)
    before = {name: value.clone() for name, value in model.net.state_dict().items()}
    other = with_random_classifier(model).net.state_dict()
    for name, value in model.net.state_dict().items():
        assert torch.equal(value, before[name])
        changed = name.startswith("classifier.fc") and name.endswith("weight")
        assert torch.equal(other[name], value) != changed


@pytest.mark.parametrize(("down", "across"), [(0, 8), (8, 0), (-4, 12)])
def test_a_wave_is_a_point_of_the_spectrum(down: int, across: int) -> None:
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    wave = 110 + 60 * torch.cos(2 * torch.pi * (down * y + across * x) / 32)
    found = spectrum(wave.expand(3, 32, 32))
    places = torch.nonzero(found > 0.01 * found.max()) - torch.tensor([16, 0])
    twins = [[down, across]] if across else [[-down, 0], [down, 0]]
    assert places.tolist() == twins
    assert float(found.max()) == pytest.approx(60 * 32**2 / 2, rel=1e-4)


def test_the_ring_is_where_the_stripes_of_the_training_are() -> None:
    *pictures, last, _ = draw_class_model(random_stripe_net(0)).axes
    assert len(pictures) == 2
    (ring,) = last.lines
    (x,), (y,) = ring.get_data()
    assert (x, y) == pytest.approx((1.57 / (2 * np.pi), 0))
    drawn = np.asarray(last.images[0].get_array())
    first = torch.as_tensor(np.asarray(pictures[0].images[0].get_array())).permute(2, 0, 1)
    assert drawn == pytest.approx((spectrum(first) / spectrum(first).max()).numpy())
