"""The dense form of a net: its fully connected layers read as convolutions (section 3.2).

The first fully connected layer sees the whole last map, s x s positions of C channels: it is a
convolution with an s x s window that fits exactly once. On a larger image the same window fits
more often, and the net answers with a map of scores, one for every position at which it would have
been applied to a crop. The layers are the very same, with the same weights in the same memory.

N images, C channels, H height, W width, K classes; h, w sides of the score map.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

ROWS_AT_ONCE = 2048
"""Positions whose windows are gathered at once: 200 MiB of them for the paper's nets in fp32."""


def classify_densely(classifier: nn.Sequential, maps: Tensor) -> Tensor:
    """Apply fully connected layers at every position of a map.

    The windows are gathered and go through the layers as rows of one matrix product. That is the
    convolution with :func:`as_convolution`'s weights, which a processor would first have to bring
    into another order at every call, all 103 million of them in net D.

    Args:
        classifier: ``nn.Linear`` layers with element-wise layers between them; the first is made
            for a flattened (C, s, s) map.
        maps: (N, C, H, W), what the convolutional part made of the images; H, W ≥ s.

    Returns:
        (N, K, h, w) with h = H − s + 1 and w = W − s + 1.
    """
    side = window_side(cast(nn.Linear, classifier[0]), maps.shape[1])
    h, w = (length - side + 1 for length in maps.shape[2:])
    if len(maps) * h * w > ROWS_AT_ONCE and max(h, w) > 1:
        # Halves of a long map, which overlap by a window; only gathering them costs memory.
        along, middle = (2, h // 2) if h > w else (3, w // 2)
        first = maps.narrow(along, 0, middle + side - 1)
        second = maps.narrow(along, middle, maps.shape[along] - middle)
        parts = [classify_densely(classifier, half) for half in (first, second)]
        return torch.cat(parts, along)
    return cast(Tensor, classifier(gather_windows(maps, side))).permute(0, 3, 1, 2)


def gather_windows(maps: Tensor, side: int) -> Tensor:
    """Return every window of a map as a row, as fully connected layers read it.

    Args:
        maps: (N, C, H, W).
        side: s, of a window.

    Returns:
        (N, h, w, C·s·s) with h = H − s + 1 and w = W − s + 1.
    """
    windows = maps.unfold(2, side, 1).unfold(3, side, 1)  # (N, C, h, w, s, s)
    return windows.permute(0, 2, 3, 1, 4, 5).flatten(3)


def window_side(layer: nn.Linear, channels: int) -> int:
    """Return the side s of the map that a fully connected layer was made for."""
    return math.isqrt(layer.in_features // channels)


def as_convolution(layer: nn.Linear, channels: int) -> Tensor:
    """Return the weights of a fully connected layer as those of a convolution, without a copy.

    Args:
        layer: Weights (outputs, C·s·s).
        channels: Channels C of the map that the layer reads.

    Returns:
        (outputs, C, s, s), sharing the layer's memory.
    """
    side = window_side(layer, channels)
    return layer.weight.view(layer.out_features, channels, side, side)
