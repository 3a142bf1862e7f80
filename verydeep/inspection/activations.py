"""Activations of a net's layers on an image.

C channels; h, w: sides of a layer's map.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn

from verydeep.inspection.subject import Subject
from verydeep.models.classifier import Classifier


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


def activations(subject: Subject, layers: Iterable[str] | None = None) -> tuple[LayerMap, ...]:
    """Return the activations of layers, computed in the model's precision.

    Args:
        subject: The image; if it is larger than the net's input size, the fully connected layers
            are applied densely.
        layers: Names like ``conv3_3``, ``relu3_3``, ``pool4``, ``fc6``; ``fc6`` is before its ReLU,
            ``relu6`` after it. None: :func:`default_layers`.

    Returns:
        One map per layer, in forward order, without duplicates.

    Raises:
        InputError: The net has no such layer.
    """
    wanted = default_layers(subject.model) if layers is None else layers
    maps = subject.model.maps(subject.pixels[None], set(wanted))
    return tuple(LayerMap(name, values[0].cpu()) for name, values in maps.items())


def default_layers(model: Classifier) -> tuple[str, ...]:
    """Return the layers to show by default, in forward order."""
    known = {name for name, _ in model.net.named_layers()}
    return tuple(layer for layer in model.net.shown_layers if layer in known)


def first_convolution(model: Classifier) -> str:
    """Return the name of a net's first convolution."""
    layers = model.net.features.named_children()
    return next(name for name, layer in layers if isinstance(layer, nn.Conv2d))


def first_filters(model: Classifier) -> Tensor:
    """Return the weights of the first convolution, float32 (channels, 3, h, w): RGB, rows, columns.

    Those of a net of grey images are the same for red, green and blue.
    """
    layer = model.net.get_parameter(f"features.{first_convolution(model)}.weight")
    return layer.detach().float().cpu().expand(-1, 3, -1, -1)
