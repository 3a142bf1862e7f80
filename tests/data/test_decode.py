"""Decoding of every kind of image against pixels computed by hand, and of broken files."""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import struct
import sys
import threading
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from verydeep.data.images.decode import QUIET, decode, to_tensor, upright_size
from verydeep.data.images.formats import SUFFIXES
from verydeep.data.images.inputs import list_pictures
from verydeep.data.images.limits import MAX_PIXELS, Metered
from verydeep.errors import Interrupted, PictureError, printable

GREYS = np.array([[0, 1, 127], [128, 254, 255]], np.uint8)
COLOURS = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[10, 20, 30], [0, 0, 0], [255, 255, 255]]], np.uint8
)
RAMP = np.add.outer(np.arange(16) * 9, np.arange(24) * 4)[..., None] + np.array([0, 10, 20])
SMOOTH = Image.fromarray(RAMP.astype(np.uint8))
LOSSLESS = ("PNG", "WEBP", "BMP", "TIFF")


def encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    if kind == "WEBP":
        options = {"lossless": True, "exact": True} | options
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def pixels(source: bytes | Path) -> np.ndarray:
    picture = decode(source)
    assert picture.mode == "RGB"
    return np.asarray(picture).astype(int)


def in_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2).astype(int)


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int, height: int, *, bits: int, colour: int, data: bytes, between: bytes = b""
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + between + chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def tiff(
    width: int, *, bits: int, data: bytes, white_is_zero: bool = False, orientations: int = 1
) -> bytes:
    """Return one uncompressed row of greys, little-endian; two orientations are one too many."""
    tags = [
        (256, 3, 1, width),
        (257, 3, 1, 1),
        (258, 3, 1, bits),
        (259, 3, 1, 1),
        (262, 3, 1, 0 if white_is_zero else 1),
        (273, 4, 1, 8 + 2 + 12 * 9 + 4),
        (274, 3, orientations, 1 | 1 << 16),
        (278, 3, 1, 1),
        (279, 4, 1, len(data)),
    ]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0" + data


# What each kind of image becomes.


@pytest.mark.parametrize("kind", LOSSLESS)
def test_rgb_is_left_as_it_is(kind: str) -> None:
    assert np.array_equal(pixels(encode(Image.fromarray(COLOURS), kind)), COLOURS)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_jpeg_is_close(options: dict[str, object]) -> None:
    found = pixels(encode(SMOOTH, "JPEG", quality=95, **options))
    assert np.abs(found - RAMP).max() <= 8


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF"])
def test_grey(kind: str) -> None:
    assert np.array_equal(pixels(encode(Image.fromarray(GREYS), kind)), in_rgb(GREYS))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF"])
def test_one_bit(kind: str) -> None:
    bits = np.array([[True, False, True]])
    assert np.array_equal(pixels(encode(Image.fromarray(bits), kind)), in_rgb(bits * 255))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF"])
def test_palette(kind: str) -> None:
    picture = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "L")
    picture.putpalette([200, 10, 0, 0, 200, 10, 10, 0, 200])
    assert picture.mode == "P"
    expected = [[[200, 10, 0], [0, 200, 10], [10, 0, 200]]]
    assert pixels(encode(picture, kind)).tolist() == expected


@pytest.mark.parametrize(("kind", "transparency"), [("PNG", b"\xff\x80\x00"), ("GIF", 2)])
def test_palette_with_transparency_is_laid_on_white(kind: str, transparency: object) -> None:
    picture = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "L")
    picture.putpalette([200, 10, 0, 0, 200, 10, 10, 0, 200])
    found = pixels(encode(picture, kind, transparency=transparency))[0]
    assert found[0].tolist() == [200, 10, 0]
    assert found[2].tolist() == [255, 255, 255]
    half = [127, 227, 132] if kind == "PNG" else [0, 200, 10]  # 255 + 128/255 (c - 255)
    assert np.abs(found[1] - half).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_laid_on_white(kind: str) -> None:
    red = np.array([[[255, 0, 0, 255], [255, 0, 0, 128], [255, 0, 0, 0]]], np.uint8)
    found = pixels(encode(Image.fromarray(red), kind))
    assert np.abs(found - [[[255, 0, 0], [255, 127, 127], [255, 255, 255]]]).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_with_alpha_is_laid_on_white(kind: str) -> None:
    grey = np.array([[[0, 255], [0, 128], [0, 0], [100, 255]]], np.uint8)
    found = pixels(encode(Image.fromarray(grey), kind))
    assert np.abs(found - in_rgb(np.array([[0, 127, 255, 100]]))).max() <= 1


