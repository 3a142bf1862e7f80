"""Images of any size through the convolutions in bounded memory: strip by strip, exactly.

A convolution's output depends on its receptive field alone. A strip of the image that is wider
than its outputs by what they can see beyond it gives the same values as the whole image does, and
only one strip's maps are in memory. Strips begin at multiples of the last map's stride, so that the
pools of all strips fall into step.

N images, C channels, H height, W width; lengths in pixels, cells are positions of the last map.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor


class Strip(NamedTuple):
    """A part of a line of pixels, and the cells of the last map that it is computed for.

    Attributes:
        start: First pixel.
        stop: First pixel beyond.
        skip: Cells at its beginning that belong to the strip before.
        cells: Cells that are kept.
    """

    start: int
    stop: int
    skip: int
    cells: int


def cut_line(length: int, stride: int, field: int, longest: int) -> Iterator[Strip]:
    """Cut a line into strips that overlap by what the cells at their ends can see.

    Args:
        length: Pixels.
        stride: Pixels a cell.
        field: Receptive field of a cell, in pixels.
        longest: Pixels of a strip, at most; a strip of one cell may be longer.

    >>> [tuple(strip) for strip in cut_line(320, 32, 94, 192)]
    [(0, 192, 0, 5), (128, 320, 1, 5)]
    """
    margin = math.ceil(max(0, field - stride) / 2 / stride)
    cells = length // stride
    done = 0
    while done < cells:
        first = max(0, done - margin)
        # The last strip needs no margin at its end, and takes the pixels that make no cell.
        beyond = first + max(longest // stride, done - first + 1 + margin)
        last = length - first * stride <= longest or beyond - margin >= cells
        keep = (cells if last else beyond - margin) - done
        stop = length if last else min(length, beyond * stride)
        yield Strip(first * stride, stop, done - first, keep)
        done += keep


def map_in_strips(
    features: Callable[[Tensor], Tensor], x: Tensor, *, stride: int, field: int, pixels: int
) -> Tensor:
    """Return what convolutions make of images, in parts of a bounded number of pixels.

    Args:
        features: From (N, C, H, W) to (N, C', H/stride, W/stride), rounded down; convolutions,
            pools and whatever works at every position by itself.
        x: (N, C, H, W).
        stride: Pixels between the positions of the last map.
        field: Its receptive field in pixels.
        pixels: Pixels of all images that may go through at once. A strip is at least a cell and
            its surroundings wide.
    """
    count, _, height, width = x.shape
    if count * height * width <= pixels:
        return features(x)
    if count > 1:
        each = max(1, pixels // (height * width))
        parts = [
            map_in_strips(features, part, stride=stride, field=field, pixels=pixels)
            for part in torch.split(x, each)
        ]
        return torch.cat(parts)
    along, length, across = (2, height, width) if height > width else (3, width, height)
    maps = [
        features(x.narrow(along, strip.start, strip.stop - strip.start)).narrow(
            along, strip.skip, strip.cells
        )
        for strip in cut_line(length, stride, field, pixels // across)
    ]
    return torch.cat(maps, along)
