"""Training crops of volumes, and volumes at test scales: one resampling for both.

Each axis is resampled by a small matrix with the same filter as images: linear, widened for
shrinking (antialiased).

D, H, W: sides of a volume; d, h, w: sides of a crop.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from verydeep.data.geometry import Rounding
from verydeep.data.pipeline.augment import Augmentation, resampling
from verydeep.data.volumes.geometry import Cuboid, Extent, Sides, center_cuboid, rescaled_sides
from verydeep.data.volumes.read import read_volume
from verydeep.data.volumes.volume import Volume, check_count


@dataclass(frozen=True, slots=True)
class CubeCrop:
    """One crop of one volume, with all random choices made.

    Attributes:
        rescaled: Sides of the whole rescaled volume.
        window: Place on the rescaled volume.
        flip: Whether the crop is mirrored, left to right.
        shift: Factors of the three principal axes of the training voxels' colours.
    """

    rescaled: Sides
    window: Cuboid
    flip: bool
    shift: tuple[float, float, float]


def draw_cube(
    augmentation: Augmentation, extent: Extent, generator: np.random.Generator
) -> CubeCrop:
    """Draw a crop of a volume, as :func:`verydeep.data.pipeline.augment.draw_crop` of an image.

    Args:
        augmentation: The settings.
        extent: D, H, W, in the shortest edge of a voxel.
        generator: Always yields the same count of numbers, whatever the settings.
    """
    scale, *places, mirror = generator.random(5)
    shift = generator.standard_normal(3) * (augmentation.colour_shift or 0.0)
    low, high = augmentation.scale
    rescaled = rescaled_sides(extent, low + int(scale * (high - low + 1)))
    window = center_cuboid(rescaled, augmentation.size)
    if augmentation.random_crop:
        room = (side - augmentation.size + 1 for side in rescaled)
        z, y, x = (int(place * free) for place, free in zip(places, room, strict=True))
        window = Cuboid(z, y, x, *window.sides)
    flip = augmentation.flip and bool(mirror < 0.5)
    return CubeCrop(rescaled, window, flip, (float(shift[0]), float(shift[1]), float(shift[2])))


class Draw(Protocol):
    """Draws a crop, given the extent of the volume."""

    def __call__(self, *extent: float) -> CubeCrop:
        """Draw a crop."""


def read_cube(source: Path, draw: Draw) -> tuple[Tensor, CubeCrop]:
    """Read a volume and cut a crop from it.

    Returns:
        Voxels, uint8 (3, d, h, w), and the crop that was drawn.

    Raises:
        PictureError: As :func:`verydeep.data.volumes.read.read_volume` does.
    """
    volume = read_volume(source)
    crop = draw(*volume.extent)
    part = resampled(volume, crop.rescaled, crop.window)
    own = np.array(part[:, :, ::-1] if crop.flip else part)  # what may be shared is not writable
    return torch.from_numpy(own).movedim(3, 0), crop


def rescaled(volume: Volume, scale: int, rounding: Rounding = "nearest") -> NDArray[np.uint8]:
    """Return a volume whose smallest extent is brought to ``scale``, uint8 (D, H, W, 3).

    Raises:
        PictureTooLarge: It would have too many voxels: thin volumes grow along two axes.
    """
    sides = rescaled_sides(volume.extent, scale, rounding)
    check_count(sides, f"rescaled to {scale}, ")
    return resampled(volume, sides, Cuboid(0, 0, 0, *sides))


def resampled(volume: Volume, rescaled: Sides, window: Cuboid) -> NDArray[np.uint8]:
    """Return a part of a rescaled volume, uint8 (d, h, w, 3)."""
    if rescaled == volume.sides:
        return volume.voxels[window.slices]
    grey = volume.voxels.strides[3] == 0  # three equal channels: one is computed
    values = torch.from_numpy(np.array(volume.voxels[..., :1] if grey else volume.voxels)).float()
    lengths = zip(volume.sides, rescaled, window.corner, window.sides, strict=True)
    for axis, (before, after, start, length) in enumerate(lengths):
        if (before, start, length) != (after, 0, before):
            matrix = _line(before, after, start, length)
            values = torch.tensordot(matrix, values, ([1], [axis])).movedim(0, axis)
    part: NDArray[np.uint8] = values.round_().clamp_(0, 255).to(torch.uint8).numpy()
    return np.broadcast_to(part, (*window.sides, 3))


def _line(before: int, after: int, start: int, length: int) -> Tensor:
    """Return the matrix (length, before) that resamples a line to a part of the new line."""
    old, new, first = (torch.tensor([value]) for value in (before, after, start))
    return resampling(old, new, first, length, torch.arange(before)[None])[0]
