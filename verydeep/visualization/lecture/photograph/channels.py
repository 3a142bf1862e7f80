"""What single channels respond to: a patch of the photograph, and the image that maximises them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from verydeep.inspection.activations import Unit, activations
from verydeep.inspection.channel_model import CHANNEL_ASCENT, ChannelModel, channel_models
from verydeep.inspection.class_model import Ascent
from verydeep.inspection.receptive_field import theoretical_field
from verydeep.inspection.subject import Subject
from verydeep.inspection.top_activations import Channel
from verydeep.visualization.inspection.heatmap import as_array
from verydeep.visualization.lecture.photograph.drawing import (
    SMALL,
    Drawing,
    bare,
    check_blocks,
    close_figure,
)
from verydeep.visualization.plots.style import brief_number

CONVOLUTIONS = (2, 3, 4, 5)
"""Blocks whose last convolution is drawn."""

CHANNELS = 3
"""Channels drawn per layer."""

LARGEST = 144
"""Maximum side of a channel's model, in pixels; conv5_3 of net D sees 196."""


@dataclass(frozen=True, eq=False)
class ChannelExample:
    """A strong channel on a photograph.

    Attributes:
        unit: The strongest unit whose whole receptive field is on the image.
        patch: That field, uint8 (3, side, side).
        model: The image that maximises the channel.
    """

    unit: Unit
    patch: Tensor
    model: ChannelModel


@lru_cache(maxsize=2)
def channel_examples(
    subject: Subject, ascent: Ascent = CHANNEL_ASCENT
) -> tuple[ChannelExample, ...]:
    """Return the strongest channels of the blocks with their patches and models.

    Units whose field extends beyond the image do not count: they also respond to the padding.

    Args:
        subject: Net and photograph.
        ascent: Settings of the gradient ascent.
    """
    names = [name for name, _ in subject.model.net.named_layers()]
    last = [[n for n in names if n.startswith(f"conv{block}_")][-1] for block in CONVOLUTIONS]
    units = [unit for layer in last for unit in inner_units(subject, layer, CHANNELS)]
    models = channel_models(
        subject.model,
        [Channel(unit.layer, unit.channel) for unit in units],
        largest=LARGEST,
        ascent=ascent,
    )
    return tuple(
        ChannelExample(unit, _patch(subject, unit), model)
        for unit, model in zip(units, models, strict=True)
    )


def inner_units(subject: Subject, layer: str, count: int) -> list[Unit]:
    """Return the strongest unit of each of the strongest channels, away from the border.

    Args:
        subject: Net and photograph.
        layer: Name of a layer.
        count: Number of channels.

    Returns:
        Units whose whole receptive field is on the image, strongest first. If there is none, units
        of any position.
    """
    (layer_map,) = activations(subject, [layer])
    values = layer_map.values
    inner = inner_places(subject, layer, values.shape[1:])
    masked = values.clone()
    if inner.any():
        masked[:, ~inner] = -np.inf
    peaks, places = masked.flatten(1).max(1)
    order = peaks.argsort(descending=True, stable=True)[:count].tolist()
    found = [(channel, *divmod(int(places[channel]), values.shape[2])) for channel in order]
    return [Unit(layer, k, y, x, float(values[k, y, x])) for k, y, x in found]


def inner_places(subject: Subject, layer: str, shape: Sequence[int]) -> NDArray[np.bool_]:
    """Return the positions of a layer's map, (h, w), whose whole field is on the image."""
    _, *size = subject.pixels.shape

    def along(axis: int) -> list[bool]:
        inside = []
        for place in range(shape[axis]):
            at = (place, 0) if axis == 0 else (0, place)
            field = theoretical_field(subject.model.net, layer, *at, (size[0], size[1]))
            whole, seen = field.whole, field.visible
            inside.append((whole[axis], whole[axis + 2]) == (seen[axis], seen[axis + 2]))
        return inside

    return np.outer(along(0), along(1))


def _patch(subject: Subject, unit: Unit) -> Tensor:
    _, height, width = subject.pixels.shape
    field = theoretical_field(subject.model.net, unit.layer, unit.row, unit.column, (height, width))
    x0, y0, x1, y1 = field.visible.corners
    return subject.pixels[:, y0:y1, x0:x1]


def draw_photograph_channels(subject: Subject) -> Drawing:
    """Draw patches that excite channels, with the images that maximise these.

    Args:
        subject: Net and photograph.

    Raises:
        ModelError: The net has other blocks than those of the paper.
    """
    check_blocks(subject)
    examples = channel_examples(subject)
    figure = close_figure((9.9, 7.3))
    # An empty column stands between two pairs.
    widths = [1.0, 1.0, 0.06] * CHANNELS
    panels = figure.subplots(len(CONVOLUTIONS), len(widths), width_ratios=widths, squeeze=False)
    for axes in panels[:, 2::3].flat:
        axes.set_axis_off()
    for row, line in enumerate(panels):
        some = examples[row * CHANNELS : (row + 1) * CHANNELS]
        for column, example in enumerate(some):
            _draw_example(line[3 * column : 3 * column + 2], example)
        line[0].set_ylabel(f"{some[0].unit.layer}\n{some[0].patch.shape[1]} pixels")
    return Drawing(figure, _in_words(examples))


def _draw_example(pair: Any, example: ChannelExample) -> None:
    unit, model = example.unit, example.model
    for axes, pixels in zip(pair, (example.patch, _centre(model.pixels, example)), strict=True):
        axes.imshow(as_array(pixels))
        bare(axes)
    pair[0].set_title(f"channel {unit.channel}: {brief_number(unit.value)}", fontsize=SMALL, pad=3)
    pair[1].set_title(f"made: {brief_number(model.response)}", fontsize=SMALL, pad=3)


def _centre(pixels: Tensor, example: ChannelExample) -> Tensor:
    """Return the centre of a model, of the size of the patch if the model is larger."""
    side = min(pixels.shape[1], example.patch.shape[1])
    start = (pixels.shape[1] - side) // 2
    return pixels[:, start : start + side, start : start + side]


def _in_words(examples: tuple[ChannelExample, ...]) -> str:
    parts = []
    for start in range(0, len(examples), CHANNELS):
        some = examples[start : start + CHANNELS]
        numbers = ", ".join(
            f"channel {one.unit.channel} with {brief_number(one.unit.value)} and "
            f"{brief_number(one.model.response)}"
            for one in some
        )
        parts.append(f"{some[0].unit.layer}, {some[0].patch.shape[1]} pixels: {numbers}")
    return (
        "Pairs of images for strong channels: the patch of the photograph to which the channel "
        f"responds most, and an image made by gradient ascent. Responses: {'; '.join(parts)}."
    )
