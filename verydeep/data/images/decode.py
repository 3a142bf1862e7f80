"""From a file or its bytes to an upright RGB image, or to one error that says why not.

Files come from anywhere: phones, scanners, half-finished downloads. Whatever is in them, the way
ends in an image or a :class:`~verydeep.errors.PictureError`; nothing else is raised, nothing is
warned of. What a net sees of each kind of image:

=========================  ================================================================
8 bits, RGB                as it is
grey, palette, 1 bit       the same colours in RGB
16 bits                    the upper 8: black stays 0, white 65535 becomes 255 (12 bits alike)
AVIF, HEIC                 10 and 12 bits as 8; the primary image of several
transparent                laid on white
CMYK, YCbCr                by Pillow's fixed formulas; L*a*b* by its conversion to sRGB
animated, many pages       the first
32 bits a channel          refused: nothing in the file says which number is white
=========================  ================================================================

Colour profiles (ICC) are not applied: the nets were trained on the numbers in the files. The
image carries no metadata; an EXIF block that cannot be read counts as none.
"""

from __future__ import annotations

import os
import re
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

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
from verydeep.data.images.png_text import SIGNATURE
from verydeep.errors import PictureError, VeryDeepError, printable

HEAD = 64
"""Bytes by which the kind of a file is told."""

PART = 2**20
"""Pixels that are laid on white at once."""

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

SIDEWAYS = range(5, 9)
"""EXIF's orientations that swap width and height."""

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


