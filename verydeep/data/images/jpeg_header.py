"""What a regular JPEG says of itself before its first pass.

Regular is one frame of 8 bits a channel among well-formed segments, one directly after the other:
what all cameras and programs write, and no two parsers can disagree about.
"""

from __future__ import annotations

from typing import NamedTuple

# Markers of segments: tables, restart interval, applications' data and comments; then frames,
# baseline to progressive; then a pass.
_PLAIN = frozenset({0xDB, 0xC4, 0xDD, 0xFE, *range(0xE0, 0xF0)})
_BASELINE, _FRAMES = (0xC0, 0xC1), (0xC0, 0xC1, 0xC2)
_SCAN = 0xDA


class JpegHeader(NamedTuple):
    """The size of a JPEG, and whether its first pass is all there can be.

    A baseline image whose first pass holds all channels has no more: the library that decodes it
    refuses a second.
    """

    width: int
    height: int
    one_pass: bool


def read_header(data: bytes) -> JpegHeader | None:
    """Return the header of a JPEG; None unless it is regular."""
    frame, place = None, 2
    while place + 10 <= len(data) and data[place] == 0xFF:  # the shortest header of a pass has 10
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4])
        content = data[place + 4 : place + 2 + length]
        if marker == _SCAN:
            return _header(*frame, channels=content[0]) if frame and content else None
        if marker in _FRAMES and frame is None and len(content) >= 6 and content[0] == 8:
            frame = marker, content
        elif marker not in _PLAIN or length < 2:
            return None
        place += 2 + length
    return None


def _header(marker: int, frame: bytes, *, channels: int) -> JpegHeader:
    """Return what a frame says whose first pass holds so many channels."""
    height, width = int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5])
    return JpegHeader(width, height, marker in _BASELINE and channels == frame[5])
