"""AVIF, HEIC and others: read by content, upright, within limits, or refused with a remedy."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from verydeep.data.images import decode as decoding
from verydeep.data.images.decode import decode, upright_size
from verydeep.data.images.formats import SUFFIXES, box_format, remedy
from verydeep.errors import PictureError

pillow_heif = pytest.importorskip("pillow_heif")
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")


def halves(height: int = 64, width: int = 96) -> Image.Image:
    """Return an image that is red above and blue below."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, :, 0], pixels[height // 2 :, :, 2] = 250, 250
    return Image.fromarray(pixels)


def heic(picture: Image.Image, **options: Any) -> bytes:
    stream = io.BytesIO()
    pillow_heif.from_pillow(picture).save(stream, format="HEIF", quality=90, **options)
    return stream.getvalue()


def avif(picture: Image.Image, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "AVIF", quality=90, **options)
    return stream.getvalue()


MADE = {"heic": heic, "avif": avif} if features.check("avif") else {"heic": heic}


@pytest.fixture(params=MADE)
def encode(request: pytest.FixtureRequest) -> Any:
    return MADE[request.param]


def apart(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, np.int64) - np.asarray(other, np.int64)).mean())


@pytest.mark.parametrize("name", ["1.heic", "1.jpg", "1"])
def test_they_are_read_by_their_content(encode: Any, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(encode(halves()))
    found = decode(path)
    assert (found.mode, found.size, found.info) == ("RGB", (96, 64), {})
    assert apart(found, halves()) < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_they_are_turned_once(encode: Any, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(halves(), exif=exif.tobytes())
    stream = io.BytesIO()
    halves().save(stream, "PNG", exif=exif)
    expected = decode(stream.getvalue())
    found = decode(data)
    assert found.size == expected.size
    assert upright_size(data) == expected.size[::-1]
    assert apart(found, expected) < 4


def test_what_is_transparent_is_laid_on_white(encode: Any) -> None:
    clear = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    assert np.asarray(decode(encode(clear))).min() > 250


def test_grey_ones_are_read(encode: Any) -> None:
    assert apart(decode(encode(halves().convert("L"))), halves().convert("L").convert("RGB")) < 4


@pytest.mark.parametrize("end", [20, 200, -400, -10])
def test_what_is_cut_off_is_refused(encode: Any, end: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    with pytest.raises(PictureError):
        decode(encode(Image.fromarray(noise))[:end])


def test_too_many_pixels_are_refused_before_they_are_decoded(
    encode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image.Image, "convert", None)
    with pytest.raises(PictureError, match="96x64 is 6,144 pixels"):
        decode(encode(halves()), max_pixels=6000)


def test_a_size_that_the_picture_itself_does_not_have_is_not_believed(encode: Any) -> None:
    data = encode(halves(640, 960))
    place = data.index(b"ispe") + 8
    lie = data[:place] + bytes([0, 0, 0, 64] * 2) + data[place + 8 :]
    try:
        assert decode(lie).size == (64, 64)  # as libavif takes it
    except PictureError as refusal:
        assert "limit" in str(refusal)  # noqa: PT017 - libheif refuses


def test_of_several_the_primary_is_read() -> None:
    file = pillow_heif.from_pillow(Image.new("RGB", (64, 64), "red"))
    file.add_from_pillow(halves())
    stream = io.BytesIO()
    file.save(stream, format="HEIF", primary_index=1)
    assert decode(stream.getvalue()).size == (96, 64)


@needs_avif
def test_of_an_animation_the_first_is_read() -> None:
    data = avif(halves(), save_all=True, append_images=[Image.new("RGB", (96, 64), "white")])
    assert apart(decode(data), halves()) < 4


def test_ten_bits_become_eight() -> None:
    values = np.full((64, 64, 3), 0xC000, np.uint16)
    file = pillow_heif.from_bytes("RGB;16", (64, 64), values.tobytes())
    stream = io.BytesIO()
    file.save(stream, quality=-1, chroma=444)
    assert abs(int(np.asarray(decode(stream.getvalue())).mean()) - 0xC0) <= 2


def test_heic_without_the_extra_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    data = heic(halves())
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(PictureError, match=r"pip install 'verydeep\[heic\]'"):
        decode(data)


def test_pillows_registry_stays_as_it_is() -> None:
    decode(heic(halves()))
    assert "HEIF" not in Image.OPEN


def test_a_film_is_no_picture() -> None:
    film = b"\0\0\0\x18ftypisom\0\0\0\0mp42" + bytes(100)
    assert box_format(film) == "a video"
    with pytest.raises(PictureError, match="not an image"):
        decode(film)


@pytest.mark.parametrize("kind", ["P1", "P2", "P3", "P4", "P5", "P6"])
def test_portable_maps_are_read(kind: str) -> None:
    body = {
        "P1": b"2 1\n0 1\n",
        "P2": b"2 1 255\n255 0\n",
        "P3": b"2 1 255\n255 255 255 0 0 0\n",
        "P4": b"2 1\n\x40",
        "P5": b"2 1 65535\n\xff\xff\0\0",
        "P6": b"2 1 255\n\xff\xff\xff\0\0\0",
    }[kind]
    found = np.asarray(decode(kind.encode() + b"\n" + body))
    assert found.tolist() == [[[255] * 3, [0] * 3]]


def test_a_vast_map_in_text_is_refused_at_its_header() -> None:
    with pytest.raises(PictureError, match="make it smaller"):
        decode(b"P3\n4000 4000 255\n" + b"1 " * 100)


def test_every_ending_is_known_once_and_in_lower_case() -> None:
    assert {".jpe", ".jfif", ".webp", ".bmp", ".tif", ".gif", ".ppm"} <= SUFFIXES
    assert all(suffix == suffix.lower() for suffix in SUFFIXES)
    assert "verydeep[heic]" in remedy([".heic"]) or ".heic" in SUFFIXES
    assert "convert" in remedy([".cr2", ".dng"])
    assert not remedy([".jpg", ".txt", ".mp4"])


def test_the_head_is_long_enough_for_the_brands_that_cameras_write() -> None:
    data = heic(halves())
    assert box_format(data[: decoding.HEAD]) == "HEIC"
