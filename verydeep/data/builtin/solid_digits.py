"""The built-in volumes: handwritten digits with depth, turned in space, among noise and rods.

The digits are scikit-learn's, as in :mod:`verydeep.data.builtin.digits`: each is enlarged, given
some thickness, turned about all three axes, and put at a random place of a cube of 32 voxels a
side. Rods, of the digits' thickness and brightness, cross the cube as distractors, and all is
under noise. No digit is in two splits, so memorising does not help.

A volume depends only on the seed, its split and its index, up to the rounding of a machine.

D, H, W: depth, height, width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from verydeep.data.builtin.digits import divide
from verydeep.data.builtin.made import made_folder
from verydeep.data.builtin.originals import deal, digits_of_sklearn, make_class_folders

SIDE = 32
"""Side of every volume in voxels."""

COUNTS = {"train": 2000, "val": 300, "test": 500}
"""Volumes in each split."""

SIZES = (20.0, 26.0)
"""Minimum and maximum side of a digit's 8x8 square, in voxels."""

THICKNESS = (5.0, 9.0)
"""Minimum and maximum depth of a digit, in voxels."""

TURNS = (30.0, 30.0, 20.0)
"""Maximum angles about the axes x, y and z, in degrees; z is the one a digit is seen along."""

RODS = (0, 2)
"""Minimum and maximum number of rods."""

NOISE = 12.0
"""Standard deviation of the noise, of 255."""

BRIGHT = (130.0, 220.0)
"""Minimum and maximum brightness of digits and rods, of 255."""

SHARPNESS = 3.0
"""Steepness of edges, so that enlarged digits keep their loops open."""

Voxels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class SolidDigit:
    """One volume of the set.

    Attributes:
        voxels: uint8 (32, 32, 32).
        label: The digit, 0 to 9.
        split: ``train``, ``val`` or ``test``.
        original: Index of the 8x8 digit in scikit-learn's set.
        use: Number of earlier uses of that digit.
    """

    voxels: Voxels
    label: int
    split: str
    original: int
    use: int

    @property
    def file(self) -> str:
        """Path in the folder of the set."""
        return f"{self.split}/{self.label}/{self.split}_{self.original:04}_{self.use}.npy"


def solid_digits_folder(seed: int = 0, *, cache: Path | None = None) -> Path:
    """Return the folder of the set, ``{train,val,test}/{0..9}/*.npy``, made on first use.

    Raises:
        DataError: The folder cannot be written.
        DiskError: The disk is full.
    """
    return made_folder(f"digits-3d-v1-seed{seed}", lambda folder: _write(seed, folder), cache)


def make_solid_digits(seed: int, counts: Mapping[str, int] = COUNTS) -> Iterator[SolidDigit]:
    """Generate the set in memory, by split, with the classes in turn.

    Args:
        seed: Random seed.
        counts: Volumes per split; fewer are the first of the full set.
    """
    digits, labels = digits_of_sklearn()
    originals = divide(labels, seed)
    for number, split in enumerate(COUNTS, start=1):
        for index, dealt in enumerate(deal(originals[split], counts.get(split, 0))):
            generator = np.random.Generator(np.random.PCG64([seed, 3, number, index]))
            voxels = draw_solid(digits[dealt.original], generator)
            yield SolidDigit(voxels, dealt.label, split, dealt.original, dealt.use)


def draw_solid(digit: Voxels, generator: np.random.Generator) -> Voxels:
    """Draw one volume.

    Args:
        digit: Ink, 0 to 255, (10, 10), with an empty border.
        generator: Random generator of size, place, turns, rods and noise.

    Returns:
        uint8 (32, 32, 32).
    """
    size, thickness = generator.uniform(*SIZES), generator.uniform(*THICKNESS)
    turn = rotation(generator.uniform(-1, 1, 3) * np.array(TURNS))
    reach = size / 2 * 0.6
    center = generator.uniform(reach, SIDE - 1 - reach, 3)
    points = (_grid() - center) @ turn  # (z, y, x) in the digit's own axes
    solid = _ink(digit, points[..., 1:] * 8 / size) * _within(points[..., 0], thickness)
    values = generator.uniform(*BRIGHT) * solid
    for _ in range(generator.integers(RODS[0], RODS[1] + 1)):
        values = np.maximum(values, generator.uniform(*BRIGHT) * _rod(generator))
    noisy = values + generator.normal(0, NOISE, values.shape) + 2 * NOISE
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def rotation(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix (3, 3) of turns about the axes x, y and z, for points (z, y, x)."""
    matrix = np.eye(3)
    for (first, second), angle in zip(((0, 1), (0, 2), (1, 2)), np.deg2rad(degrees), strict=True):
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = math.cos(angle)
        turn[first, second], turn[second, first] = -math.sin(angle), math.sin(angle)
        matrix = matrix @ turn
    return matrix


def _grid() -> NDArray[np.float64]:
    """Return the places of all voxels, (32, 32, 32, 3) as (z, y, x)."""
    return np.stack(np.meshgrid(*[np.arange(SIDE, dtype=np.float64)] * 3, indexing="ij"), -1)


def _ink(digit: Voxels, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ink, 0 to 1, at points (..., 2) as (y, x) in digit pixels from its middle."""
    from scipy.ndimage import map_coordinates

    places = np.moveaxis(points + (digit.shape[0] - 1) / 2, -1, 0)
    soft = map_coordinates(digit / 255.0, places, order=3, mode="constant")
    ink: NDArray[np.float64] = np.clip(0.5 + SHARPNESS * (soft - 0.5), 0, 1)
    return ink


def _within(depth: NDArray[np.float64], thickness: float) -> NDArray[np.float64]:
    """Return 1 within a slab around 0 and 0 outside, with an edge of one voxel."""
    inside: NDArray[np.float64] = np.clip(thickness / 2 - np.abs(depth) + 0.5, 0, 1)
    return inside


def _rod(generator: np.random.Generator) -> NDArray[np.float64]:
    """Return a straight rod through the cube, 0 to 1, (32, 32, 32)."""
    start = generator.uniform(0, SIDE - 1, 3)
    direction = generator.normal(size=3)
    direction /= np.linalg.norm(direction)
    away = _grid() - start
    across = away - (away @ direction)[..., None] * direction
    along = np.abs(away @ direction) < generator.uniform(6, 14)
    return _within(np.linalg.norm(across, axis=-1), generator.uniform(1.5, 2.5)) * along


def _write(seed: int, folder: Path) -> None:
    make_class_folders(folder, COUNTS)
    for digit in make_solid_digits(seed):
        np.save(folder / digit.file, digit.voxels)
