"""PNG with large texts and profiles: same pixels and orientation, bounded memory."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from verydeep.data.images.decode import decode
from verydeep.errors import PictureError

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
XMP = '<x:xmpmeta tiff:Orientation="6"/>'


def encoded(*, exif: bool = False) -> bytes:
    stream = io.BytesIO()
    turned = Image.Exif()
    turned[0x0112] = 6
    NOISE.save(stream, "PNG", exif=turned if exif else b"")
    return stream.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


PACKED = zlib.compress(bytes(3 * 2**20))
LARGE = {
    "text": chunk(b"tEXt", b"k\0" + b"a" * 2**21),
    "much text": chunk(b"tEXt", b"k\0" + b"a" * 20 * 2**20),
    "packed text": chunk(b"zTXt", b"k\0\0" + PACKED),
    "international text": chunk(b"iTXt", b"k\0\0\0\0\0" + b"a" * 2**21),
    "packed international text": chunk(b"iTXt", b"k\0\1\0\0\0" + PACKED),
    "profile": chunk(b"iCCP", b"k\0\0" + PACKED),
    "broken profile": chunk(b"iCCP", b"k\0\0" + b"no zlib"),
    "broken text": chunk(b"zTXt", b"k\0\0" + b"no zlib"),
    "many texts": chunk(b"tEXt", b"k\0" + b"a" * 60_000) * 1200,
}


@pytest.mark.parametrize("exif", [False, True])
@pytest.mark.parametrize("behind", [False, True], ids=["before the pixels", "behind them"])
@pytest.mark.parametrize("kind", LARGE)
def test_the_pixels_are_read(kind: str, behind: bool, exif: bool) -> None:
    plain = encoded(exif=exif)
    place = len(plain) - 12 if behind else 33
    found = decode(plain[:place] + LARGE[kind] + plain[place:])
    assert np.array_equal(np.asarray(found), np.asarray(decode(plain)))
    assert found.size == ((40, 60) if exif else (60, 40))


def test_a_small_text_still_turns_the_picture() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP)
    info.add_text("prompt", "a" * 2**21)
    stream = io.BytesIO()
    NOISE.save(stream, "PNG", pnginfo=info)
    assert decode(stream.getvalue()).size == (40, 60)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_what_is_cut_off_is_still_refused(share: float) -> None:
    plain = encoded()
    text = LARGE["text"]
    data = plain[:33] + text + plain[33:]
    with pytest.raises(PictureError):
        decode(data[: 33 + len(text) + int(share * len(plain[33:]))])


def test_an_animation_still_gives_its_first_picture() -> None:
    stream = io.BytesIO()
    NOISE.save(stream, "PNG", save_all=True, append_images=[Image.new("RGB", NOISE.size)])
    data = stream.getvalue()
    data = data[:33] + LARGE["text"] + data[33:]
    assert np.array_equal(np.asarray(decode(data)), np.asarray(NOISE))
