"""Dense form of a net: its fully connected layers applied as convolutions (section 3.2).

The first fully connected layer covers the whole last map, s x s positions of C channels, and equals
a convolution with an s x s kernel that fits exactly once. On a larger image the kernel fits several
times, and the net returns a score map with one value per position. The layers and their weights are
shared, not copied. Maps of volumes have a third axis of space, and windows are cubes.

N images, C channels, H height, W width, K classes; h, w: sides of the score map.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

ROWS_AT_ONCE = 2048
"""Maximum number of windows gathered at once: 200 MiB for the paper's nets in fp32."""


def classify_densely(classifier: nn.Sequential, maps: Tensor) -> Tensor:
    """Apply fully connected layers at every position of a map.

    The windows are gathered as rows of a matrix product. This equals a convolution with the weights
    of :func:`as_convolution`, but avoids reordering them (103 million in net D) at every call.

    Args:
        classifier: ``nn.Linear`` and element-wise layers; the first ``nn.Linear`` expects a
            flattened (C, s, s) map, or (C, s, s, s) of volumes.
        maps: Output of the convolutional part, (N, C, H, W); H, W ≥ s; or (N, C, D, H, W).

    Returns:
        Score map, (N, K, h, w), with h = H − s + 1 and w = W − s + 1; or (N, K, d, h, w).
    """
    reading = next(layer for layer in classifier if isinstance(layer, nn.Linear))
    side = window_side(reading, maps.shape[1], maps.dim() - 2)
    positions = [length - side + 1 for length in maps.shape[2:]]
    if len(maps) * math.prod(positions) > ROWS_AT_ONCE and max(positions) > 1:
        # Split the map into halves that overlap by a window, to bound the gathered windows.
        along = longest_axis(positions)
        middle = positions[along - 2] // 2
        first = maps.narrow(along, 0, middle + side - 1)
        second = maps.narrow(along, middle, maps.shape[along] - middle)
        parts = [classify_densely(classifier, half) for half in (first, second)]
        return torch.cat(parts, along)
    return cast(Tensor, classifier(gather_windows(maps, side))).movedim(-1, 1)


def classify_through(classifier: nn.Sequential, end: int, maps: Tensor) -> tuple[Tensor, Tensor]:
    """Apply fully connected layers at every position, and return an inner output as well.

    Args:
        classifier: As for :func:`classify_densely`.
        end: Number of layers up to the inner output, from the first ``nn.Linear`` on.
        maps: Output of the convolutional part, (N, C, H, W), or (N, C, D, H, W).

    Returns:
        Score map, (N, K, h, w), and the inner output, (N, D, h, w).
    """
    inner = classify_densely(classifier[:end], maps)
    scores = cast(Tensor, classifier[end:](inner.movedim(1, -1))).movedim(-1, 1)
    return scores, inner


def average_scores(classifier: nn.Sequential, maps: Tensor, side: int) -> Tensor:
    """Return the scores (N, K) of maps, averaged over the positions of the dense form.

    Args:
        classifier: As for :func:`classify_densely`.
        maps: Output of the convolutional part, (N, C, H, W), or (N, C, D, H, W).
        side: Side s of the map that the classifier was made for.
    """
    if set(maps.shape[2:]) == {side}:
        return cast(Tensor, classifier(maps.flatten(1)))
    return classify_densely(classifier, maps).flatten(2).mean(2)


def gather_windows(maps: Tensor, side: int) -> Tensor:
    """Return every window of a map as a flattened row.

    Args:
        maps: Maps, (N, C, H, W) or (N, C, D, H, W).
        side: Side s of a window.

    Returns:
        Windows, (N, h, w, C·s·s), with h = H − s + 1 and w = W − s + 1; or (N, d, h, w, C·s·s·s).
    """
    space = maps.dim() - 2
    windows = maps
    for axis in range(2, 2 + space):
        windows = windows.unfold(axis, side, 1)  # in the end (N, C, h, w, s, s)
    return windows.movedim(1, 1 + space).flatten(1 + space)


def longest_axis(lengths: list[int]) -> int:
    """Return the axis of (N, C, …) with the greatest length, the last one of several.

    >>> longest_axis([3, 5]), longest_axis([4, 4])
    (3, 3)
    """
    return 2 + max(range(len(lengths)), key=lambda axis: (lengths[axis], axis))


def window_side(layer: nn.Linear, channels: int, dimensions: int = 2) -> int:
    """Return the side s of the map that a fully connected layer expects."""
    positions = layer.in_features // channels
    side: float = positions ** (1 / dimensions)
    return round(side)


def as_convolution(layer: nn.Linear, channels: int) -> Tensor:
    """Return a view of a fully connected layer's weights as a convolution kernel.

    Args:
        layer: Fully connected layer with weights (outputs, C·s·s).
        channels: Channels C of its input map.

    Returns:
        Kernel, (outputs, C, s, s), which shares the layer's memory.
    """
    side = window_side(layer, channels)
    return layer.weight.view(layer.out_features, channels, side, side)
