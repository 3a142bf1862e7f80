"""Plain JPEGs straight to a tensor, in two thirds of the time that the way through Pillow takes.

torchvision's decoder and Pillow's are the same library, so the pixels are the same; what differs is
what they refuse and what they keep in memory. This way is therefore taken only for pictures whose
header Pillow has read and the bounds have passed, and whose segments are so regular that no two
parsers can disagree about them. Whatever else comes is left to Pillow, which also words refusals.

The library writes its doubts about a file to the process's standard error, without a name; to keep
them from the user that is closed meanwhile, so this is for processes that do nothing else.
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from PIL import Image, ImageFile
from torch import Tensor

from verydeep.data.bounds import Metered
from verydeep.data.jpeg_header import read_header

MOST_PIXELS = 2**24
"""Larger pictures go by Pillow: a broken one would be decoded twice, to say why."""

_RGB = 3  # torchvision's number for it

Decoder = Callable[[Tensor], Tensor]
"""From the bytes of a JPEG, uint8 (B,), to uint8 (3, H, W)."""


def pixels_of_plain_jpeg(picture: ImageFile.ImageFile) -> Tensor | None:
    """Return the pixels of a JPEG as Pillow would, if that can be had sooner and is certain.

    Args:
        picture: Opened by :func:`verydeep.data.decode.opened`; its pixels are not loaded.

    Returns:
        uint8 (3, H, W), not turned, the channels closest in memory; None if Pillow is to decide.
    """
    width, height = picture.size
    if picture.format != "JPEG" or picture.mode not in ("L", "RGB") or width * height > MOST_PIXELS:
        return None
    decoder, stream = quick_decoder(), picture.fp
    if decoder is None or not isinstance(stream, Metered):
        return None
    header = read_header(stream.content)
    if header is None or header[:2] != picture.size:  # odd, or to be decoded at a reduced size
        return None
    try:
        with _unheard():
            pixels = decoder(torch.frombuffer(bytearray(stream.content), dtype=torch.uint8))
    except RuntimeError:
        return None
    return pixels if pixels.shape == (3, height, width) else None


@contextmanager
def _unheard() -> Iterator[None]:
    """Send what anything in this process writes to standard error nowhere."""
    try:
        error = os.dup(2)
    except OSError:  # it is closed already
        yield
        return
    try:
        os.dup2(_nowhere(), 2)
        yield
    finally:
        os.dup2(error, 2)
        os.close(error)


@functools.cache
def _nowhere() -> int:
    return os.open(os.devnull, os.O_WRONLY)


@functools.cache
def quick_decoder() -> Decoder | None:
    """Return torchvision's decoder; None if it is absent, or its pixels here are not Pillow's.

    Importing torchvision takes a second: processes that fork should do so after the first call.
    """
    try:
        # The wrapper in torchvision.io warns at every call that it may go one day.
        import torchvision.io  # noqa: F401

        operator = torch.ops.image.decode_jpeg
        decoder: Decoder = lambda data: cast(Tensor, operator(data, _RGB, False))  # noqa: E731
        return decoder if all(_agrees(decoder, how) for how in _WAYS) else None
    except (ImportError, AttributeError, RuntimeError, TypeError):
        return None


_WAYS: tuple[dict[str, Any], ...] = (
    {"subsampling": 0},
    {"subsampling": 1},
    {"subsampling": 2},
    {"progressive": True},
)


def _agrees(decoder: Decoder, options: dict[str, Any]) -> bool:
    """Return whether a picture of noise, saved in some way, comes out as from Pillow."""
    noise = np.random.Generator(np.random.Philox(0)).integers(0, 256, (61, 83, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "JPEG", **options)
    found = decoder(torch.frombuffer(bytearray(stream.getvalue()), dtype=torch.uint8))
    with Image.open(stream) as picture:
        return np.array_equal(found.permute(1, 2, 0).numpy(), np.asarray(picture))
