"""A decoded volume, and voxels of any type as 8-bit grey.

D depth, H height, W width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verydeep.data.images.limits import LONGEST
from verydeep.data.volumes.geometry import Extent, Sides
from verydeep.errors import PictureError, PictureTooLarge

MAX_VOXELS = 2**27
"""Maximum number of voxels: 512 x 512 x 512."""

WINDOW = (0.5, 99.5)
"""Percentiles of the values that become black and white, where values are not 8-bit."""

SAMPLED = 2**20
"""Maximum number of values that the percentiles are taken of, from all over the volume."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume.

    Attributes:
        voxels: uint8 (D, H, W, 3); grey volumes have three equal channels, which share memory.
        spacing: Edges of a voxel along D, H and W, as multiples of the shortest.
    """

    voxels: NDArray[np.uint8]
    spacing: Extent = (1.0, 1.0, 1.0)

    @property
    def sides(self) -> Sides:
        """Depth, height and width."""
        depth, height, width, _ = self.voxels.shape
        return depth, height, width

    @property
    def extent(self) -> Extent:
        """Depth, height and width, in the shortest edge of a voxel."""
        depth, height, width = (s * n for s, n in zip(self.spacing, self.sides, strict=True))
        return depth, height, width


def check_voxels(shape: tuple[int, ...]) -> None:
    """Refuse shapes that are no volumes, or too large or too thin.

    Raises:
        PictureTooLarge: There are too many voxels, or the longest side is out of proportion.
        PictureError: It is no volume.
    """
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)):
        raise PictureError(
            f"an array of shape {shape} is no volume: it must be (D, H, W), or (D, H, W, 3) in RGB"
        )
    depth, height, width = sides = shape[:3]
    if min(sides) < 1:
        raise PictureError(f"an array of shape {shape} has no voxels")
    check_count((depth, height, width))
    check_proportions((depth, height, width))


def check_count(sides: Sides, when: str = "") -> None:
    """Refuse volumes of too many voxels.

    Args:
        sides: Depth, height and width.
        when: Words for the message: when the volume has these sides.

    Raises:
        PictureTooLarge: There are more than :data:`MAX_VOXELS`.
    """
    count = math.prod(sides)
    if count > MAX_VOXELS:
        raise PictureTooLarge(
            f"{when}{'x'.join(map(str, sides))} is {count:,} voxels, more than the allowed "
            f"{MAX_VOXELS:,}; make it smaller"
        )


def check_proportions(extent: Extent) -> None:
    """Refuse volumes that are too thin.

    Raises:
        PictureTooLarge: The longest side is out of proportion.
    """
    if max(extent) > LONGEST * min(extent):
        raise PictureTooLarge(
            f"{'x'.join(f'{side:g}' for side in extent)}: its longest side is more than {LONGEST} "
            "times its shortest; cut it into pieces, or repeat its slices"
        )


def volume_of(values: NDArray[Any], spacing: Extent = (1.0, 1.0, 1.0)) -> Volume:
    """Return an array as a volume.

    8-bit values stay as they are; False and True become 0 and 255; of any others, the range from
    the 0.5th to the 99.5th percentile of this volume becomes 0 to 255, and values outside it are
    cut. What is not a number counts as the lowest.

    Args:
        values: (D, H, W) or (D, H, W, 3), numbers of any type.
        spacing: Edges of a voxel along D, H and W, as multiples of the shortest.

    Raises:
        PictureError: The array is no volume, or its values are no real numbers.
    """
    check_voxels(values.shape)
    if values.dtype == np.bool_:
        values = values * np.uint8(255)
    elif values.dtype != np.uint8:
        values = _windowed(values)
    values = values if values.ndim == 4 else values[..., None]
    volume = Volume(np.broadcast_to(values, (*values.shape[:3], 3)), spacing)
    check_proportions(volume.extent)
    return volume


def _windowed(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype.kind not in "iuf":
        raise PictureError(f"values of type {values.dtype} are no real numbers")
    low, high = _window(values)
    scale = 255 / (high - low) if high > low else 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        grey = np.clip((values.astype(np.float32) - np.float32(low)) * np.float32(scale), 0, 255)
    rounded: NDArray[np.uint8] = np.nan_to_num(np.rint(grey), nan=0.0).astype(np.uint8)
    return rounded


def _window(values: NDArray[Any]) -> tuple[float, float]:
    """Return the values that become black and white."""
    flat = values.reshape(-1)
    sample = flat[:: _step(values.shape)].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    low, high = np.percentile(sample, WINDOW) if sample.size else (0.0, 0.0)
    if high > low:
        return float(low), float(high)
    known = flat[np.isfinite(flat)]  # few voxels differ: the range of all
    if not known.size:
        raise PictureError("none of its values is a number")
    return float(known.min()), float(known.max())


def _step(shape: tuple[int, ...]) -> int:
    """Return the distance of sampled values in an array of this shape.

    It has no factor in common with a side, so that no column or slice is left out.
    """
    step = -(-math.prod(shape) // SAMPLED)
    while any(math.gcd(step, side) > 1 for side in shape):
        step += 1
    return step
