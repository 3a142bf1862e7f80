"""Decoding of plain JPEGs straight to an array, in three quarters of Pillow's time.

``simplejpeg`` and Pillow use the same library, so the pixels are equal, but they refuse different
files. ``simplejpeg`` therefore decodes only images whose header Pillow has read, that are within
the limits, and whose segments are so regular that parsers cannot disagree. Pillow decodes all
else, including what ``simplejpeg`` refuses, so all error messages come from Pillow.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFile
from torch import Tensor

from verydeep.data.images.jpeg_header import read_header
from verydeep.data.images.limits import Metered

MOST_PIXELS = 2**24
"""Pillow decodes larger images: a broken one would be decoded twice to find the reason."""

Decoder = Callable[[bytes], NDArray[np.uint8]]
"""Convert the bytes of a JPEG to uint8 (H, W, 3); raises ValueError for any fault."""


def pixels_of_plain_jpeg(picture: ImageFile.ImageFile) -> Tensor | None:
    """Decode a JPEG faster than Pillow, to the same pixels; None if only Pillow can be trusted.

    Args:
        picture: Opened by :func:`verydeep.data.images.decode.opened`; pixels not loaded.

    Returns:
        uint8 (3, H, W), channels last in memory, not turned upright.
    """
    decoder = quick_decoder()
    content = plain_jpeg(picture) if decoder else None
    if decoder is None or content is None:
        return None
    try:
        pixels = decoder(content)
    except ValueError:
        return None
    width, height = picture.size
    if pixels.shape != (height, width, 3):
        return None
    return torch.from_numpy(pixels).permute(2, 0, 1)


def plain_jpeg(picture: ImageFile.ImageFile) -> bytes | None:
    """Return the bytes of a JPEG that any decoder reads alike; None if only Pillow can be trusted.

    Args:
        picture: As for :func:`pixels_of_plain_jpeg`.
    """
    width, height = picture.size
    if picture.format != "JPEG" or picture.mode not in ("L", "RGB") or width * height > MOST_PIXELS:
        return None
    stream = picture.fp
    if not isinstance(stream, Metered):
        return None
    header = read_header(stream.content)
    if header is None or header[:2] != picture.size:  # irregular, or drafted at a reduced size
        return None
    return stream.content


@functools.cache
def quick_decoder() -> Decoder | None:
    """Return simplejpeg's decoder; None if it is absent or its pixels differ from Pillow's."""
    try:
        from simplejpeg import decode_jpeg
    except ImportError:
        return None
    try:
        return decode_jpeg if all(_agrees(decode_jpeg, how) for how in _WAYS) else None
    except (TypeError, ValueError):
        return None


_WAYS: tuple[dict[str, Any], ...] = (
    {"subsampling": 0},
    {"subsampling": 1},
    {"subsampling": 2},
    {"progressive": True},
)


def _agrees(decoder: Decoder, options: dict[str, Any]) -> bool:
    """Return whether an image of noise decodes as with Pillow."""
    noise = np.random.Generator(np.random.Philox(0)).integers(0, 256, (61, 83, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "JPEG", **options)
    found = decoder(stream.getvalue())
    with Image.open(stream) as picture:
        return np.array_equal(found, np.asarray(picture))