@pytest.mark.parametrize(("mode", "channels"), [("LA", 2), ("RGBA", 4)])
def test_premultiplied_alpha(mode: str, channels: int) -> None:
    dim = Image.new(mode, (2, 2), (32,) * (channels - 1) + (64,))  # grey 128, a quarter opaque
    extra_samples = struct.pack("<HHI", 338, 3, 1)  # its value: 2 is plain alpha, 1 premultiplied
    data = encode(dim, "TIFF").replace(extra_samples + b"\2", extra_samples + b"\1")
    assert np.abs(pixels(data) - (32 + 191)).max() <= 1


def test_one_colour_of_a_png_stands_for_nothing() -> None:
    rgb = encode(Image.fromarray(COLOURS), "PNG", transparency=(10, 20, 30))
    grey = encode(Image.fromarray(GREYS), "PNG", transparency=127)
    assert np.array_equal(pixels(rgb)[1, 0], [255, 255, 255])
    assert np.array_equal(pixels(rgb)[0], COLOURS[0])
    assert np.array_equal(pixels(grey), in_rgb(np.where(GREYS == 127, 255, GREYS)))


WIDE = np.array([[0, 255, 256, 257, 32767, 32768, 65279, 65280, 65535]], np.uint16)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_greys_are_scaled_not_clipped(kind: str) -> None:
    found = pixels(encode(Image.fromarray(WIDE), kind))
    assert found[0, :, 0].tolist() == [0, 0, 1, 1, 127, 128, 254, 255, 255]
    assert np.array_equal(found, in_rgb(found[..., 0]))


def test_16_bit_greys_agree_with_16_bit_colours() -> None:
    greys = b"\0" + WIDE.astype(">u2").tobytes()
    colours = b"\0" + np.repeat(WIDE, 3).astype(">u2").tobytes()
    grey = png(WIDE.size, 1, bits=16, colour=0, data=greys)
    colour = png(WIDE.size, 1, bits=16, colour=2, data=colours)
    assert np.array_equal(pixels(grey), pixels(colour))


def test_16_bit_greys_of_which_one_stands_for_nothing() -> None:
    greys = b"\0" + WIDE.astype(">u2").tobytes()
    key = chunk(b"tRNS", struct.pack(">H", 256))
    found = pixels(png(WIDE.size, 1, bits=16, colour=0, data=greys, between=key))
    assert found[0, :4, 0].tolist() == [0, 0, 255, 1]


def test_12_bit_tiff() -> None:
    assert pixels(tiff(2, bits=12, data=b"\x80\x0f\xff"))[0, :, 0].tolist() == [128, 255]


def test_16_bit_tiff_where_zero_is_white() -> None:
    data = np.array([0, 65535, 256], "<u2").tobytes()
    found = pixels(tiff(3, bits=16, data=data, white_is_zero=True))
    assert found[0, :, 0].tolist() == [255, 0, 254]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind: str) -> None:
    for ink, light in [((0, 0, 0, 0), 255), ((0, 0, 0, 255), 0), ((0, 0, 0, 128), 127)]:
        found = pixels(encode(Image.new("CMYK", (16, 16), ink), kind))
        assert np.abs(found - light).max() <= 1
    cyan = pixels(encode(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), kind))
    assert np.abs(cyan - [0, 255, 255]).max() <= 1


def test_ycbcr_tiff() -> None:
    # R = Y + 1.402 Cr, G = Y - 0.344 Cb - 0.714 Cr, B = Y + 1.772 Cb, where Cb = -28 and Cr = 32.
    found = pixels(encode(Image.new("YCbCr", (2, 2), (120, 100, 160)), "TIFF"))
    assert np.abs(found - [165, 107, 70]).max() <= 1


def test_lab_tiff() -> None:
    for lightness, grey in [(255, 255), (0, 0), (137, 128)]:  # L* = 53.6 is sRGB's 128
        found = pixels(encode(Image.new("LAB", (2, 2), (lightness, 128, 128)), "TIFF"))
        assert np.abs(found - grey).max() <= 2


