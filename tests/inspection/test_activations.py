"""Activations against forward hooks on the plain module, also densely; ranking of channels."""

from __future__ import annotations

import pytest
import torch
from random_nets import random_classifier
from torch import Tensor, nn
from transfer.made import classifier

from verydeep.errors import InputError, ModelError
from verydeep.inspection.activations import LayerMap, activations, first_filters
from verydeep.inspection.layers import check_channel, parts_of
from verydeep.inspection.subject import make_subject
from verydeep.nets.layer_outputs import trace
from verydeep.nets.vgg import VGG, vgg


def noise(height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), generator=generator).to(torch.uint8)


def hooked(net: VGG, x: Tensor) -> dict[str, Tensor]:
    """Return the output of every module of a forward pass on an image of the input size."""
    found: dict[str, Tensor] = {}
    for name, module in net.named_layers():
        module.register_forward_hook(
            lambda module, given, output, name=name: found.__setitem__(name, output)
        )
    with torch.no_grad():
        net(x)
    return found


@pytest.mark.parametrize("name", ["A", "A-LRN", "C"])
@pytest.mark.parametrize("norm", [None, "batch"])
def test_every_layer_is_what_a_hook_sees_of_it(name: str, norm: str | None) -> None:
    torch.manual_seed(1)
    net = vgg(name, 5, input_size=64, width=0.0625, hidden=32, batch_norm=norm == "batch").eval()
    x = torch.randn(2, 3, 64, 64)
    names = [layer for layer, _ in net.named_layers()]
    with torch.no_grad():
        found = trace(net, x, names)
    assert [*found] == names
    for layer, expected in hooked(net, x).items():
        torch.testing.assert_close(found[layer].reshape(expected.shape), expected)


def test_fully_connected_layers_answer_at_every_position_like_on_crops() -> None:
    torch.manual_seed(1)
    net = vgg("A", 5, input_size=64, width=0.0625, hidden=32).eval()
    x = torch.randn(1, 3, 100, 130)
    with torch.no_grad():
        found = trace(net, x, ["pool5", "fc6", "relu7", "fc8"])
        assert [tuple(values.shape[2:]) for values in found.values()] == [(3, 4), *[(2, 3)] * 3]
        for row in range(2):
            for column in range(3):
                window = found["pool5"][:, :, row : row + 2, column : column + 2].flatten(1)
                for layer, upto in (("fc6", 1), ("relu7", 5), ("fc8", None)):
                    expected = net.classifier[:upto](window)
                    torch.testing.assert_close(found[layer][:, :, row, column], expected)
        torch.testing.assert_close(found["fc8"], net.score_map(x))


def test_nothing_behind_the_last_layer_asked_for_is_computed() -> None:
    net = vgg("A", 5, input_size=64, width=0.0625, hidden=32).eval()
    net.features.conv3_1 = nn.Identity()  # no convolution of 16 channels, so conv3_2 would fail
    assert [*trace(net, torch.zeros(1, 3, 64, 64), ["pool2"])] == ["pool2"]


def test_a_layer_that_is_not_there_is_refused_with_the_list() -> None:
    with pytest.raises(InputError, match=r"no layer 'conv3_9'; it has conv1_1, .*fc8; did you"):
        activations(make_subject(classifier(), "x", noise(64, 64)), ["conv3_9"])


def test_a_subject_is_answered_as_the_model_answers() -> None:
    model = classifier()
    subject = make_subject(model, "x", noise(70, 97))
    maps = {found.layer: found for found in activations(subject)}
    assert [*maps] == [*model.net.shown_layers]
    torch.testing.assert_close(maps["fc8"].values, model.score_map(subject.pixels[None])[0])
    scores = maps["fc8"].values.mean((1, 2))
    torch.testing.assert_close(subject.probabilities, scores.softmax(0))
    assert subject.label == int(scores.argmax())
    assert maps["pool3"].values.shape[1:] == (8, 12)


def test_the_strongest_are_those_of_a_plain_search() -> None:
    values = torch.randn(7, 5, 6, generator=torch.Generator().manual_seed(3))
    values[2, 4, 1] = values[5, 0, 3] = 9.0  # equal: the first channel comes first
    values[5, 2, 2] = 9.0  # equal: the first position counts
    found = LayerMap("conv3_1", values).strongest(4)
    best = sorted(
        (-max(values[channel].flatten().tolist()), channel) for channel in range(len(values))
    )
    assert [(unit.channel, unit.value) for unit in found] == [(c, -v) for v, c in best[:4]]
    assert [(u.channel, u.row, u.column) for u in found[:2]] == [(2, 4, 1), (5, 0, 3)]
    assert len(LayerMap("conv3_1", values).strongest(16)) == 7


def test_silent_channels_and_active_values_are_counted() -> None:
    values = torch.zeros(4, 2, 2)
    values[0, 0, 0], values[1] = 1.0, -1.0
    found = LayerMap("relu1_1", values)
    assert (found.silent_channels, found.active_share) == (3, 1 / 16)


def test_first_filters_are_the_weights_in_their_order() -> None:
    model = classifier()
    filters = first_filters(model)
    assert filters.shape == (8, 3, 3, 3)
    assert torch.equal(filters, model.net.features.conv1_1.weight)
    assert not filters.requires_grad


def test_channels_are_those_of_the_layer() -> None:
    net = classifier().net
    for part, (name, module) in zip(parts_of(net), net.named_layers(), strict=True):
        assert part.layer.name == name
        if isinstance(module, nn.Conv2d | nn.Linear):
            assert part.channels == module.weight.shape[0]
    check_channel(net, "conv1_1", 7)
    with pytest.raises(InputError, match="conv1_1 of net A has the channels 0 to 7, got 8"):
        check_channel(net, "conv1_1", 8)


def test_a_net_whose_scores_are_no_numbers_is_not_looked_into() -> None:
    model = random_classifier(name="A")
    torch.nn.init.constant_(model.net.classifier.fc8.bias, torch.nan)
    with pytest.raises(ModelError, match="not finite numbers"):
        make_subject(model, "x", torch.zeros(3, 32, 32, dtype=torch.uint8))
