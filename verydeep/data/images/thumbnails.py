"""Thumbnails embedded in pages."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from verydeep.data.images.decode import naming, opened, upright_rgb
from verydeep.data.images.formats import JPEGS
from verydeep.data.images.member import ImageSource
from verydeep.data.volumes.formats import is_volume
from verydeep.data.volumes.read import read_volume

QUALITY = 72
"""JPEG quality of thumbnails."""


def thumbnail(source: ImageSource, size: tuple[int, int]) -> str:
    """Return an upright thumbnail without metadata, as a JPEG in a ``data:`` URL.

    Smaller images keep their size. Large JPEGs are decoded at a reduced size. Of a volume, the
    middle slice along its depth is shown.

    Args:
        source: Location of the image.
        size: Maximum width and height in pixels.

    Raises:
        PictureError: It cannot be read.
    """
    if isinstance(source, Path) and is_volume(source):
        voxels = read_volume(source).voxels
        small = Image.fromarray(np.ascontiguousarray(voxels[len(voxels) // 2]))
    else:
        with naming(source), opened(source) as picture:
            side = max(size)
            if picture.format in JPEGS:
                picture.draft(None, (side, side))
            picture.load()
            small = upright_rgb(picture)
    small.thumbnail(size, Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    small.info = {}  # drop metadata
    small.save(buffer, "JPEG", quality=QUALITY, exif=b"")
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