@pytest.mark.parametrize("values", [np.ones((2, 2), np.float32), np.ones((2, 2), np.int32)])
def test_32_bits_a_channel_are_refused(values: np.ndarray) -> None:
    with pytest.raises(PictureError, match=r"^<bytes>: its channels are 32-bit"):
        decode(encode(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_of_many_frames(kind: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime", "blue")]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    assert np.array_equal(pixels(data), np.full((4, 4, 3), [255, 0, 0]))


def test_phone_picture_with_a_second_one_inside() -> None:
    data = encode(SMOOTH, "MPO", save_all=True, append_images=[Image.new("RGB", (24, 16))])
    assert np.abs(pixels(data) - RAMP).max() <= 8


# Upright.

# What stands in the file for each orientation, from what a person sees.
STORED = {
    1: lambda seen: seen,
    2: np.fliplr,
    3: lambda seen: np.rot90(seen, 2),
    4: np.flipud,
    5: lambda seen: seen.transpose(1, 0, 2),
    6: lambda seen: np.rot90(seen, 1),  # shown after a quarter turn clockwise
    7: lambda seen: np.rot90(seen, 2).transpose(1, 0, 2),
    8: lambda seen: np.rot90(seen, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_orientation(kind: str, orientation: int) -> None:
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](COLOURS)))
    picture = decode(encode(stored, kind, exif=oriented(orientation)))
    assert np.array_equal(np.asarray(picture), COLOURS)
    assert picture.getexif().get(0x0112, 1) == 1
    assert not picture.info


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_sides_and_opened_images_are_upright(kind: str, orientation: int) -> None:
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](COLOURS)))
    data = encode(stored, kind, exif=oriented(orientation))
    assert upright_size(data) == COLOURS.shape[:2]
    with Image.open(io.BytesIO(data)) as opened:
        (given,) = list_pictures(opened)
        assert np.array_equal(np.asarray(given), pixels(data))


@pytest.mark.parametrize("orientation", STORED)
def test_orientation_of_jpeg(orientation: int) -> None:
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](np.asarray(SMOOTH))))
    found = pixels(encode(stored, "JPEG", quality=95, exif=oriented(orientation)))
    assert found.shape == RAMP.shape
    assert np.abs(found - RAMP).max() <= 8


def test_orientation_of_grey_and_transparent() -> None:
    clear = np.dstack([COLOURS, np.full((2, 3), 255, np.uint8)])
    for picture, seen in [(GREYS, in_rgb(GREYS)), (clear, COLOURS)]:
        stored = Image.fromarray(np.ascontiguousarray(np.rot90(picture, 1)))
        assert np.array_equal(pixels(encode(stored, "PNG", exif=oriented(6))), seen)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0nonsense", b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff"]
)
def test_broken_exif_counts_as_none(exif: bytes) -> None:
    assert np.array_equal(pixels(encode(Image.fromarray(COLOURS), "PNG", exif=exif)), COLOURS)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_unknown_orientation_counts_as_upright(orientation: int) -> None:
    data = encode(Image.fromarray(COLOURS), "PNG", exif=oriented(orientation))
    assert np.array_equal(pixels(data), COLOURS)


# Files.


def test_a_file_and_its_bytes_are_the_same_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.misnamed"
    path.write_bytes(encode(SMOOTH, "JPEG"))
    assert np.array_equal(pixels(path), pixels(path.read_bytes()))


def test_suffixes() -> None:
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)
    assert {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"} <= SUFFIXES


def fault(source: Path | bytes) -> str:
    with pytest.raises(PictureError) as caught:
        decode(source)
    name = "<bytes>" if isinstance(source, bytes) else printable(source)
    assert str(caught.value).startswith(f"{name}: ")
    return str(caught.value).removeprefix(f"{name}: ")


def test_missing_file_and_directory(tmp_path: Path) -> None:
    assert fault(tmp_path / "none.png") == "No such file or directory"
    assert fault(tmp_path) == "Is a directory"
    assert "null" in fault(Path("a\0b"))


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "a.png"
    path.touch()
    monkeypatch.setattr(os, "open", refuse)
    assert fault(path) == "Permission denied"


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.touch()
    assert fault(path) == "the file is empty"
    assert fault(b"") == "the file is empty"


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        b"hello",
        b"<svg/>",
        b"qoif" + bytes(14),  # Pillow could read this one
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n",  # and would call Ghostscript for this
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"II*\0",
    ],
)
def test_not_a_picture(data: bytes) -> None:
    assert fault(data).startswith("not an image in one of the formats JPEG, PNG,")


