"""Decoding of one image for a model. It runs in a process of its own, without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from verydeep.data.images.decode import decode, name_of
from verydeep.data.images.limits import LONGEST, MAX_PIXELS
from verydeep.data.pipeline.rescaled import Rescale
from verydeep.errors import PictureError

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class DecodePlan:
    """What a model needs of an image.

    Attributes:
        scales: Smallest sides of the rescaled images, in pixels.
        interpolation: ``bilinear`` or ``bicubic``.
        shown: Longer side of an additional copy to draw on, at most; None for no copy.
        max_pixels: Larger images are refused before they are decoded.
    """

    scales: tuple[int, ...]
    interpolation: str = "bilinear"
    shown: int | None = None
    max_pixels: int = MAX_PIXELS

    @property
    def most_bytes(self) -> int:
        """Bytes that a decoded image may take: those of the longest one that is read."""
        rescaled = 3 * LONGEST * sum(scale * scale for scale in self.scales)
        return rescaled + 3 * (self.shown or 0) ** 2


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded image.

    Attributes:
        size: Height and width of the upright image.
        pixels: Pixels at each scale of the plan, uint8 (H, W, 3).
        shown: Copy to draw on, uint8 (H, W, 3).
    """

    size: tuple[int, int]
    pixels: tuple[Pixels, ...]
    shown: Pixels | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels."""
        shown = 0 if self.shown is None else self.shown.nbytes
        return shown + sum(one.nbytes for one in self.pixels)


@dataclass(frozen=True, slots=True)
class Fault:
    """Reason why an image cannot be read, without its name."""

    reason: str


def decode_for(data: bytes, plan: DecodePlan) -> Decoded | Fault:
    """Decode and rescale an image.

    Args:
        data: The file's bytes.
        plan: What is needed.
    """
    try:
        picture = decode(data, max_pixels=min(plan.max_pixels, MAX_PIXELS))
        pixels = Rescale(plan.scales, interpolation=plan.interpolation)(picture)
    except PictureError as error:
        return Fault(str(error).removeprefix(f"{name_of(data)}: "))
    except MemoryError:
        return Fault("not enough memory to decode it")
    shown = None if plan.shown is None else _reduced(picture, plan.shown)
    return Decoded((picture.height, picture.width), pixels, shown)


def _reduced(picture: Image.Image, longest: int) -> Pixels:
    factor = min(1.0, longest / max(picture.size))
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR) if factor < 1 else picture)
