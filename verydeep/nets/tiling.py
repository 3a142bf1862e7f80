"""Exact strip-wise convolution of images of any size in bounded memory.

A convolution's output depends only on its receptive field. Strips that overlap by a margin of the
receptive field therefore give the same values as the whole image, while only one strip's maps are
in memory. Strips begin at multiples of the last map's stride, so that the pools are aligned.

N images, C channels, H height, W width; lengths in pixels; cells are positions of the last map.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from verydeep.nets.dense import longest_axis


class Strip(NamedTuple):
    """A strip of pixels along one axis, and the cells of the last map that it provides.

    Attributes:
        start: First pixel.
        stop: End pixel (exclusive).
        skip: Leading cells that belong to the previous strip.
        cells: Number of cells to keep.
    """

    start: int
    stop: int
    skip: int
    cells: int


def cut_line(length: int, stride: int, field: int, longest: int) -> Iterator[Strip]:
    """Yield strips that overlap by the receptive field of the cells at their ends.

    Args:
        length: Length of the axis, in pixels.
        stride: Pixels per cell.
        field: Receptive field of a cell, in pixels.
        longest: Maximum length of a strip, in pixels; exceeded if needed for a single cell.

    >>> [tuple(strip) for strip in cut_line(320, 32, 94, 192)]
    [(0, 192, 0, 5), (128, 320, 1, 5)]
    """
    margin = math.ceil(max(0, field - stride) / 2 / stride)
    cells = length // stride
    done = 0
    while done < cells:
        first = max(0, done - margin)
        # The last strip needs no end margin and includes the remaining pixels.
        beyond = first + max(longest // stride, done - first + 1 + margin)
        last = length - first * stride <= longest or beyond - margin >= cells
        keep = (cells if last else beyond - margin) - done
        stop = length if last else min(length, beyond * stride)
        yield Strip(first * stride, stop, done - first, keep)
        done += keep


def map_in_strips(
    features: Callable[[Tensor], Tensor], x: Tensor, *, stride: int, field: int, pixels: int
) -> Tensor:
    """Return the output of convolutions on images, computed in parts of bounded size.

    Args:
        features: Maps (N, C, H, W) to (N, C', ⌊H/stride⌋, ⌊W/stride⌋) by convolutions, pools and
            element-wise layers.
        x: Images, (N, C, H, W), or volumes, (N, C, D, H, W).
        stride: Pixels between positions of the last map.
        field: Receptive field of the last map, in pixels.
        pixels: Maximum number of pixels at once. A strip contains at least one cell and its
            surroundings.
    """
    count, _, *sides = x.shape
    each = math.prod(sides)
    if count * each <= pixels:
        return features(x)
    if count > 1:
        parts = [
            map_in_strips(features, part, stride=stride, field=field, pixels=pixels)
            for part in torch.split(x, max(1, pixels // each))
        ]
        return torch.cat(parts)
    along = longest_axis(sides)
    length = sides[along - 2]
    maps = [
        features(x.narrow(along, strip.start, strip.stop - strip.start)).narrow(
            along, strip.skip, strip.cells
        )
        for strip in cut_line(length, stride, field, pixels // (each // length))
    ]
    return torch.cat(maps, along)
