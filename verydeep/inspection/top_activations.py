"""Top activations: the image patches to which channels respond most strongly.

N images of a group; h, w: sides of a layer's map.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from verydeep.data.geometry import View, Window, center_window
from verydeep.data.pipeline.rescaled import Pixels, TestPictures
from verydeep.errors import InputError, printable
from verydeep.evaluation.view_batching import Together, in_blocks
from verydeep.inspection.activations import LayerMap, Unit, activations
from verydeep.inspection.layers import check_channel
from verydeep.inspection.receptive_field import Field, theoretical_field
from verydeep.inspection.subject import MOST_PIXELS, Subject, too_large
from verydeep.models.classifier import Classifier
from verydeep.system.progress import Progress


class Channel(NamedTuple):
    """A channel of a layer."""

    layer: str
    number: int

    def __str__(self) -> str:
        return f"{self.layer}:{self.number}"


def strongest_channels(subject: Subject) -> tuple[Channel, ...]:
    """Return the strongest channel of each block, for the image."""
    strongest = (
        layer_map.strongest(1)[0]
        for layer_map in activations(subject, subject.model.net.block_ends)
    )
    return tuple(Channel(unit.layer, unit.channel) for unit in strongest)


@dataclass(frozen=True, eq=False)
class Patch:
    """An image patch that strongly activates a unit.

    Attributes:
        index: Index of the image.
        unit: The unit.
        field: Theoretical receptive field of the unit on the rescaled image, or on its centre if
            the net takes images of one size.
        pixels: Visible part of the field, uint8 (3, H, W).
        size: Height and width of the rescaled image, or of its centre.
        thumbnail: Thumbnail of the same, uint8 (3, h, w).
    """

    index: int
    unit: Unit
    field: Field
    pixels: Tensor
    size: tuple[int, int]
    thumbnail: Tensor

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, with the rectangle as top, left, height and width."""
        return {**self.unit.to_dict(), "visible_field": list(self.field.visible)}


Patches = Mapping[Channel, Sequence[Patch]]
"""Patches by channel, strongest first."""

THUMBNAIL = 192
"""Maximum side of a thumbnail, in pixels."""


def strongest_patches(
    model: Classifier,
    pictures: TestPictures,
    channels: Sequence[Channel],
    *,
    top: int = 9,
    progress: Progress | None = None,
) -> Patches:
    """Return the patches with the strongest activations, one per image, strongest first.

    Images of one size are batched as they are read; only the best patches so far stay in memory.

    Args:
        model: The net; computation is in its precision.
        pictures: Images to search, at the first of their test scales. Unreadable or too large ones
            are in ``pictures.unreadable`` afterwards.
        channels: Channels of any layers.
        top: Maximum number of patches per channel.
        progress: Progress reporter.

    Raises:
        InputError: The net has no such channel, or ``top`` is below 1.
    """
    if top < 1:
        raise InputError(f"top must be at least 1, got {top} instead")
    for channel in channels:
        check_channel(model.net, *channel)
    rankings = {channel: _Ranking(model, channel, top) for channel in channels}
    layers = {channel.layer for channel in channels}

    def work(net: int, shown: Pixels, indices: Sequence[int]) -> None:
        images = torch.from_numpy(shown)
        maps = model.maps(images, layers)
        for channel, ranking in rankings.items():
            ranking.add(images, maps[channel.layer][:, channel.number].cpu(), indices)

    together = Together[int]([model.pixels_at_once], work)
    large: dict[int, str] = {}
    with (
        (progress or Progress()).task("images", len(pictures)) as task,
        closing(in_blocks(pictures, together, max(1, len(pictures)), task=task)) as each,
    ):
        for picture in each:
            pixels = picture.pixels[0]
            height, width, _ = pixels.shape
            if height * width > MOST_PIXELS:
                large[picture.index] = (
                    f"{_name(pictures, picture.index)}: {too_large(height, width)}"
                )
            else:
                view = View(_seen(model, height, width))
                together.add(0, view, pixels, (picture.index, picture.scales[0]), picture.index)
    pictures.unreadable.update(large)
    return {channel: ranking.patches() for channel, ranking in rankings.items()}


def _seen(model: Classifier, height: int, width: int) -> Window:
    """Return the part of an image that a net sees: all of it, or its centre if that is its size."""
    if model.any_size:
        return Window(0, 0, height, width)
    return center_window(height, width, model.input_size)


def _name(pictures: TestPictures, index: int) -> str:
    source = pictures.pictures[index]
    return f"image {index + 1}" if isinstance(source, Image.Image) else printable(source)


def thumbnail(pixels: Tensor) -> Tensor:
    """Return an image, uint8 (3, H, W), shrunk to at most :data:`THUMBNAIL` pixels a side."""
    height, width = pixels.shape[1:]
    factor = THUMBNAIL / max(height, width)
    if factor >= 1:
        return pixels.clone()
    size = [max(1, round(side * factor)) for side in (height, width)]
    small = F.interpolate(pixels[None].float(), size, mode="bilinear", antialias=True)[0]
    return small.round().clamp(0, 255).to(torch.uint8)


class _Ranking:
    """The strongest patches of a channel so far."""

    def __init__(self, model: Classifier, channel: Channel, top: int) -> None:
        self.model, self.channel, self.top = model, channel, top
        self.heap: list[tuple[float, int, Patch]] = []

    def add(self, images: Tensor, maps: Tensor, indices: Sequence[int]) -> None:
        """Add images, uint8 (N, 3, H, W), with the channel's maps, (N, h, w)."""
        for pixels, values, index in zip(images, maps, indices, strict=True):
            peak = LayerMap(self.channel.layer, values[None]).peak(0)
            # Ties go to the image with the lower index, in any processing order.
            rank = (peak.value, -index)
            if len(self.heap) == self.top and rank < self.heap[0][:2]:
                continue
            patch = self._cut(pixels, peak._replace(channel=self.channel.number), index)
            keep = heapq.heappushpop if len(self.heap) == self.top else heapq.heappush
            keep(self.heap, (*rank, patch))

    def _cut(self, pixels: Tensor, unit: Unit, index: int) -> Patch:
        height, width = pixels.shape[1:]
        field = theoretical_field(
            self.model.net, unit.layer, unit.row, unit.column, (height, width)
        )
        x0, y0, x1, y1 = field.visible.corners
        patch = pixels[:, y0:y1, x0:x1].clone()
        return Patch(index, unit, field, patch, (height, width), thumbnail(pixels))

    def patches(self) -> tuple[Patch, ...]:
        return tuple(patch for *_, patch in sorted(self.heap, key=lambda e: e[:2], reverse=True))