def test_cut_off_picture_says_so() -> None:
    data = encode(SMOOTH, "JPEG")
    assert fault(data[: len(data) // 2]).startswith("broken or truncated (OSError: ")


def test_a_signal_is_not_the_pictures_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise Interrupted

    monkeypatch.setattr(Image, "open", interrupt)
    with pytest.raises(Interrupted):
        decode(b"a")


def test_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", fail)
    assert fault(b"a") == "not enough memory to decode it"


@pytest.mark.skipif(sys.platform != "linux", reason="counts open files in /proc")
def test_files_are_closed(tmp_path: Path) -> None:
    for number, data in enumerate(WHOLE.values()):
        (tmp_path / f"{number}.jpg").write_bytes(data)
        (tmp_path / f"{number}-cut.jpg").write_bytes(data[: len(data) // 2])
    before = len(list(Path("/proc/self/fd").iterdir()))
    kept = [attempt(path) for path in sorted(tmp_path.iterdir())]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert any(kept)


def test_the_picture_outlives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encode(SMOOTH, "JPEG"))
    picture = decode(path)
    path.unlink()
    copy = pickle.loads(pickle.dumps(picture))
    assert np.array_equal(np.asarray(copy), np.asarray(picture))
    assert picture.resize((3, 3)).size == (3, 3)


# Size.


@pytest.mark.parametrize(
    ("width", "height"),
    [(60_000, 60_000), (2**31 - 1, 2**31 - 1), (10_000, 9_000), (1, MAX_PIXELS + 1)],
)
def test_pixel_bomb_is_refused_at_its_header(
    width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = png(width, height, bits=8, colour=2, data=bytes(1000))
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)  # to call it would be another fault
    start = time.perf_counter()
    assert "make it smaller" in fault(bomb)
    assert time.perf_counter() - start < 1


def test_the_limit_is_exact() -> None:
    data = encode(SMOOTH, "PNG")
    assert decode(data, max_pixels=24 * 16).size == (24, 16)
    with pytest.raises(PictureError, match=r"24x16 is 384 pixels, more than the allowed 383"):
        decode(data, max_pixels=24 * 16 - 1)


def test_default_limit_is_pillows_warning() -> None:
    assert MAX_PIXELS == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0)])
def test_no_pixels(width: int, height: int) -> None:
    assert fault(png(width, height, bits=8, colour=2, data=b""))


# Warnings and global state.

TWO_ORIENTATIONS = tiff(1, bits=8, data=b"\x7f", orientations=2)


def test_pillow_would_warn() -> None:
    with pytest.warns(UserWarning, match="too many entries"):
        Image.open(io.BytesIO(TWO_ORIENTATIONS)).load()


def test_no_warning_gets_out() -> None:
    huge = png(10_000, 9_000, bits=1, colour=0, data=b"")
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        assert np.array_equal(pixels(TWO_ORIENTATIONS), [[[127] * 3]])
        with pytest.raises(PictureError, match="broken or truncated"):
            decode(huge, max_pixels=2 * MAX_PIXELS)
    assert not leaked


