"""From a file or its bytes to an upright RGB picture, or to one error that says why not.

Files come from anywhere: phones, scanners, half-finished downloads. Whatever is in them, the way
ends in a picture or a :class:`~verydeep.errors.PictureError`; nothing else is raised, nothing is
warned of. What a net sees of each kind of picture:

=========================  ================================================================
8 bits, RGB                as it is
grey, palette, 1 bit       the same colours in RGB
16 bits                    the upper 8: black stays 0, white 65535 becomes 255 (12 bits alike)
transparent                laid on white
CMYK, YCbCr                by Pillow's fixed formulas; L*a*b* by its conversion to sRGB
animated, many pages       the first
32 bits a channel          refused: nothing in the file says which number is white
=========================  ================================================================

Colour profiles (ICC) are not applied: the nets were trained on the numbers in the files. The
picture carries no metadata; an EXIF block that cannot be read counts as none.
"""

from __future__ import annotations

import io
import re
import struct
import threading
import warnings
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from verydeep.errors import PictureError, VeryDeepError

MAX_PIXELS = 89_478_485
"""The most pixels that are decoded; Pillow's own level of warning, a quarter GiB in RGB."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""Names that Pillow knows the formats by; its other parsers never see the bytes."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"},
)
"""Endings of the files that are taken for pictures, in lower case."""

# What undoes the orientation that a camera noted.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What Pillow's EXIF parser raises on nonsense.
_NONSENSE = (
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    OSError,
    struct.error,
)


def decode(source: Path | bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode a picture.

    Args:
        source: A file, or what stands in one.
        max_pixels: Refuse larger pictures before their pixels are decoded. Twice
            :data:`MAX_PIXELS` is the most that Pillow reads, whatever is set here.

    Returns:
        The picture, mode ``RGB``, turned upright.

    Raises:
        PictureError: There is no such file, it cannot be read, or it is no whole picture.
    """
    name = "<bytes>" if isinstance(source, bytes) else source
    try:
        with QUIET, _stream(source) as stream:
            return _decode(stream, max_pixels)
    except PictureError as refusal:
        raise PictureError(f"{name}: {refusal}") from None
    except VeryDeepError:  # a signal's doing, not the picture's
        raise
    except Exception as error:  # a broken file can make Pillow raise almost anything
        raise PictureError(f"{name}: {reason_of(error)}") from error


def to_tensor(picture: Image.Image) -> torch.Tensor:
    """Return the pixels of an RGB picture.

    Returns:
        uint8 (3, H, W), a copy that may be written to. The channels lie closest in memory
        (channels_last), as they do in the picture.
    """
    assert picture.mode == "RGB"
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def _stream(source: Path | bytes) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _decode(stream: BinaryIO, max_pixels: int) -> Image.Image:
    if not stream.read(1):
        raise PictureError("the file is empty")
    with Image.open(stream, formats=FORMATS) as picture:
        width, height = picture.size
        if width * height > max_pixels:
            raise PictureError(
                f"{width}x{height} is {width * height:,} pixels, more than the {max_pixels:,} "
                "allowed; make it smaller"
            )
        picture.load()
        upright = upright_rgb(picture)
    upright.info = {}
    return upright


def upright_rgb(picture: Image.Image) -> Image.Image:
    """Return an opened picture in mode ``RGB`` and turned upright, by the rules for files.

    Raises:
        PictureError: Its pixels are numbers of 32 bits.
    """
    return _upright(_rgb(picture), picture)


def _upright(rgb: Image.Image, original: Image.Image) -> Image.Image:
    """Turn the picture as its EXIF orientation says.

    ``ImageOps.exif_transpose`` would also write the EXIF block anew, and fail on odd ones.
    """
    try:
        orientation = original.getexif().get(ExifTags.Base.Orientation)
    except _NONSENSE:
        orientation = None
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return rgb if turn is None else rgb.transpose(turn)


def _rgb(picture: Image.Image) -> Image.Image:
    mode = picture.mode
    if mode == "RGB" and "transparency" not in picture.info:
        return picture
    if mode.startswith("I;16"):
        return Image.fromarray(_upper_bits(picture)).convert("RGB")
    if mode in ("I", "F"):
        raise PictureError(
            f"its channels are {'whole' if mode == 'I' else 'floating-point'} numbers of 32 bits, "
            "of which nothing says which is white; save it with 8 or 16 bits a channel"
        )
    if picture.has_transparency_data:
        return _on_white(picture)
    return picture.convert("RGB")


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode == "La":  # known to no conversion but this
        picture = picture.convert("LA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")


def _upper_bits(picture: Image.Image) -> NDArray[np.uint8]:
    """Return the upper 8 bits of grey values of 16, as Pillow itself does for 16-bit colours."""
    values = np.asarray(picture)
    tags = getattr(picture, "tag_v2", {})
    bits = 12 if tags.get(ExifTags.Base.BitsPerSample) == (12,) else 16
    grey = (values >> (bits - 8)).astype(np.uint8)
    if tags.get(ExifTags.Base.PhotometricInterpretation) == 0:  # a scanner's negative: 0 is white
        grey = 255 - grey
    if "transparency" in picture.info:  # one grey value that stands for nothing
        grey[values == picture.info["transparency"]] = 255
    return grey


def reason_of(error: Exception) -> str:
    """Return in words why a file cannot be decoded, from what decoding it raised."""
    match error:
        case UnidentifiedImageError():
            return f"not a picture in one of the formats {', '.join(FORMATS)}, or its start is lost"
        case Image.DecompressionBombError():
            return f"too many pixels; make it smaller ({error})"
        case MemoryError():
            return "not enough memory to decode it"
        case OSError(strerror=str(reason)):
            return reason
    return f"broken or cut off ({type(error).__name__}: {error})"


class _Quiet:
    """Silences Pillow's warnings as long as any thread is inside.

    It puts one entry into the list of filters and takes it out again. ``catch_warnings`` would swap
    the whole list for the whole process: with threads, or a caller who does the same meanwhile, the
    wrong list could stay for good.
    """

    ENTRY = ("ignore", None, Warning, re.compile(r"PIL\."), 0)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self.ENTRY not in warnings.filters:
                warnings.filters.insert(0, self.ENTRY)  # type: ignore[attr-defined]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self.ENTRY in warnings.filters:
                warnings.filters.remove(self.ENTRY)  # type: ignore[attr-defined]


QUIET = _Quiet()
"""``with QUIET:`` around what Pillow does keeps its warnings from the user."""
