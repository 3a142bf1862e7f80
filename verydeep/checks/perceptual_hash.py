"""Perceptual hash of 64 bits, robust to re-encoding, resizing and brightening.

pHash (Zauner 2010): resize to 32x32 in grey, take the 64 lowest frequencies of the cosine transform
without the mean, and compare each with their median. Turned, mirrored or cropped images have other
hashes. The few frequencies are computed directly: ``scipy.fft.dctn`` takes four times as long.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 32
"""Side to which the image is resized first."""

LEAST_CONTRAST = 2.0
"""Standard deviation in grey levels below which an image is too uniform for a hash."""

NEAR = 6
"""Maximum number of differing bits of two hashes of one image."""


def _cosines(count: int) -> NDArray[np.float64]:
    """Return the orthonormal cosine transform's first rows, (count, SIDE)."""
    frequency, place = np.arange(count)[:, None], np.arange(SIDE)[None]
    rows = np.cos(np.pi * frequency * (2 * place + 1) / (2 * SIDE)) * np.sqrt(2 / SIDE)
    rows[0] /= np.sqrt(2)
    return np.asarray(rows)


def _lowest(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of the lowest frequencies without the mean, diagonal by diagonal."""
    grid = [(row, column) for row in range(SIDE) for column in range(SIDE)]
    order = sorted(grid, key=lambda place: (sum(place), place[0]))[1 : count + 1]
    rows, columns = zip(*order, strict=True)
    return np.array(rows), np.array(columns)


_ROWS, _COLUMNS = _lowest(64)
_COSINES = _cosines(int(max(_ROWS.max(), _COLUMNS.max())) + 1)


def perceptual_hash(picture: Image.Image) -> int | None:
    """Return the hash of an upright RGB image; None if it is nearly one colour."""
    small = picture.resize((SIDE, SIDE), Image.Resampling.BOX).convert("L")
    grey = np.asarray(small, dtype=np.float64)
    values = grey.ravel()
    # Sums of integers are exact; np.std would take a tenth of the time of a small image.
    mean, square = float(values.sum()) / values.size, float(values @ values) / values.size
    if square - mean**2 < LEAST_CONTRAST**2:
        return None
    frequencies = (_COSINES @ grey @ _COSINES.T)[_ROWS, _COLUMNS]
    bits = np.packbits(frequencies >= np.partition(frequencies, 32)[32])
    return int.from_bytes(bits.tobytes(), "big")


def distance(first: int, second: int) -> int:
    """Return the number of bits in which two hashes differ.

    >>> distance(0b1011, 0b0010)
    2
    """
    return (first ^ second).bit_count()


COLOUR_SIDE = 16
"""Side at which images are compared, in colour."""

ALIKE = 0.95
"""Minimum correlation of nearly equal images."""


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """The features that are compared.

    Attributes:
        pixels: Hash of size and all pixels.
        small: The downsized image, uint8 (COLOUR_SIDE * COLOUR_SIDE * 3,).
    """

    pixels: bytes
    small: NDArray[np.uint8]

    def correlation(self, other: ImageFeatures) -> float:
        """Return the correlation of two images, -1 to 1, which ignores brightness and contrast."""
        first, second = _centred(self.small), _centred(other.small)
        return float(first @ second)


def image_features(picture: Image.Image) -> ImageFeatures:
    """Return the features of an upright RGB image."""
    digest = hashlib.blake2b(repr(picture.size).encode(), digest_size=16)
    digest.update(picture.tobytes())
    small = picture.resize((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.BOX)
    return ImageFeatures(digest.digest(), np.asarray(small).reshape(-1).copy())


def _centred(small: NDArray[np.uint8]) -> NDArray[np.float64]:
    values = small - small.mean()
    norm = float(np.linalg.norm(values))
    return np.asarray(values / norm if norm else values)