def test_filters_of_warnings_survive_threads() -> None:
    data = [*WHOLE.values(), *(whole[:-20] for whole in WHOLE.values())] * 5
    before = warnings.filters
    copy = list(before)
    threads = [threading.Thread(target=lambda: [attempt(d) for d in data]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters is before
    assert warnings.filters == copy


def test_pillows_settings_are_left_alone() -> None:
    fault(encode(SMOOTH, "PNG")[:-40])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    assert Image.MAX_IMAGE_PIXELS == 89_478_485


# Broken files.

ALPHA = SMOOTH.convert("RGBA")
WHOLE = {
    "jpeg": encode(SMOOTH, "JPEG"),
    "jpeg turned": encode(SMOOTH, "JPEG", exif=oriented(6)),
    "jpeg progressive": encode(SMOOTH, "JPEG", progressive=True),
    "jpeg cmyk": encode(SMOOTH.convert("CMYK"), "JPEG"),
    "jpeg twice": encode(SMOOTH, "MPO", save_all=True, append_images=[SMOOTH]),
    "png": encode(SMOOTH, "PNG"),
    "png turned": encode(SMOOTH, "PNG", exif=oriented(8)),
    "png alpha": encode(ALPHA, "PNG"),
    "png palette": encode(SMOOTH.quantize(16), "PNG", transparency=3),
    "png animated": encode(SMOOTH, "PNG", save_all=True, append_images=[ALPHA]),
    "png 16": encode(Image.fromarray(RAMP[..., 0].astype(np.uint16)), "PNG"),
    "webp": encode(SMOOTH, "WEBP", lossless=False),
    "webp lossless": encode(ALPHA, "WEBP", exif=oriented(3)),
    "webp animated": encode(SMOOTH, "WEBP", save_all=True, append_images=[ALPHA]),
    "bmp": encode(SMOOTH, "BMP"),
    "bmp palette": encode(SMOOTH.quantize(16), "BMP"),
    "gif": encode(SMOOTH, "GIF"),
    "gif animated": encode(SMOOTH, "GIF", save_all=True, append_images=[ALPHA]),
    "tiff": encode(SMOOTH, "TIFF", exif=oriented(5)),
    "tiff lzw": encode(SMOOTH, "TIFF", compression="tiff_lzw"),
    "tiff deflate": encode(ALPHA, "TIFF", compression="tiff_adobe_deflate"),
    "tiff jpeg": encode(SMOOTH, "TIFF", compression="jpeg"),
    "tiff fax": encode(SMOOTH.convert("1"), "TIFF", compression="group4"),
    "tiff big": encode(SMOOTH, "TIFF", big_tiff=True),
}


def attempt(source: bytes | Path) -> bool:
    """Decode, and tell whether it succeeded; any way out but the two promised ones is a fault."""
    try:
        picture = decode(source, max_pixels=1_000_000)
    except PictureError:
        return False
    assert picture.mode == "RGB"
    assert picture.width * picture.height > 0
    return True


@pytest.mark.parametrize("kind", WHOLE)
def test_cut_off_anywhere(kind: str) -> None:
    """An image comes out whole (what was cut off is not part of it) or not at all."""
    data = WHOLE[kind]
    whole = pixels(data)
    for end in range(0, len(data), max(1, len(data) // 150)):
        if attempt(data[:end]):
            assert np.array_equal(pixels(data[:end]), whole)


@settings(max_examples=600, deadline=None)
@given(
    data=st.sampled_from(list(WHOLE.values())),
    edits=st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 255)), min_size=1, max_size=8),
    end=st.integers(0, 4000),
)
def test_random_damage(data: bytes, edits: list[tuple[int, int]], end: int) -> None:
    broken = bytearray(data)
    for position, value in edits:
        # Half of the edits hit the header, where they do the most harm.
        broken[position % (len(data) if position % 2 else min(len(data), 200))] = value
    attempt(bytes(broken[: max(end, 10)]))


@settings(max_examples=200, deadline=None)
@given(
    start=st.sampled_from([b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF", b"BM", b"GIF89a"]),
    rest=st.binary(max_size=300),
)
def test_random_bytes_behind_a_signature(start: bytes, rest: bytes) -> None:
    attempt(start + rest)


# Tensors.


def test_to_tensor_is_a_copy_of_its_own() -> None:
    picture = Image.fromarray(COLOURS)
    tensor = to_tensor(picture)
    assert tensor.dtype == torch.uint8
    assert tensor.shape == (3, 2, 3)
    assert np.array_equal(tensor.permute(1, 2, 0).numpy(), COLOURS)
    tensor.zero_()
    assert np.array_equal(np.asarray(picture), COLOURS)
    assert np.array_equal(to_tensor(picture).permute(1, 2, 0).numpy(), COLOURS)


def decode_in_a_process(path: Path) -> None:
    assert decode(path).size == (9, 9)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        decode(path)
        warnings.warn("heard again", UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["heard again"]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("where", ["quiet", "content"])
def test_a_process_forked_while_a_thread_decodes_waits_for_nobody(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers of files are forked, and threads may read ahead at that moment."""
    Image.new("RGB", (9, 9), "red").save(tmp_path / "a.jpg", progressive=True)
    inside, go_on = threading.Event(), threading.Event()
    thread_of_test = threading.current_thread()
    read = Metered.read

    def slow(self: Metered, size: int | None = -1, /) -> bytes:
        if threading.current_thread() is not thread_of_test and size == -1:
            inside.set()
            go_on.wait(60)
        return read(self, size)

    def hold() -> None:
        if where == "content":
            decode(tmp_path / "a.jpg")
            return
        with QUIET, QUIET._lock:
            inside.set()
            go_on.wait(60)

    monkeypatch.setattr(Metered, "read", slow)
    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert inside.wait(60)
        child = multiprocessing.get_context("fork").Process(
            target=decode_in_a_process, args=(tmp_path / "a.jpg",)
        )
        child.start()
        child.join(30)
        alive = child.is_alive()
        child.kill()
    finally:
        go_on.set()
        thread.join()
    assert not alive
    assert child.exitcode == 0
