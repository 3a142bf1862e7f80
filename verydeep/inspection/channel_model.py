"""Channel models: images that maximise the response of a channel.

After Erhan et al., "Visualizing Higher-Layer Features of a Deep Network" (2009), with the gradient
ascent of :mod:`verydeep.inspection.class_model`. They need no classes, so that they also exist for
a net of convolutions only.

C channels of a layer; H, W: sides of the image in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from verydeep.inspection.class_model import Ascent, Climb, check_ascent
from verydeep.inspection.differentiable import Scores
from verydeep.inspection.layers import check_channel, parts_of
from verydeep.inspection.top_activations import Channel
from verydeep.models.classifier import Classifier
from verydeep.nets.interface import Net
from verydeep.nets.layer_outputs import walk
from verydeep.system.progress import Progress

CHANNEL_ASCENT = Ascent(steps=48, step=6.0, penalty=0.0, jitter=2, blur=0.6)
"""Default settings. Responses of a layer have no common unit, so no penalty suits all of them."""


@dataclass(frozen=True, eq=False)
class ChannelModel:
    """Result of :func:`channel_model`.

    Attributes:
        channel: The channel.
        pixels: Image, uint8 (3, H, W), RGB, rounded and clipped to 0 to 255.
        first: Response to the initial noise.
        response: Response to ``pixels``.
        ascent: Settings.
    """

    channel: Channel
    pixels: Tensor
    first: float
    response: float
    ascent: Ascent


class CentralResponses(nn.Module):
    """Module from preprocessed images, (N, 3, H, W), to a layer's responses at its centre, (N, C).

    Args:
        net: The net.
        layer: Name of the layer, such as ``conv3_3``.
    """

    def __init__(self, net: Net, layer: str) -> None:
        super().__init__()
        self.net, self.layer = net, layer

    def forward(self, x: Tensor) -> Tensor:
        """Return the responses, (N, C)."""
        values = walk(self.net, x, [self.layer])[self.layer]
        return values[:, :, values.shape[2] // 2, values.shape[3] // 2]


def channel_model(
    model: Classifier,
    channel: Channel,
    *,
    side: int | None = None,
    ascent: Ascent = CHANNEL_ASCENT,
) -> ChannelModel:
    """Return an image that maximises the response of the unit of a channel in its centre.

    Args:
        model: The net; computation is in float32.
        channel: A channel of any layer before the fully connected ones. A convolution's response
            is that before the ReLU, so that the gradient does not vanish where the unit is silent.
        side: Side of the image, in pixels; None takes the unit's receptive field and a margin.
        ascent: Settings.

    Raises:
        InputError: The net has no such channel, or a number is out of range.
    """
    check_ascent(ascent)
    check_channel(model.net, *channel)
    scores = Scores(model)
    responses = CentralResponses(scores.net, channel.layer)
    climb = Climb(scores, ascent, responses)
    side = side or field_side(model.net, channel.layer)
    x = climb.start((side, side))
    with torch.no_grad():
        first = float(responses(x)[0, channel.number])
    for number in range(ascent.steps):
        x, _ = climb.take(x, channel.number, number)
    with torch.no_grad():
        pixels = scores.colours(x).round().clamp(0, 255).to(torch.uint8)
        last = float(responses(scores.reading(pixels.float()))[0, channel.number])
    return ChannelModel(channel, pixels[0].cpu().contiguous(), first, last, ascent)


def channel_models(
    model: Classifier,
    channels: Iterable[Channel],
    *,
    largest: int | None = None,
    ascent: Ascent = CHANNEL_ASCENT,
    progress: Progress | None = None,
) -> tuple[ChannelModel, ...]:
    """Return the models of several channels.

    Args:
        model: The net.
        channels: The channels.
        largest: Maximum side of an image, in pixels; a unit that sees more than that has a model
            of the central part of its field. None means no maximum.
        ascent: Settings.
        progress: Progress reporter; None is silent.

    Raises:
        InputError: The net has no such channel, or a number is out of range.
    """
    wanted, found = [*channels], []
    with (progress or Progress()).task("channel models", len(wanted)) as task:
        for number, channel in enumerate(wanted, start=1):
            check_channel(model.net, *channel)
            side = field_side(model.net, channel.layer)
            side = side if largest is None else min(side, largest)
            found.append(channel_model(model, channel, side=side, ascent=ascent))
            task.update(number, str(channel))
    return tuple(found)


def field_side(net: Net, layer: str) -> int:
    """Return the side of an image that holds the whole field of a layer's central unit."""
    part = next(part for part in parts_of(net) if part.layer.name == layer)
    return part.receptive_field + 2 * part.stride
