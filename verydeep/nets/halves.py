"""A net in two halves: layers that stay as they are, and layers that are trained on their maps.

N images, C channels, K classes; h, w: sides of a map.
"""

from __future__ import annotations

from torch import Tensor, nn

from verydeep.errors import InputError, did_you_mean
from verydeep.nets.dense import average_scores
from verydeep.nets.interface import Net


class UpperHalf(nn.Module):
    """The layers of a net above one of its pools; they share their weights with the net.

    Args:
        net: The net.
        above: Name of the pool.
    """

    def __init__(self, net: Net, above: str) -> None:
        super().__init__()
        self.features = net.features[_place(net, above) :]
        self.classifier = net.classifier
        self.final_map = net.final_map

    def forward(self, maps: Tensor) -> Tensor:
        """Return scores (N, K) of maps (N, C, h, w) of the pool."""
        return average_scores(self.classifier, self.features(maps), self.final_map)


def lower_half(net: Net, up_to: str) -> nn.Sequential:
    """Return the layers of a net up to one of its pools; they share their weights with the net.

    Raises:
        InputError: The net has no such layer.
    """
    return net.features[: _place(net, up_to)]


def _place(net: Net, layer: str) -> int:
    names = [name for name, _ in net.features.named_children()]
    if layer not in names:
        raise InputError(f"net {net.name} has no layer {layer!r}{did_you_mean(layer, names)}")
    return names.index(layer) + 1
