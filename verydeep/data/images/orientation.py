"""EXIF orientation: how an image is stored, and how to turn it upright.

``ImageOps.exif_transpose`` would also rewrite the EXIF block, and fail on malformed ones.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from PIL import ExifTags, Image

# Exceptions of Pillow's EXIF parser on malformed blocks.
_MALFORMED = (
    *(SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, OSError),
    struct.error,
)


class Orientation(NamedTuple):
    """The way an image is stored: sides perhaps swapped first, then perhaps mirrored.

    Attributes:
        transpose: Pillow's operation that turns the stored image upright; None if it is upright.
        swap: Whether rows and columns are swapped.
        rows: Whether the stored rows are then in reverse order.
        columns: Whether the stored columns are.
    """

    transpose: Image.Transpose | None = None
    swap: bool = False
    rows: bool = False
    columns: bool = False

    def upright(self, picture: Image.Image) -> Image.Image:
        """Return a stored image turned upright."""
        return picture if self.transpose is None else picture.transpose(self.transpose)


UPRIGHT = Orientation()

_BY_EXIF = {
    2: Orientation(Image.Transpose.FLIP_LEFT_RIGHT, columns=True),
    3: Orientation(Image.Transpose.ROTATE_180, rows=True, columns=True),
    4: Orientation(Image.Transpose.FLIP_TOP_BOTTOM, rows=True),
    5: Orientation(Image.Transpose.TRANSPOSE, swap=True),
    6: Orientation(Image.Transpose.ROTATE_270, swap=True, rows=True),
    7: Orientation(Image.Transpose.TRANSVERSE, swap=True, rows=True, columns=True),
    8: Orientation(Image.Transpose.ROTATE_90, swap=True, columns=True),
}


def orientation_of(picture: Image.Image) -> Orientation:
    """Return the EXIF orientation of an opened image; upright if there is no valid one."""
    try:
        value = picture.getexif().get(ExifTags.Base.Orientation, 1)
        return _BY_EXIF.get(value, UPRIGHT)  # an unhashable value is a TypeError
    except _MALFORMED:
        return UPRIGHT
