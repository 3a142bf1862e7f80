"""What the layers of a net answer to an image: their maps, and the strongest of them.

C channels; h, w sides of a layer's map.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from verydeep.inspection.subject import Subject
from verydeep.models.classifier import Classifier

BLOCKS = ("pool1", "pool2", "pool3", "pool4", "pool5")
"""The layers that end the blocks of convolutions."""

DEFAULT_LAYERS = (*BLOCKS, "relu7", "fc8")
"""What is looked at if nothing else is said: every block's end, the penultimate layer, scores."""


class Unit(NamedTuple):
    """One value of a map: a channel at a position, with what it answers."""

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
    """What a layer answers to one image.

    Attributes:
        layer: Its name.
        values: float32 (C, h, w) on the CPU.
    """

    layer: str
    values: Tensor

    def strongest(self, count: int) -> tuple[Unit, ...]:
        """Return the strongest unit of each of the strongest channels, the strongest first.

        Channels are ranked by their largest value; of equal ones the first counts, and of equal
        positions the first by row and column.
        """
        peaks, places = self.values.flatten(1).max(1)
        order = peaks.argsort(descending=True, stable=True)[:count]
        return tuple(self._unit(int(channel), int(places[channel])) for channel in order)

    def peak(self, channel: int) -> Unit:
        """Return the strongest unit of a channel."""
        return self._unit(channel, int(self.values[channel].argmax()))

    def _unit(self, channel: int, place: int) -> Unit:
        row, column = divmod(place, self.values.shape[2])
        return Unit(self.layer, channel, row, column, float(self.values[channel, row, column]))

    @property
    def active_share(self) -> float:
        """Share of the values above 0."""
        return float((self.values > 0).float().mean())

    @property
    def silent_channels(self) -> int:
        """Number of channels that are nowhere above 0."""
        return int((self.values.flatten(1).amax(1) <= 0).sum())


def activations(subject: Subject, layers: Iterable[str] = DEFAULT_LAYERS) -> tuple[LayerMap, ...]:
    """Return the maps of layers, computed in the precision in which the model answers.

    Args:
        subject: The image; if it is larger than the net's input size, the fully connected layers
            answer at every position of the last map.
        layers: Names like ``conv3_3``, ``relu3_3``, ``pool4``, ``fc6``. A fully connected layer
            is taken before its ReLU, ``relu6`` is what goes on from it.

    Returns:
        A map a layer, in the order of the net, each layer once.

    Raises:
        InputError: The net has no such layer.
    """
    found = subject.model.maps(subject.pixels[None], set(layers))
    return tuple(LayerMap(name, values[0].cpu()) for name, values in found.items())


def first_filters(model: Classifier) -> Tensor:
    """Return the weights of ``conv1_1``, float32 (channels, 3, 3, 3): RGB, rows, columns."""
    return model.net.get_parameter("features.conv1_1.weight").detach().float().cpu()