def decode(source: ImageSource | bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode an image.

    Args:
        source: A file, a member of an archive or a table, or what stands in one of them.
        max_pixels: Refuse larger images before their pixels are decoded. Twice
            :data:`~verydeep.data.images.limits.MAX_PIXELS` is the most that Pillow reads, whatever
            is set here; kinds that cost more a pixel have a share of it, see
            :mod:`verydeep.data.images.limits`.

    Returns:
        The image, mode ``RGB``, turned upright.

    Raises:
        PictureError: There is no such file, it cannot be read, or it is no whole image.
    """
    with naming(source):
        rgb, turn = _read(source, max_pixels)
        upright = rgb if turn is None else rgb.transpose(turn)
    upright.info = {}
    return upright


def upright_size(source: ImageSource | bytes) -> tuple[int, int]:
    """Return height and width of an image, turned upright, from its header.

    Raises:
        PictureError: There is no such file, or its header cannot be read.
    """
    with naming(source), opened(source) as picture:
        width, height = picture.size
        return (width, height) if orientation_of(picture) in SIDEWAYS else (height, width)


@contextmanager
def opened(
    source: ImageSource | bytes, *, max_pixels: int = MAX_PIXELS
) -> Iterator[ImageFile.ImageFile]:
    """Open an image, its header read and every limit in force.

    This is the only way by which the program opens files it knows nothing of. Pillow's warnings
    are kept from the user as long as the image is open.

    Args:
        source: A file, or what stands in one.
        max_pixels: As for :func:`decode`.

    Raises:
        PictureTooLarge: It has too many bytes or pixels.
        PictureError: It is refused for another reason.
        OSError: The file cannot be opened.
        Exception: Whatever a broken file makes Pillow raise, inside the ``with`` block as well;
            :func:`naming` puts it in words.
    """
    with QUIET, open_metered(source) as file:
        head = file.read(HEAD)
        file.seek(0)
        if not head:
            raise PictureError("the file is empty")
        stream = plain_png(file) if head.startswith(SIGNATURE) else file
        with _recognised(stream, head) as picture:
            check_size(picture, max_pixels)
            check_strips(picture, stream.length)
            stream.end_of_header()
            check_scans(picture, stream)
            check_sides(*picture.size)
            yield picture


def _recognised(stream: Metered, head: bytes) -> ImageFile.ImageFile:
    """Return the image in a file, whatever its ending says, its header read."""
    if box_format(head) != HEIC:
        return Image.open(stream, formats=FORMATS)
    try:
        # Pillow's own registry stays as it is: it belongs to the whole process.
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise PictureError(f"a HEIC image: {INSTALL_HEIC}") from error
    heic: Callable[[Metered], ImageFile.ImageFile] = HeifImageFile  # without types of its own
    return heic(stream)


@contextmanager
def naming(source: ImageSource | bytes) -> Iterator[None]:
    """Turn whatever reading an image raises into a PictureError that names it."""
    name = "<bytes>" if isinstance(source, bytes) else printable(source)
    try:
        yield
    except PictureError as refusal:
        raise type(refusal)(f"{name}: {refusal}") from None
    except VeryDeepError:  # a signal's doing, not the image's
        raise
    except Exception as error:  # a broken file can make Pillow raise almost anything
        raise PictureError(f"{name}: {reason_of(error)}") from error


def to_tensor(picture: Image.Image) -> torch.Tensor:
    """Return the pixels of an RGB image.

    Returns:
        uint8 (3, H, W), a copy that may be written to. The channels lie closest in memory
        (channels_last), as they do in the image.
    """
    assert picture.mode == "RGB"
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def _read(
    source: ImageSource | bytes, max_pixels: int
) -> tuple[Image.Image, Image.Transpose | None]:
    """Return the image in RGB and how it is to be turned; the one in the file is let go."""
    with opened(source, max_pixels=max_pixels) as picture:
        picture.load()
        return rgb_of(picture), _turn(picture)


def upright_rgb(picture: Image.Image) -> Image.Image:
    """Return an opened image in mode ``RGB`` and turned upright, by the rules for files.

    Raises:
        PictureError: Its pixels are numbers of 32 bits.
    """
    rgb, turn = rgb_of(picture), _turn(picture)
    return rgb if turn is None else rgb.transpose(turn)


def _turn(picture: Image.Image) -> Image.Transpose | None:
    """Return what turns the image as its EXIF orientation says.

    ``ImageOps.exif_transpose`` would also write the EXIF block anew, and fail on odd ones.
    """
    return _TURNS.get(orientation_of(picture))


def orientation_of(picture: Image.Image) -> int:
    """Return the EXIF orientation of an opened image; 1, upright, if it has none that counts."""
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation)
    except _NONSENSE:
        return 1
    return orientation if isinstance(orientation, int) else 1


def rgb_of(picture: Image.Image) -> Image.Image:
    """Return an opened image in mode ``RGB``, by the rules for files; not turned.

    Raises:
        PictureError: Its pixels are numbers of 32 bits.
    """
    mode = picture.mode
    if mode == "RGB" and "transparency" not in picture.info:
        return picture
    if mode.startswith("I;16") or (mode == "I" and picture.format == "PPM"):
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
    """Lay an image on white, part by part: as a whole it would be in memory five times over."""
    rgb = Image.new("RGB", picture.size)
    for box in _parts(*picture.size):
        part = picture.crop(box)
        if part.mode == "La":  # known to no conversion but this
            part = part.convert("LA")
        white = Image.new("RGBA", part.size, "white")
        rgb.paste(Image.alpha_composite(white, part.convert("RGBA")).convert("RGB"), box)
    return rgb


def _parts(width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield boxes of at most :data:`PART` pixels that together are the whole."""
    columns = min(width, PART)
    rows = max(1, PART // columns)
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            yield left, top, min(left + columns, width), min(top + rows, height)


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
            return f"not an image in one of the formats {', '.join(FORMATS)}, or its start is lost"
        case Image.DecompressionBombError():
            return _bomb(str(error))
        case MemoryError():
            return "not enough memory to decode it"
        case OSError(strerror=str(reason)):
            return reason
    return f"broken or cut off ({type(error).__name__}: {error})"


def _bomb(refusal: str) -> str:
    """Return Pillow's refusal of too many pixels with the bound that holds here."""
    size = re.search(r"\d+", refusal)
    pixels = f"{int(size[0]):,}" if size else "too many"
    return f"{pixels} pixels, more than the {MAX_PIXELS:,} allowed; make it smaller"


class _Quiet:
    """Silences Pillow's warnings as long as any thread is inside.

    It puts one entry into the list of filters and takes it out again. ``catch_warnings`` would swap
    the whole list for the whole process: with threads, or a caller who does the same meanwhile, the
    wrong list could stay for good.
    """

    ENTRY = ("ignore", None, Warning, re.compile(r"PIL\."), 0)

    def __init__(self) -> None:
        self._begin_anew()
        os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self) -> None:
        # A new process has none of the threads that may be inside, or hold the lock.
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
