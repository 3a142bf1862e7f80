"""Channel models against forward hooks, and against pixels that cannot count."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from asked import as_read, classifier, tiny_net
from torch import nn

from verydeep.errors import InputError
from verydeep.inspection.channel_model import (
    CHANNEL_ASCENT,
    channel_model,
    channel_models,
    field_side,
)
from verydeep.inspection.top_activations import Channel
from verydeep.nets.vgg import VGG

SHORT = replace(CHANNEL_ASCENT, steps=8)
CHANNEL = Channel("conv3_1", 5)


def up_to(net: VGG, layer: str) -> nn.Sequential:
    """Return the modules up to a convolution or a pool."""
    names = [name for name, _ in net.features.named_children()]
    return net.features[: names.index(layer) + 1]


def test_the_response_is_that_of_the_unit_in_the_centre() -> None:
    net = tiny_net()
    found = channel_model(classifier(net), CHANNEL, ascent=SHORT)
    with torch.no_grad():
        values = up_to(net, "conv3_1")(as_read(found.pixels.float()))
    _, _, h, w = values.shape
    assert found.response == pytest.approx(float(values[0, 5, h // 2, w // 2]), rel=1e-4)
    assert found.response > 2 * abs(found.first)


def test_the_image_holds_the_whole_field_and_no_other_pixel_counts() -> None:
    net = tiny_net("B")
    for layer in ("conv1_1", "conv2_2", "pool3", "conv4_1"):
        side = field_side(net, layer)
        x = torch.randn(1, 3, side, side, requires_grad=True)
        values = up_to(net, layer)(x)
        values[0, :, values.shape[2] // 2, values.shape[3] // 2].sum().backward()
        assert x.grad is not None
        rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
        field = next(p for p in net.anatomy().parts if p.layer.name == layer).receptive_field
        assert int(rows[-1] - rows[0]) + 1 <= field
        assert int(rows[0]) > 0
        assert int(rows[-1]) < side - 1


def test_the_same_seed_gives_the_same_image_and_a_maximum_side_is_kept() -> None:
    model = classifier(tiny_net())
    one, two = channel_models(model, [CHANNEL, CHANNEL], ascent=SHORT)
    assert torch.equal(one.pixels, two.pixels)
    (small,) = channel_models(model, [CHANNEL], largest=20, ascent=SHORT)
    assert small.pixels.shape == (3, 20, 20)
    other = channel_model(model, CHANNEL, ascent=replace(SHORT, seed=1))
    assert not torch.equal(one.pixels, other.pixels)


def test_a_net_without_a_head_has_channel_models() -> None:
    model = classifier(tiny_net())
    model = replace(model, net=model.net, classes=())
    assert channel_model(model, CHANNEL, ascent=SHORT).response > 0


@pytest.mark.parametrize(
    ("channel", "steps", "words"),
    [
        (Channel("conv9_1", 0), 4, "no layer 'conv9_1'"),
        (Channel("conv1_1", 8), 4, "channels 0 to 7"),
        (CHANNEL, 0, "steps"),
    ],
)
def test_faults(channel: Channel, steps: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        channel_model(classifier(tiny_net()), channel, ascent=replace(SHORT, steps=steps))
