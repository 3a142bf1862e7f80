"""Images damaged by chance."""

from __future__ import annotations

import sys
import warnings

import pytest
from hostile import (
    SMALL,
    Edit,
    edits,
    encode,
    mutate,
)
from hostile_files import watchdog  # noqa: F401 (watchdog)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from verydeep.data.images.decode import decode
from verydeep.errors import PictureError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes pipes, sockets and links")


TURNED = Image.Exif()
TURNED[0x0112] = 6


SEEDS = (
    encode(SMALL, "JPEG", exif=TURNED),
    encode(SMALL, "JPEG", progressive=True),
    encode(SMALL, "PNG", exif=TURNED),
    encode(SMALL.quantize(8), "PNG", transparency=2),
    encode(SMALL, "WEBP", lossless=True, exif=TURNED),
    encode(SMALL, "WEBP", save_all=True, append_images=[SMALL.convert("RGBA")]),
    encode(SMALL, "BMP"),
    encode(SMALL.quantize(8), "BMP"),
    encode(SMALL, "GIF", save_all=True, append_images=[SMALL.rotate(180)]),
    encode(SMALL, "TIFF", exif=TURNED),
    encode(SMALL, "TIFF", compression="tiff_lzw"),
    encode(SMALL, "TIFF", compression="tiff_adobe_deflate"),
)


EDITS = edits(SEEDS)


def becomes(data: bytes) -> Image.Image | PictureError:
    try:
        return decode(data, max_pixels=1_000_000)
    except PictureError as error:
        return error


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(SEEDS), st.lists(EDITS, min_size=1, max_size=6))
def test_whatever_is_done_to_a_file(seed: bytes, harm: list[Edit]) -> None:
    """An image in RGB or a PictureError: nothing else is raised, nothing is warned of."""
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        found = becomes(mutate(seed, harm))
    assert not leaked
    if isinstance(found, PictureError):
        assert str(found).startswith("<bytes>: ")
    else:
        assert found.mode == "RGB"
        assert min(found.size) > 0
        assert not found.info
