"""Images that ask for more than they hold: small files that would cost minutes or gigabytes."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from verydeep.data.images.limits import MAX_SCANS

SMALL = Image.fromarray(np.arange(16 * 24 * 3, dtype=np.uint8).reshape(16, 24, 3))
HUGE = 60_000


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *between: bytes, bits: int = 8, colour: int = 2) -> bytes:
    """Return a PNG that declares a size and holds the zeros of at most 4x4 pixels."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    pixels = zlib.compress(bytes(min(height, 4) * (1 + min(width, 4) * 3)))
    body = chunk(b"IHDR", header) + b"".join(between) + chunk(b"IDAT", pixels)
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND")


def tiff(*tags: tuple[int, int, int, int], data: bytes = b"") -> bytes:
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    place = struct.pack("<I", 8 + len(data))
    return b"II*\0" + place + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def grey_tiff(width: int, height: int, compression: int, *tags: tuple[int, int, int, int]) -> Any:
    return (
        *((256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, compression)),
        *((262, 3, 1, 1), (277, 3, 1, 1)),
        *tags,
    )


def encode(picture: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def vast_webp(width: int, height: int) -> bytes:
    """Return the head of an animated WEBP of that size."""
    size = b"".join(struct.pack("<I", side - 1)[:3] for side in (width, height))
    return b"RIFF" + struct.pack("<I", 1000) + b"WEBPVP8X\x0a\0\0\0\x12\0\0\0" + size + bytes(970)


def flat_gif(width: int, height: int) -> bytes:
    size = struct.pack("<HH", width, height)
    return b"GIF89a" + size + b"\0\0\0,\0\0\0\0" + size + b"\0\2\1\0\0;"


def many_scans(side: int, count: int) -> bytes:
    """Return a progressive JPEG whose last pass comes again and again."""
    data = encode(Image.new("L", (side, side)), "JPEG", progressive=True)
    place = data.rindex(b"\xff\xda")
    return data[:place] + data[place:-2] * count + data[-2:]


def more_passes(side: int, count: int) -> bytes:
    """Return a baseline JPEG whose only pass comes again and again."""
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), "JPEG")
    place = data.rindex(b"\xff\xda")
    return data[:place] + data[place:-2] * count + data[-2:]


def empty_pieces(count: int) -> bytes:
    """Return a PNG whose pixels come in that many pieces without content."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT") * count


def overlapping_strips(rows: int) -> bytes:
    """Return a TIFF each of whose rows is the same bytes, which unpack to far more than one."""
    strip = bytes([0x80]) * 20_000 + b"\0\7"
    places = struct.pack("<I", 8) * rows
    lengths = struct.pack("<I", len(strip)) * rows
    tags = grey_tiff(1, rows, 32773, (278, 3, 1, 1))
    where = (273, 4, rows, 8 + len(strip)), (279, 4, rows, 8 + len(strip) + len(places))
    return tiff(*tags, *where, data=strip + places + lengths)


def large_tile() -> bytes:
    """Return a TIFF of 4x4 pixels in a tile of 60000x60000."""
    sides = (322, 4, 1, HUGE), (323, 4, 1, HUGE), (324, 4, 1, 8), (325, 4, 1, 9)
    return tiff(*grey_tiff(4, 4, 8, *sides), data=bytes(9))


def run_lengths(width: int, height: int) -> bytes:
    """Return a BMP in run lengths, of which there are none."""
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 4, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1082, 0, 0, 1078) + head + bytes(1024) + b"\0\1\0\1"


def many_frames(count: int) -> bytes:
    """Return a GIF of that many frames."""
    frame = b",\0\0\0\0\4\0\4\0\0\2\2\x84\x51\0"
    return b"GIF89a\4\0\4\0\x80\0\0\0\0\0\xff\xff\xff" + frame * count + b";"


MANY = 300_000

VAST: dict[str, bytes] = {
    "png": png(HUGE, HUGE),
    "png line": png(2**31 - 1, 1),
    "gif": flat_gif(HUGE, HUGE),
    "tiff": tiff(*grey_tiff(HUGE, HUGE, 1, (273, 4, 1, 8), (279, 4, 1, 9)), data=bytes(9)),
    "tiff deflate": tiff(*grey_tiff(HUGE, HUGE, 8, (273, 4, 1, 8), (279, 4, 1, 9)), data=bytes(9)),
}
"""Headers that declare too many pixels."""

ENDLESS: dict[str, bytes] = {
    "png chunks": png(4, 4, chunk(b"abCd") * MANY),
    "jpeg padding": b"\xff\xd8" + b"\xff" * MANY,
    "jpeg junk": b"\xff\xd8\xff\xe0\0\2" + bytes(MANY),
    "jpeg exif": b"\xff\xd8" + (b"\xff\xe1\xff\xf2Exif\0\0" + bytes(65_514)) * 400,
    "gif comment": b"GIF89a\4\0\4\0\0\0\0!\xfe" + b"\1a" * MANY + b"\0,",
    "tiff tags": tiff(
        *grey_tiff(4, 4, 1, (273, 4, 1, 8), (279, 4, 1, 16)),
        *[(40_000 + number, 7, 1_000_000, 8) for number in range(3000)],
        data=bytes(40_000_000),
    ),
}
"""Headers that a parser would work on for minutes."""

OTHERS: dict[str, Callable[[], bytes]] = {
    "webp": lambda: vast_webp(16_384, 16_384),
    "text": lambda: png(4, 4, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(50_000_000)))),
    "passes": lambda: many_scans(16, MAX_SCANS + 1),
    "passes for the size": lambda: many_scans(3872, 120),
    "baseline passes": lambda: more_passes(400, 200),
    "many passes": lambda: many_scans(16, 500),
    "strips": lambda: overlapping_strips(20_000),
    "tile": large_tile,
    "run lengths": lambda: run_lengths(4000, 2000),
    "frames": lambda: many_frames(200_000),
    "pieces": lambda: empty_pieces(30_000),
    "sound": lambda: encode(SMALL, "JPEG"),
}
"""More of all kinds; a few are sound, and the pieces if 30,000 are allowed."""


Edit = tuple[str, float, Any]
"""A kind of damage, where as a share of the file, and with what."""


def edits(seeds: Sequence[bytes]) -> st.SearchStrategy[Edit]:
    """Return what can be done to a file, parts of other ones included."""
    places = st.floats(0, 1, exclude_max=True)
    return st.one_of(
        st.tuples(st.just("flip"), places, st.integers(0, 7)),
        st.tuples(st.just("set"), places, st.sampled_from([0, 1, 127, 128, 255])),
        st.tuples(st.just("cut"), places, st.integers(1, 64)),
        st.tuples(st.just("insert"), places, st.binary(min_size=1, max_size=16)),
        st.tuples(st.just("splice"), places, st.tuples(st.sampled_from(seeds), places)),
        st.tuples(st.just("repeat"), places, st.integers(1, 64)),
    )


def mutate(data: bytes, harm: list[Edit]) -> bytes:
    for kind, where, what in harm:
        # The square puts most edits into the header, where they do the most harm.
        place = int(where**2 * len(data))
        before, after = data[:place], data[place:]
        match kind:
            case "flip" if after:
                data = before + bytes([after[0] ^ 1 << what]) + after[1:]
            case "set" if after:
                data = before + bytes([what]) + after[1:]
            case "cut":
                data = before + after[what:]
            case "insert":
                data = before + what + after
            case "repeat":
                data = before + after[:what] * 2 + after[what:]
            case "splice":
                other, begin = what
                data = before + other[int(begin * len(other)) :]
    return data
