"""The dense form of a net: its fully connected layers read as convolutions (section 3.2).

The first fully connected layer sees the whole last map, s x s positions of C channels: it is a
convolution with an s x s window that fits exactly once. On a larger picture the same window fits
more often, and the net answers with a map of scores, one for every position at which it would have
been applied to a crop. The weights are the very same memory, seen in another shape.

N images, C channels, H height, W width, K classes; h, w sides of the score map.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def as_convolution(layer: nn.Linear, channels: int) -> Tensor:
    """Return the weights of a fully connected layer as those of a convolution, without a copy.

    Args:
        layer: Weights (outputs, channels·s·s), made for a flattened (channels, s, s) map.
        channels: Channels of the map that the layer reads.

    Returns:
        (outputs, channels, s, s), sharing the layer's memory.
    """
    side = round((layer.in_features / channels) ** 0.5)
    return layer.weight.view(layer.out_features, channels, side, side)


def classify_densely(classifier: nn.Sequential, maps: Tensor) -> Tensor:
    """Apply fully connected layers at every position of a map.

    Args:
        classifier: ``nn.Linear`` layers with element-wise layers between them.
        maps: (N, C, H, W), what the convolutional part made of the pictures.

    Returns:
        (N, K, h, w): with s the side that the first layer was made for, h = H − s + 1 and
        w = W − s + 1.
    """
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            maps = F.conv2d(maps, as_convolution(layer, maps.shape[1]), layer.bias)
        else:
            maps = layer(maps)
    return maps
