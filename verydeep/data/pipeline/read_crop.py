"""Reading of one training crop from a file, without decoding pixels it does not need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from verydeep.data.geometry import Window
from verydeep.data.images.decode import name_of, naming, opened, rgb_of, to_tensor
from verydeep.data.images.fast_jpeg import pixels_of_plain_jpeg, plain_jpeg
from verydeep.data.images.formats import JPEGS
from verydeep.data.images.member import ImageSource
from verydeep.data.images.orientation import Orientation, orientation_of
from verydeep.data.pipeline.augment import Crop, cut, cut_on_device

REDUCED = 2
"""A reduced image keeps a smallest side of at least this many times S."""

_END = b"\xff\xd9"
"""The last marker of a JPEG."""

Draw = Callable[[int, int], Crop]
"""Draw a crop, given the height and width of the upright image."""


def read_crop(
    source: ImageSource | bytes, draw: Draw, *, reduced: bool = True
) -> tuple[Tensor, Crop]:
    """Read an image and cut a crop from it.

    Args:
        source: A file, or the bytes of one.
        draw: Draws the crop, from the size of the whole image.
        reduced: Decode a JPEG far larger than the crop's scale at 1/2, 1/4 or 1/8 of its size, at
            a fraction of the cost.

    Returns:
        Pixels, uint8 (3, h, w), and the crop that was drawn.

    Raises:
        PictureError: As :func:`verydeep.data.images.decode.decode` does, for the same files.
    """
    with naming(source):
        stored = _read(source, draw, reduced)
    return stored.upright(), stored.crop


@dataclass(frozen=True, slots=True)
class CodedCrop:
    """A crop of a JPEG whose pixels are still to be decoded, on a device.

    Attributes:
        place: Index of the image in its batch.
        name: Name of the file, for messages.
        content: The file.
        size: Height and width of the stored image.
        orientation: EXIF orientation.
        crop: The crop, of the upright image.
    """

    place: int
    name: str
    content: bytes
    size: tuple[int, int]
    orientation: Orientation
    crop: Crop

    def cut(self, pixels: Tensor) -> Tensor:
        """Cut the crop from the decoded image, uint8 (3, H, W), on its device.

        Returns:
            uint8 (3, h, w). Values differ by at most 1 from those of :func:`read_crop`.
        """
        part = cut_on_device(pixels, _stored_crop(self.crop, self.orientation))
        return _upright(part, self.orientation, mirrored=self.crop.flip)


def read_coded(source: ImageSource | bytes, draw: Draw, place: int) -> CodedCrop | None:
    """Read a JPEG for decoding on a device and draw its crop; None if it must be decoded here.

    Its header has passed all checks, it is as regular as
    :func:`verydeep.data.images.fast_jpeg.plain_jpeg` demands, has three channels and ends with the
    marker of the end.

    Args:
        source: A file, or the bytes of one.
        draw: Draws the crop, from the size of the whole image.
        place: Index of the image in its batch.

    Raises:
        PictureError: As :func:`read_crop` does, except for broken pixels.
    """
    with naming(source), opened(source) as picture:
        content = plain_jpeg(picture) if picture.mode == "RGB" else None
        # Decoders differ in what they make of a file that breaks off.
        if content is None or not content.endswith(_END):
            return None
        width, height = picture.size
        orientation = orientation_of(picture)
        crop = draw(width, height) if orientation.swap else draw(height, width)
        return CodedCrop(place, name_of(source), content, (height, width), orientation, crop)


def _stored_crop(crop: Crop, orientation: Orientation) -> Crop:
    """Return the place of a crop on the stored image, not mirrored."""
    rescaled, (top, left, height, width) = crop.rescaled, crop.window
    if orientation.swap:
        rescaled = rescaled[::-1]
        top, left, height, width = left, top, width, height
    if orientation.rows:
        top = rescaled[0] - top - height
    if orientation.columns:
        left = rescaled[1] - left - width
    return replace(crop, rescaled=rescaled, window=Window(top, left, height, width), flip=False)


def _upright(part: Tensor, orientation: Orientation, *, mirrored: bool) -> Tensor:
    """Turn a stored crop (3, H, W) upright and perhaps mirror it; cheaper than the whole image."""
    across = 1 if orientation.swap else 2
    flips = [axis for axis, on in ((1, orientation.rows), (2, orientation.columns)) if on]
    if mirrored:
        flips = [axis for axis in (1, 2) if (axis in flips) != (axis == across)]
    part = part.flip(flips) if flips else part
    return part.transpose(1, 2) if orientation.swap else part


@dataclass(frozen=True, slots=True)
class _Stored:
    """An image as stored in the file, perhaps at a reduced size.

    Attributes:
        pixels: uint8 (3, H, W).
        extent: Height and width of the image, in these pixels.
        orientation: EXIF orientation.
        crop: Crop of the upright image.
    """

    pixels: Tensor
    extent: tuple[float, float]
    orientation: Orientation
    crop: Crop

    def upright(self) -> Tensor:
        """Return the crop, upright and perhaps mirrored, uint8 (3, h, w)."""
        part = cut(self.pixels, _stored_crop(self.crop, self.orientation), self.extent)
        return _upright(part, self.orientation, mirrored=self.crop.flip)


def _read(source: ImageSource | bytes, draw: Draw, reduced: bool) -> _Stored:
    with opened(source) as picture:
        is_jpeg = picture.format in JPEGS
        if not is_jpeg:
            picture.load()  # the orientation may follow the pixels
        orientation = orientation_of(picture)
        width, height = picture.size
        extent: tuple[float, float] = height, width
        crop = draw(width, height) if orientation.swap else draw(height, width)
        least = REDUCED * min(crop.rescaled)
        # In other formats a draft may be an embedded thumbnail of unknown origin.
        drafted = picture.draft(None, (least, least)) if reduced and is_jpeg else None
        if drafted:
            extent = drafted[1][3], drafted[1][2]
        pixels = pixels_of_plain_jpeg(picture)
        if pixels is None:
            picture.load()
            pixels = to_tensor(rgb_of(picture))
        return _Stored(pixels, extent, orientation, crop)
