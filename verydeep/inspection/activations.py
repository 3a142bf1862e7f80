"""Activations of a net's layers on an image.

C channels; h, w: sides of a layer's map.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from verydeep.inspection.subject import Subject
from verydeep.models.classifier import Classifier

BLOCKS = ("pool1", "pool2", "pool3", "pool4", "pool5")
"""Last layer of each convolutional block."""

DEFAULT_LAYERS = (*BLOCKS, "relu7", "fc8")
"""Layers to show; those that a net lacks are left out."""
"""Default layers: the end of every block, the penultimate layer, the scores."""


class Unit(NamedTuple):
    """A unit: layer, channel and position, with its activation."""

    layer: str
    channel: int
    row: int
    column: int
    value: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return self._asdict()


@dataclass(frozen=True, eq=False)
class LayerMap:
    """Activations of a layer on one image.

    Attributes:
        layer: Name of the layer.
        values: Activations, float32 (C, h, w) on the CPU.
    """

    layer: str
    values: Tensor

    def strongest(self, count: int) -> tuple[Unit, ...]:
        """Return the strongest unit of each of the strongest channels, strongest first.

        Channels are ranked by their maximum. Ties go to the first channel and the first position.
        """
        peaks, indices = self.values.flatten(1).max(1)
        order = peaks.argsort(descending=True, stable=True)[:count]
        return tuple(self._unit(int(channel), int(indices[channel])) for channel in order)

    def peak(self, channel: int) -> Unit:
        """Return the strongest unit of a channel."""
        return self._unit(channel, int(self.values[channel].argmax()))

    def _unit(self, channel: int, index: int) -> Unit:
        row, column = divmod(index, self.values.shape[2])
        return Unit(self.layer, channel, row, column, float(self.values[channel, row, column]))

    @property
    def active_share(self) -> float:
        """Share of the values above 0."""
        return float((self.values > 0).float().mean())

    @property
    def silent_channels(self) -> int:
        """Number of channels without a value above 0."""
        return int((self.values.flatten(1).amax(1) <= 0).sum())


def activations(subject: Subject, layers: Iterable[str] = DEFAULT_LAYERS) -> tuple[LayerMap, ...]:
    """Return the activations of layers, computed in the model's precision.

    Args:
        subject: The image; if it is larger than the net's input size, the fully connected layers
            are applied densely.
        layers: Names like ``conv3_3``, ``relu3_3``, ``pool4``, ``fc6``; ``fc6`` is before its ReLU,
            ``relu6`` after it.

    Returns:
        One map per layer, in forward order, without duplicates.

    Raises:
        InputError: The net has no such layer.
    """
    maps = subject.model.maps(subject.pixels[None], set(layers))
    return tuple(LayerMap(name, values[0].cpu()) for name, values in maps.items())


def default_layers(model: Classifier) -> tuple[str, ...]:
    """Return the layers of :data:`DEFAULT_LAYERS` that a net has."""
    known = {name for name, _ in model.net.named_layers()}
    return tuple(layer for layer in DEFAULT_LAYERS if layer in known)


def first_filters(model: Classifier) -> Tensor:
    """Return the weights of ``conv1_1``, float32 (channels, 3, 3, 3): RGB, rows, columns."""
    return model.net.get_parameter("features.conv1_1.weight").detach().float().cpu()
