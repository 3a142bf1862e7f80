"""From a file to one training crop, without a detour over pixels that the crop does not need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor

from verydeep.data.geometry import Window
from verydeep.data.images.decode import naming, opened, orientation_of, rgb_of, to_tensor
from verydeep.data.images.fast_jpeg import pixels_of_plain_jpeg
from verydeep.data.images.member import ImageSource
from verydeep.data.pipeline.augment import Crop, cut

REDUCED = 2
"""An image decoded at a reduced size keeps a smallest side of at least this many times S."""

_JPEGS = ("JPEG", "MPO")

Draw = Callable[[int, int], Crop]
"""From the height and width of an upright image to what is cut from it."""


def read_crop(
    source: ImageSource | bytes, draw: Draw, *, reduced: bool = True
) -> tuple[Tensor, Crop]:
    """Read an image and cut a crop from it.

    Args:
        source: A file, or what stands in one.
        draw: Draws the crop, from the size that the whole image has.
        reduced: Decode a JPEG far larger than the crop's scale at 1/2, 1/4 or 1/8 of its size,
            which the format allows at a fraction of the cost.

    Returns:
        uint8 (3, h, w) and the crop that was drawn.

    Raises:
        PictureError: As :func:`verydeep.data.images.decode.decode` does, for the same files.
    """
    with naming(source):
        stored = _read(source, draw, reduced)
    part = cut(stored.pixels, stored.turn.back(stored.crop), stored.extent)
    return stored.turn.upright(part, mirrored=stored.crop.flip), stored.crop


class _Turn(NamedTuple):
    """How an image lies in its file: first its sides are swapped, then it is mirrored.

    Only the crop is turned upright; it is the smaller part.
    """

    swap: bool = False
    rows: bool = False
    columns: bool = False

    def back(self, crop: Crop) -> Crop:
        """Return where an upright image's crop lies in the file, not mirrored."""
        rescaled, (top, left, height, width) = crop.rescaled, crop.window
        if self.swap:
            rescaled = rescaled[::-1]
            top, left, height, width = left, top, width, height
        if self.rows:
            top = rescaled[0] - top - height
        if self.columns:
            left = rescaled[1] - left - width
        return replace(crop, rescaled=rescaled, window=Window(top, left, height, width), flip=False)

    def upright(self, part: Tensor, *, mirrored: bool) -> Tensor:
        """Return the crop upright, from what was cut; and mirrored, if it is to be."""
        across = 1 if self.swap else 2
        flips = [axis for axis, on in ((1, self.rows), (2, self.columns)) if on]
        if mirrored:
            flips = [axis for axis in (1, 2) if (axis in flips) != (axis == across)]
        part = part.flip(flips) if flips else part
        return part.transpose(1, 2) if self.swap else part


_UPRIGHT = _Turn()

# By EXIF's orientations.
_TURNS = {
    2: _Turn(columns=True),
    3: _Turn(rows=True, columns=True),
    4: _Turn(rows=True),
    5: _Turn(swap=True),
    6: _Turn(swap=True, rows=True),
    7: _Turn(swap=True, rows=True, columns=True),
    8: _Turn(swap=True, columns=True),
}


@dataclass(frozen=True, slots=True)
class _Stored:
    """An image as it lies in the file, perhaps of a reduced size.

    Attributes:
        pixels: uint8 (3, H, W).
        extent: Height and width of the image, in these pixels.
        turn: How it lies.
        crop: What to cut from the upright image.
    """

    pixels: Tensor
    extent: tuple[float, float]
    turn: _Turn
    crop: Crop


def _read(source: ImageSource | bytes, draw: Draw, reduced: bool) -> _Stored:
    with opened(source) as picture:
        is_jpeg = picture.format in _JPEGS
        if not is_jpeg:
            picture.load()  # how it lies may be said behind the pixels
        turn = _TURNS.get(orientation_of(picture), _UPRIGHT)
        width, height = picture.size
        extent: tuple[float, float] = height, width
        crop = draw(width, height) if turn.swap else draw(height, width)
        least = REDUCED * min(crop.rescaled)
        # Of other kinds a draft may be a thumbnail within the file, made by nobody knows what.
        drafted = picture.draft(None, (least, least)) if reduced and is_jpeg else None
        if drafted:
            extent = drafted[1][3], drafted[1][2]
        pixels = pixels_of_plain_jpeg(picture)
        if pixels is None:
            picture.load()
            pixels = to_tensor(rgb_of(picture))
        return _Stored(pixels, extent, turn, crop)
