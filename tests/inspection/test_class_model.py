"""Class models: objective and gradient, effect of the settings, course of the score."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from asked import DIVISOR, MEAN, as_read, classifier, tiny_net
from scipy.ndimage import gaussian_filter
from torch import Tensor

from verydeep.errors import InputError, SizeError
from verydeep.inspection.class_model import (
    ASCENT_AS_PUBLISHED,
    USUAL_ASCENT,
    Ascent,
    class_model,
    objective,
    smooth,
)
from verydeep.models.classifier import Classifier
from verydeep.nets.vgg import VGG

SHORT = replace(USUAL_ASCENT, steps=12)


def lively() -> Classifier:
    """Return a net whose scores depend mainly on the image, not on biases."""
    net = tiny_net(seed=3)
    net.classifier.fc8.weight.data.mul_(20)
    return classifier(net)


def net_that_sees(*filters: Tensor) -> VGG:
    """Return a net whose score of class c is the summed output of filter c, (3, 3, 3)."""
    net = tiny_net()
    for parameter in net.parameters():
        torch.nn.init.zeros_(parameter)
    cells = net.final_map**2
    for channel, weights in enumerate(filters):
        for layer in net.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.data[channel, channel, 1, 1] = 1
        net.features.conv1_1.weight.data[channel] = weights
        net.classifier.fc6.weight.data[channel, channel * cells : (channel + 1) * cells] = 1
        net.classifier.fc7.weight.data[channel, channel] = 1
        net.classifier.fc8.weight.data[channel, channel] = 1
    return net


def colour(number: int) -> Tensor:
    """Return a filter that responds to red, green or blue."""
    weights = torch.zeros(3, 3, 3)
    weights[:, 1, 1] = -1
    weights[number, 1, 1] = 2
    return weights


def grain() -> Tensor:
    """Return a filter that responds to pixels lighter than their left neighbour."""
    weights = torch.zeros(3, 3, 3)
    weights[:, 1, :2] = torch.tensor([-1.0, 1.0])
    return weights


def test_the_objective_is_the_score_less_the_penalty_and_its_slope_is_right() -> None:
    net = tiny_net().double()
    x = torch.randn(1, 3, 64, 96, dtype=torch.float64, requires_grad=True)
    worth, score = objective(net, x, 3, 0.7)
    by_hand = net.score_map(x).mean((2, 3))[0, 3].detach()
    assert float(score.detach()) == pytest.approx(float(by_hand))
    numbers = x.detach().numpy()
    assert float(worth.detach()) == pytest.approx(
        float(by_hand) - 0.7 * (numbers**2).sum() / numbers.size
    )
    (gradient,) = torch.autograd.grad(worth, x)
    for seed in range(5):
        way = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            up, down = (float(objective(net, x + e * way, 3, 0.7)[0]) for e in (1e-6, -1e-6))
        assert float((gradient * way).sum()) == pytest.approx((up - down) / 2e-6, rel=1e-3)


@pytest.mark.parametrize("ascent", [USUAL_ASCENT, ASCENT_AS_PUBLISHED])
@pytest.mark.parametrize("size", [None, (72, 104)])
def test_no_other_class_model_has_a_larger_score_of_the_class(ascent: Ascent, size: Any) -> None:
    model = classifier(net_that_sees(*map(colour, range(3))))
    table = []
    for label in range(3):
        found = class_model(model, label, size=size, ascent=replace(ascent, steps=24))
        assert found.pixels.dtype == torch.uint8
        assert found.pixels.shape == (3, *(size or (64, 64)))
        assert len(found.scores) == 25
        assert found.scores[-1] > found.scores[0]
        scores = model.score_map(found.pixels[None]).mean((2, 3))[0]
        assert found.score == pytest.approx(float(scores[label]), rel=1e-4)
        assert found.probability == pytest.approx(float(scores.softmax(0)[label]), rel=1e-4)
        table.append(scores)
    assert torch.stack(table)[:, :3].argmax(0).tolist() == [0, 1, 2]


def test_a_step_goes_along_the_gradient_by_so_many_grey_levels() -> None:
    net = tiny_net()
    model = classifier(net)
    plain = Ascent(steps=1, step=5, penalty=0, noise=0, jitter=0, blur=0, bounded=False, seed=4)
    still = class_model(model, 1, ascent=replace(plain, step=0))
    moved = class_model(model, 1, ascent=plain)
    x = as_read(still.pixels.float()).requires_grad_()
    net.score_map(x).mean((2, 3))[0, 1].backward()
    assert x.grad is not None
    change = (moved.pixels.double() - still.pixels.double())[None]
    assert float(change.square().mean().sqrt()) == pytest.approx(5, rel=0.02)
    expected = 5 * x.grad / x.grad.square().mean().sqrt()
    assert float((change - expected).abs().max()) <= 1.001  # both were rounded


@pytest.mark.parametrize("steps", [24, 48])
@pytest.mark.parametrize("seed", [None, 0, 3, 5])
def test_smoothing_and_shifts_do_not_undo_what_was_climbed(seed: int | None, steps: int) -> None:
    net = net_that_sees(*3 * [grain()]) if seed is None else tiny_net(seed=seed)
    found = class_model(classifier(net), 2, ascent=replace(USUAL_ASCENT, steps=steps))
    first = found.scores[0]
    assert found.scores[-1] - first >= 0.95 * (max(found.scores) - first)


def test_a_seed_is_a_picture() -> None:
    model = classifier(tiny_net())
    first, again, other = (
        class_model(model, 0, ascent=replace(SHORT, seed=seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(first.pixels, again.pixels)
    assert first.scores == again.scores
    assert not torch.equal(first.pixels, other.pixels)


def test_without_noise_and_steps_the_picture_is_the_mean_colour() -> None:
    still = Ascent(steps=1, step=0, noise=0)
    found = class_model(classifier(tiny_net()), 0, ascent=still)
    assert (found.pixels == torch.tensor(MEAN).view(3, 1, 1)).all()


def test_a_penalty_keeps_colours_near_the_mean_and_bounds_keep_them_within() -> None:
    model = lively()

    def length(**settings: Any) -> float:
        found = class_model(model, 2, ascent=replace(SHORT, step=30, steps=30, **settings))
        return float((as_read(found.pixels.float())).square().mean())

    assert length(penalty=50) < 0.8 * length(penalty=0)
    bounded = class_model(model, 2, ascent=replace(SHORT, blur=0, step=100))
    assert bounded.scores[-1] == pytest.approx(bounded.score, rel=0.02)
    free = class_model(model, 2, ascent=replace(ASCENT_AS_PUBLISHED, steps=12, step=100))
    assert free.scores[-1] > 1.2 * free.score


@pytest.mark.parametrize("deviation", [0.5, 1.0, 2.0])
def test_smoothing_is_scipys(deviation: float) -> None:
    x = torch.randn(1, 3, 20, 31, dtype=torch.float64)
    reach = max(1, round(3 * deviation))
    expected = gaussian_filter(
        x[0].numpy(), (0, deviation, deviation), mode="nearest", radius=(0, reach, reach)
    )
    np.testing.assert_allclose(smooth(x, deviation)[0], expected, atol=1e-12)
    assert smooth(x, 0) is x


def test_the_net_is_as_it_was() -> None:
    net = tiny_net(norm="batch").train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    class_model(classifier(net), 0, ascent=SHORT)
    assert net.training
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps of a class model must be at least 1, got 0"),
        ({"penalty": -1.0}, "penalty of a class model must be at least 0"),
        ({"step": float("nan")}, "step of a class model must be at least 0, got nan"),
        ({"blur_every": 0}, "blur_every of a class model must be at least 1"),
    ],
)
def test_settings_that_make_no_picture_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        class_model(classifier(tiny_net()), 0, ascent=replace(SHORT, **settings))


def test_a_class_or_size_that_is_not_is_refused() -> None:
    with pytest.raises(InputError, match="class must be 0 to 4, got 5 instead"):
        class_model(classifier(tiny_net()), 5)
    with pytest.raises(SizeError):
        class_model(classifier(tiny_net()), 0, size=(63, 64))


assert DIVISOR > 1, "grey levels and what the net reads would be the same"
