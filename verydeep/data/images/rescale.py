"""Rescaling of whole images to a smallest side."""

from __future__ import annotations

from PIL import Image

from verydeep.data.geometry import Rounding, rescaled_size
from verydeep.data.images.limits import MAX_PIXELS
from verydeep.errors import PictureError


def rescale(
    picture: Image.Image,
    scale: int,
    rounding: Rounding = "nearest",
    filter_: Image.Resampling = Image.Resampling.BILINEAR,
) -> Image.Image:
    """Rescale the whole image to a smallest side of ``scale``.

    Raises:
        PictureError: The result would have too many pixels.
    """
    height, width = rescaled_size(picture.height, picture.width, scale, rounding)
    if height * width > MAX_PIXELS:
        raise PictureError(
            f"{picture.width}x{picture.height} would be {width}x{height} pixels at scale {scale}, "
            f"more than {MAX_PIXELS:,}; crop it"
        )
    if (height, width) == (picture.height, picture.width):
        return picture
    return picture.resize((width, height), filter_)
