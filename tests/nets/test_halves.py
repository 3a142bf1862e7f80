"""Halves of a net, rescaled layers, and nets without a head or with one layer."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import verydeep
from verydeep.errors import InputError, ModelError
from verydeep.nets.balance import balance
from verydeep.nets.halves import UpperHalf, lower_half
from verydeep.nets.vgg import VGG


def net(name: str = "A", **settings: object) -> VGG:
    torch.manual_seed(0)
    made = verydeep.vgg(name, num_classes=3, width=0.125, hidden=16, input_size=64, **settings)  # type: ignore[arg-type]
    for module in made.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.uniform_(module.bias, -0.3, 0.3)
    return made.eval()


IMAGES = 30 * torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("layer", ["pool1", "pool4", "pool5"])
@pytest.mark.parametrize("side", [64, 96])
def test_two_halves_are_the_net(layer: str, side: int) -> None:
    model = net()
    images = torch.nn.functional.interpolate(IMAGES, side)
    maps = lower_half(model, layer)(images)
    assert torch.allclose(UpperHalf(model, layer)(maps), model(images), atol=1e-5)


def test_the_halves_share_their_weights_with_the_net() -> None:
    model = net()
    upper = UpperHalf(model, "pool4")
    names = [name for name, _ in upper.named_parameters()]
    assert all(name.startswith(("features.conv5", "classifier.fc")) for name in names)
    assert {id(one) for one in upper.parameters()} < {id(one) for one in model.parameters()}


def test_an_unknown_layer_is_refused() -> None:
    with pytest.raises(InputError, match="pool9"):
        lower_half(net(), "pool9")


@pytest.mark.parametrize("name", ["A", "C", "D"])
def test_rescaled_layers_give_the_same_scores_and_values_of_unit_size(name: str) -> None:
    model = net(name)
    before = model(IMAGES)
    assert balance(model, IMAGES)
    assert torch.allclose(model(IMAGES), before, rtol=1e-4, atol=1e-5)
    values = IMAGES
    for layer in model.features:
        values = layer(values).detach()
        if isinstance(layer, torch.nn.ReLU):
            assert float(values.square().mean().sqrt()) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(("name", "settings"), [("A-LRN", {}), ("A", {"batch_norm": True})])
def test_nets_with_normalisation_are_left_as_they_are(name: str, settings: dict[str, bool]) -> None:
    model = net(name, **settings)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert not balance(model, IMAGES)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("settings", [{}, {"activation": "relu"}, {"dropout": 0.2}])
def test_nets_that_a_factor_would_change_are_left_as_they_are(settings: dict[str, Any]) -> None:
    """A tanh is no ReLU, and beyond the border of a map of 1989 is -1."""
    torch.manual_seed(0)
    model, images = verydeep.lecun1989(**settings).eval(), torch.rand(4, 1, 16, 16)
    before = model(images)
    assert not balance(model, images)
    assert torch.equal(model(images), before)


def test_a_head_of_one_layer_reads_the_last_map() -> None:
    model = verydeep.vgg("A", num_classes=3, width=0.125, hidden=0, input_size=64).eval()
    maps = model.feature_map(IMAGES)
    layer = model.classifier.fc8
    expected = maps.flatten(1) @ layer.weight.T + layer.bias
    assert torch.allclose(model(IMAGES), expected, atol=1e-6)
    assert model.score_map(torch.zeros(1, 3, 96, 128)).shape == (1, 3, 2, 3)
    assert model.feature_layers == ("pool5",)
    assert sum(p.numel() for p in model.parameters()) == model.anatomy().parameters
    with pytest.raises(InputError, match="pool5"):
        model.activations("fc7")


def test_convolutions_alone_have_maps_and_no_scores() -> None:
    model = verydeep.vgg("A", num_classes=0, width=0.125, input_size=64).eval()
    assert model.activation_map(IMAGES, "pool5").shape == (2, 64, 2, 2)
    for ask in (model, model.score_map):
        with pytest.raises(ModelError, match="transfer"):
            ask(IMAGES)
