"""A second look at two pictures whose hashes are close: the same pixels, alike, or mere chance."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 16
"""Pictures are compared at this size, in colour."""

ALIKE = 0.95
"""Correlation from which two pictures count as nearly the same."""


@dataclass(frozen=True, slots=True)
class Look:
    """What two pictures are compared by.

    Attributes:
        pixels: Hash of size and all pixels.
        small: uint8 (SIDE * SIDE * 3,), the shrunken picture.
    """

    pixels: bytes
    small: NDArray[np.uint8]

    def likeness(self, other: Look) -> float:
        """Return the correlation of two pictures, -1 to 1; brightness and contrast cancel out."""
        first, second = _centred(self.small), _centred(other.small)
        return float(first @ second)


def take_a_look(picture: Image.Image) -> Look:
    """Return what an upright RGB picture is compared by."""
    digest = hashlib.blake2b(repr(picture.size).encode(), digest_size=16)
    digest.update(picture.tobytes())
    small = picture.resize((SIDE, SIDE), Image.Resampling.BOX)
    return Look(digest.digest(), np.asarray(small).reshape(-1).copy())


def _centred(small: NDArray[np.uint8]) -> NDArray[np.float64]:
    values = small - small.mean()
    norm = float(np.linalg.norm(values))
    return np.asarray(values / norm if norm else values)
