"""Decoding of image files to upright RGB images.

Files come from anywhere: phones, scanners, unfinished downloads. Decoding returns an image or
raises a :class:`~verydeep.errors.PictureError`; it raises nothing else and shows no warnings. How
each kind of image is converted:

=========================  ================================================================
8-bit RGB                  unchanged
grey, palette, 1 bit       same colours in RGB
16 bits                    upper 8 bits: 0 stays 0, 65535 becomes 255; 12 bits likewise
AVIF, HEIC                 10 and 12 bits reduced to 8; the primary image of several
transparent                composited on white
CMYK, YCbCr                converted by Pillow's fixed formulas; L*a*b* to sRGB
animated, several pages    first frame or page
32 bits per channel        refused: the file does not say which number is white
=========================  ================================================================

Colour profiles (ICC) are not applied: the nets were trained on the stored values. The image has
no metadata; an unreadable EXIF block counts as none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile

from verydeep.data.images.formats import FORMATS, HEIC, INSTALL_HEIC, box_format
from verydeep.data.images.limits import (
    MAX_PIXELS,
    Metered,
    check_scans,
    check_sides,
    check_size,
    check_strips,
    open_metered,
    plain_png,
)
from verydeep.data.images.member import ImageSource
from verydeep.data.images.orientation import Orientation, orientation_of
from verydeep.data.images.png_text import SIGNATURE
from verydeep.data.images.quiet import QUIET
from verydeep.errors import PictureError, VeryDeepError, printable

if TYPE_CHECKING:
    import torch

HEAD = 64
"""Bytes that identify a format."""

PART = 2**20
"""Pixels to composite at once."""


def decode(source: ImageSource | bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode an image.

    Args:
        source: A file, a member of an archive or a table, or the bytes of a file.
        max_pixels: Larger images are refused before decoding. Pillow never reads more than twice
            :data:`~verydeep.data.images.limits.MAX_PIXELS`; formats that cost more per pixel have
            lower limits, see :mod:`verydeep.data.images.limits`.

    Returns:
        The image, upright, mode ``RGB``.

    Raises:
        PictureError: The file is missing, unreadable or not a complete image.
    """
    with naming(source):
        rgb, orientation = _read(source, max_pixels)
        upright = orientation.upright(rgb)
    upright.info = {}
    return upright


def decode_values(source: ImageSource | bytes) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Decode an image, with all bits of 16-bit grey values.

    Returns:
        The upright image: uint16 (H, W) if it is grey with 12 or 16 bits, else uint8 (H, W, 3).

    Raises:
        PictureError: As for :func:`decode`.
    """
    with naming(source), opened(source) as picture:
        picture.load()
        if _is_grey_of_16_bits(picture):
            grey = Image.fromarray(_grey_of_16_bits(picture)[0])
            return np.asarray(orientation_of(picture).upright(grey))
        return np.asarray(orientation_of(picture).upright(rgb_of(picture)))


def upright_size(source: ImageSource | bytes) -> tuple[int, int]:
    """Return the height and width of the upright image, from its header.

    Raises:
        PictureError: The file is missing, or its header cannot be read.
    """
    with naming(source), opened(source) as picture:
        width, height = _stored_size(picture)
        return (width, height) if orientation_of(picture).swap else (height, width)


def _stored_size(picture: ImageFile.ImageFile) -> tuple[int, int]:
    """Return width and height before turning; Pillow may give those of a TIFF after it."""
    if isinstance(picture, TiffImageFile):
        return picture.tag_v2[IMAGEWIDTH], picture.tag_v2[IMAGELENGTH]
    return picture.size


@contextmanager
def opened(
    source: ImageSource | bytes, *, max_pixels: int = MAX_PIXELS
) -> Iterator[ImageFile.ImageFile]:
    """Open an image with its header read and all limits in force.

    The program opens untrusted files only through this function. Pillow's warnings are silenced
    while the image is open.

    Args:
        source: A file, or the bytes of one.
        max_pixels: As for :func:`decode`.

    Raises:
        PictureTooLarge: The image has too many bytes or pixels.
        PictureError: The image is refused for another reason.
        OSError: The file cannot be opened.
        Exception: Anything Pillow raises for a broken file, also inside the ``with`` block;
            :func:`naming` converts it.
    """
    with QUIET, open_metered(source) as file:
        head = file.read(HEAD)
        file.seek(0)
        if not head:
            raise PictureError("the file is empty")
        stream = plain_png(file) if head.startswith(SIGNATURE) else file
        with _open_by_content(stream, head) as picture:
            check_size(picture, max_pixels)
            check_strips(picture, stream.length)
            stream.end_of_header()
            check_scans(picture, stream)
            check_sides(*picture.size)
            yield picture


def _open_by_content(stream: Metered, head: bytes) -> ImageFile.ImageFile:
    """Open an image whatever its file's extension."""
    if box_format(head) != HEIC:
        return Image.open(stream, formats=FORMATS)
    try:
        # Pillow's registry belongs to the whole process and stays unchanged.
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise PictureError(f"a HEIC image: {INSTALL_HEIC}") from error
    heic: Callable[[Metered], ImageFile.ImageFile] = HeifImageFile  # untyped
    return heic(stream)


