"""Small images that stand within a page."""

from __future__ import annotations

import base64
import io

from PIL import Image

from verydeep.data.images.decode import naming, opened, upright_rgb
from verydeep.data.images.member import ImageSource

QUALITY = 72
"""Of the small JPEGs."""


def thumbnail(source: ImageSource, size: tuple[int, int]) -> str:
    """Return a small image, upright and without metadata, as a JPEG in a ``data:`` address.

    Smaller images stay as they are. A large JPEG is decoded at a fraction of its size.

    Args:
        source: Where the image is.
        size: Width and height that it fits into, in pixels.

    Raises:
        PictureError: It cannot be read.
    """
    with naming(source), opened(source) as picture:
        side = max(size)
        if picture.format in ("JPEG", "MPO"):
            picture.draft(None, (side, side))
        picture.load()
        small = upright_rgb(picture)
        small.thumbnail(size, Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    small.info = {}  # no metadata travels along
    small.save(buffer, "JPEG", quality=QUALITY, exif=b"")
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
