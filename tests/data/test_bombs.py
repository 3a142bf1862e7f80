"""Files that would unpack to far more than they declare, or take for ever."""

from __future__ import annotations

import re
import struct
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hostile import (
    ENDLESS,
    SMALL,
    VAST,
    chunk,
    empty_pieces,
    encode,
    grey_tiff,
    large_tile,
    many_frames,
    many_scans,
    overlapping_strips,
    png,
    run_lengths,
    tiff,
    vast_webp,
)
from hostile_files import SECONDS, fault, watchdog  # noqa: F401 (watchdog)
from PIL import Image
from tiny import apart

from verydeep.data.images import limits as bounds
from verydeep.data.images.decode import decode
from verydeep.data.images.limits import AT_ONCE, MAX_BYTES, MAX_PIXELS, MAX_SCANS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes pipes, sockets and links")


@pytest.mark.parametrize("bomb", VAST.values(), ids=VAST)
def test_a_declared_size_is_refused(bomb: bytes) -> None:
    assert "make it smaller" in fault(bomb)


@pytest.mark.parametrize("side", [10_000, 16_384])
def test_a_webp_of_a_declared_size_is_refused(side: int) -> None:
    fault(vast_webp(side, side))


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_text_that_unpacks_to_much_is_passed_over(kind: bytes) -> None:
    begin = {b"zTXt": b"k\0\0", b"iTXt": b"k\0\1\0\0\0", b"iCCP": b"k\0\0"}[kind]
    packed = zlib.compress(bytes(50_000_000))
    plain, found = decode(png(4, 4)), decode(png(4, 4, chunk(kind, begin + packed)))
    assert np.array_equal(np.asarray(found), np.asarray(plain))


def test_many_large_texts_are_passed_over() -> None:
    text = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1_000_000)))
    assert decode(png(4, 4, text * 80)).size == (4, 4)


def test_pixels_that_unpack_to_more_than_declared_end_with_the_picture() -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(200_000_000), 1))
    started = time.process_time()
    picture = decode(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND"))
    assert picture.size == (4, 4)
    assert time.process_time() - started < SECONDS


HEAD = re.escape("its header is too long or in too many pieces; save it again")


@pytest.mark.parametrize("bomb", ENDLESS.values(), ids=ENDLESS)
def test_an_endless_header_is_refused(bomb: bytes) -> None:
    assert re.search(f"{HEAD}|chunks allowed", fault(bomb))


def test_pixels_in_too_many_pieces_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "PIXEL_READS", 20_000)
    assert "its data are too long or in too many pieces" in fault(empty_pieces(30_000))


def test_a_jpeg_with_endless_passes_is_refused() -> None:
    assert f"more than the allowed {MAX_SCANS} scans" in fault(many_scans(16, MAX_SCANS + 1))
    assert "more than the allowed 95 scans" in fault(many_scans(3872, 120))


def test_a_jpeg_with_many_passes_is_decoded() -> None:
    assert decode(many_scans(16, 500)).size == (16, 16)


def test_what_lies_behind_a_jpeg_is_no_pass() -> None:
    """Phones append films to images; they hold every pair of bytes."""
    data = encode(SMALL, "JPEG", progressive=True)
    behind = data + b"\xff\xda" * (2 * MAX_SCANS)
    assert np.array_equal(np.asarray(decode(behind)), np.asarray(decode(data)))


def test_strips_that_overlap_are_refused() -> None:
    assert "its parts overlap" in fault(overlapping_strips(20_000))


def test_a_strip_that_is_said_to_be_too_long_is_read() -> None:
    where = (273, 4, 1, 8), (279, 4, 1, 35_000_000)
    picture = decode(tiff(*grey_tiff(4, 4, 1, *where), data=bytes(16)))
    assert picture.size == (4, 4)


def test_a_tile_far_larger_than_its_picture_is_refused() -> None:
    assert "60000x60000" in fault(large_tile())


def test_run_lengths_have_fewer_pixels() -> None:
    """Pillow unpacks them in Python."""
    assert "8,000,000 pixels, more than the allowed 5,592,405" in fault(run_lengths(4000, 2000))


@pytest.mark.parametrize(
    ("kind", "mode", "bits"), [("JPEG", "CMYK", 8), ("PNG", "RGB", 16), ("WEBP", "RGB", 8)]
)
def test_costly_kinds_have_fewer_pixels(
    kind: str, mode: str, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MAX_PIXELS", 16)
    data = encode(Image.new(mode, (4, 4)), kind) if bits == 8 else png(4, 4, bits=16)
    assert "16 pixels, more than the" in fault(data)
    for plain in ("PNG", "TIFF", "JPEG"):
        monkeypatch.setattr(bounds, "MAX_PIXELS", 256)
        assert decode(encode(Image.new("RGB", (16, 16)), plain)).size == (16, 16)


def test_gif_of_thousands_of_frames_costs_one() -> None:
    started = time.process_time()
    assert decode(many_frames(200_000)).size == (4, 4)
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize(
    ("length", "allowed"), [(MAX_BYTES + 1, MAX_BYTES), (AT_ONCE + 1, AT_ONCE)]
)
def test_long_files_are_refused_unread(tmp_path: Path, length: int, allowed: int) -> None:
    path = tmp_path / "a.webp"
    with path.open("wb") as file:
        file.write(b"RIFF\xf0\xff\xff\xffWEBPVP8 " + bytes(20))
        file.truncate(length)  # a hole: it takes no room on the disk
    assert f"{length:,} bytes, more than the allowed {allowed:,}" in fault(path)


def growth(path: Path, out: Path) -> None:
    """Write by how many bytes the memory of this process grows at most while it decodes."""

    def entry(name: str) -> int:
        text = Path("/proc/self/status").read_text("utf-8")
        return 1024 * int(re.search(rf"{name}:\s+(\d+)", text)[1])

    decode(path)
    Path("/proc/self/clear_refs").write_text("5", "utf-8")
    before = entry("VmRSS")
    decode(path)
    out.write_text(str(entry("VmHWM") - before), "utf-8")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory in /proc")
def test_memory_for_a_transparent_picture(tmp_path: Path) -> None:
    """The largest one allowed must stay below a GiB: 12 bytes a pixel."""
    assert 12 * MAX_PIXELS <= 2**30
    path, out = tmp_path / "a.png", tmp_path / "growth"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGBA", (4000, 3000), (1, 2, 3, 4)).save(path, exif=exif, compress_level=1)
    process = apart(growth, path, out)
    process.join()
    assert process.exitcode == 0
    assert int(out.read_text("utf-8")) < 12 * 4000 * 3000


@pytest.mark.parametrize("size", [(3000, 700), (9000, 300), (300, 9000)])
def test_laying_on_white_part_by_part_changes_nothing(size: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    found = np.asarray(decode(encode(Image.fromarray(pixels), "PNG", compress_level=0)))
    colour, opacity = pixels[..., :3].astype(int), pixels[..., 3:].astype(int)
    expected = 255 + (colour - 255) * opacity / 255
    assert np.abs(found - expected).max() <= 1


def test_a_bomb_is_told_the_bound_that_holds() -> None:
    # Pillow's own refusal names twice as many.
    assert fault(VAST["png"]) == (
        "<bytes>: 3,600,000,000 pixels, more than the allowed 89,478,485; make it smaller"
    )