def name_of(source: ImageSource | bytes) -> str:
    """Return the name of a file for messages."""
    return "<bytes>" if isinstance(source, bytes) else printable(source)


@contextmanager
def naming(source: ImageSource | bytes) -> Iterator[None]:
    """Convert anything that reading an image raises into a PictureError that names it."""
    name = name_of(source)
    try:
        yield
    except PictureError as refusal:
        raise type(refusal)(f"{name}: {refusal}") from None
    except VeryDeepError:  # raised by a signal handler, not by the image
        raise
    except Exception as error:  # a broken file can make Pillow raise almost anything
        raise PictureError(f"{name}: {reason_of(error)}") from error


def to_tensor(picture: Image.Image) -> torch.Tensor:
    """Return the pixels of an RGB image.

    Returns:
        uint8 (3, H, W), a writable copy, channels last in memory (channels_last).
    """
    import torch  # decoding alone does not need it

    assert picture.mode == "RGB"
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def _read(source: ImageSource | bytes, max_pixels: int) -> tuple[Image.Image, Orientation]:
    """Return the stored image in RGB, and its orientation, and close the file."""
    with opened(source, max_pixels=max_pixels) as picture:
        picture.load()
        return rgb_of(picture), orientation_of(picture)


def upright_rgb(picture: Image.Image) -> Image.Image:
    """Convert an opened image to an upright one in mode ``RGB``.

    Raises:
        PictureError: The image has 32 bits per channel.
    """
    picture.load()  # which turns a TIFF, and forgets how it lay
    return orientation_of(picture).upright(rgb_of(picture))


def rgb_of(picture: Image.Image) -> Image.Image:
    """Convert an opened image to mode ``RGB``, without turning it.

    Raises:
        PictureError: The image has 32 bits per channel.
    """
    mode = picture.mode
    if mode == "RGB" and "transparency" not in picture.info:
        return picture
    if _is_grey_of_16_bits(picture):
        grey, bits = _grey_of_16_bits(picture)
        grey >>= bits - 8
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if mode in ("I", "F"):
        raise PictureError(
            f"its channels are {'32-bit or signed integers' if mode == 'I' else '32-bit floats'} "
            "with an unknown white level; save it with 8 or 16 bits per channel, unsigned"
        )
    if picture.has_transparency_data:
        return _on_white(picture)
    return picture.convert("RGB")


def _on_white(picture: Image.Image) -> Image.Image:
    """Composite an image on white, in parts: as a whole it would be in memory five times."""
    rgb = Image.new("RGB", picture.size)
    for box in _parts(*picture.size):
        part = picture.crop(box)
        if part.mode == "La":  # converts to nothing else
            part = part.convert("LA")
        white = Image.new("RGBA", part.size, "white")
        rgb.paste(Image.alpha_composite(white, part.convert("RGBA")).convert("RGB"), box)
    return rgb


def _parts(width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield boxes of at most :data:`PART` pixels that cover the image."""
    columns = min(width, PART)
    rows = max(1, PART // columns)
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            yield left, top, min(left + columns, width), min(top + rows, height)


def _is_grey_of_16_bits(picture: Image.Image) -> bool:
    return picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PPM")


def _grey_of_16_bits(picture: Image.Image) -> tuple[NDArray[np.uint16], int]:
    """Return 16-bit grey values (H, W), 0 for black, and the number of bits that they use."""
    values = np.asarray(picture)
    tags = getattr(picture, "tag_v2", {})
    bits = 12 if tags.get(ExifTags.Base.BitsPerSample) == (12,) else 16
    white = np.uint16(2**bits - 1)
    grey = values.astype(np.uint16)
    if tags.get(ExifTags.Base.PhotometricInterpretation) == 0:  # 0 is white, as in some scans
        np.subtract(white, grey, out=grey)
    if "transparency" in picture.info:  # one grey value is transparent
        grey[values == picture.info["transparency"]] = white
    return grey, bits


def reason_of(error: Exception) -> str:
    """Describe why a file cannot be decoded, from the exception it raised."""
    match error:
        case UnidentifiedImageError():
            return f"not an image in one of the formats {', '.join(FORMATS)}, or damaged"
        case Image.DecompressionBombError():
            return _bomb(str(error))
        case MemoryError():
            return "not enough memory to decode it"
        case OSError(strerror=str(reason)):
            return reason
    return f"broken or truncated ({type(error).__name__}: {error})"


def _bomb(refusal: str) -> str:
    """Return Pillow's refusal of too many pixels with the limit that applies here."""
    size = re.search(r"\d+", refusal)
    pixels = f"{int(size[0]):,}" if size else "too many"
    return f"{pixels} pixels, more than the allowed {MAX_PIXELS:,}; make it smaller"
