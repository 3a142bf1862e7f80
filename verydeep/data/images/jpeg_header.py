"""The header of a regular JPEG, up to its first scan.

A regular JPEG has one frame with 8 bits per channel among well-formed, adjacent segments. All
cameras and programs write such files, and parsers cannot disagree about them.
"""

from __future__ import annotations

from typing import NamedTuple

# Markers of segments: tables, restart interval, application data and comments; then frames,
# baseline to progressive; then a scan.
_PLAIN = frozenset({0xDB, 0xC4, 0xDD, 0xFE, *range(0xE0, 0xF0)})
_BASELINE, _FRAMES = (0xC0, 0xC1), (0xC0, 0xC1, 0xC2)
_SCAN = 0xDA
_EXIF = 0xE1


class JpegHeader(NamedTuple):
    """The size of a JPEG, and whether it can have only one scan.

    A baseline image whose first scan holds all channels has no other: the decoder refuses a
    second.
    """

    width: int
    height: int
    one_pass: bool


def read_header(data: bytes) -> JpegHeader | None:
    """Return the header of a regular JPEG, else None."""
    frame, place = None, 2
    while place + 10 <= len(data) and data[place] == 0xFF:  # the shortest scan header has 10
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4])
        content = data[place + 4 : place + 2 + length]
        if marker == _SCAN:
            if frame is None or not content:
                return None
            kind, sides = frame
            height, width = int.from_bytes(sides[1:3]), int.from_bytes(sides[3:5])
            return JpegHeader(width, height, kind in _BASELINE and content[0] == sides[5])
        if marker in _FRAMES and frame is None and len(content) >= 6 and content[0] == 8:
            frame = marker, content
        elif marker not in _PLAIN or length < 2:
            return None
        place += 2 + length
    return None


def without_exif(data: bytes) -> bytes:
    """Return a regular JPEG without its EXIF blocks, so that no decoder turns the image.

    Args:
        data: A file of which :func:`read_header` returns the header.
    """
    parts, kept, place = [], 0, 2
    while data[place + 1] != _SCAN:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        if data[place + 1] == _EXIF:
            parts.append(data[kept:place])
            kept = end
        place = end
    return b"".join([*parts, data[kept:]])
