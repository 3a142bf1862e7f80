"""PNG files without large texts and colour profiles, which do not affect pixels.

Programs write megabytes of text into PNG files (editor settings, generator prompts), and a profile
of a few kilobytes may decompress to gigabytes. Pillow refuses both, and its limits can be changed
only for the whole process. So these chunks are removed before Pillow sees them. Small texts stay:
some contain the orientation.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from verydeep.data.images.limits import Metered

SIGNATURE = b"\x89PNG\r\n\x1a\n"

MOST_TEXT, ALL_TEXT = 2**16, 2**20
"""Maximum decompressed bytes of a text that is kept, and of all texts together."""

MOST_CHUNKS = 2**18
"""Maximum number of chunks to inspect; programs write one per 8 KiB or more."""

_TEXTS, _PROFILE = (b"tEXt", b"zTXt", b"iTXt"), b"iCCP"

Span = tuple[int, int]
"""Start and end offset of a part of a file."""


def spans_without_text(stream: Metered) -> list[Span] | None:
    """Return the parts of a PNG to keep; None to keep all of it.

    Args:
        stream: The file; rewound afterwards.
    """
    spans, begin, texts, dropped = list[Span](), 0, 0, False
    for place, length, kind in _chunks(stream):
        text = _text_in(stream, place, length, kind) if kind in _TEXTS else 0
        if kind == _PROFILE or text > MOST_TEXT or texts + text > ALL_TEXT:
            spans.append((begin, place))
            begin, dropped = place + length, True
        else:
            texts += text
    stream.seek(0)
    spans.append((begin, stream.length))
    return [span for span in spans if span[0] < span[1]] if dropped else None


def _chunks(stream: Metered) -> Iterator[tuple[int, int, bytes]]:
    """Yield the offset, total length and type of each chunk."""
    place = len(SIGNATURE)
    for _ in range(MOST_CHUNKS):
        stream.seek(place)
        head = io.BufferedReader.read(stream, 8)  # not metered: nothing is kept
        length = int.from_bytes(head[:4]) + 12
        if len(head) < 8 or place + length > stream.length:  # truncated: Pillow reports it
            return
        yield place, length, head[4:]
        place += length


def _text_in(stream: Metered, place: int, length: int, kind: bytes) -> int:
    """Return the decompressed size of a text in bytes, or a number above the limit."""
    if length > MOST_TEXT or kind == b"tEXt":
        return length
    stream.seek(place + 8)
    content = io.BufferedReader.read(stream, length - 12)
    _, zero, rest = content.partition(b"\0")
    if kind == b"iTXt":
        if rest[:1] != b"\1":
            return length
        rest = b"\0".join(rest[2:].split(b"\0", 2)[2:])
        return _unpacked(rest)
    return _unpacked(rest[1:]) if zero else length


def _unpacked(data: bytes) -> int:
    try:
        return len(zlib.decompressobj().decompress(data, MOST_TEXT + 1))
    except zlib.error:  # Pillow treats it as empty
        return len(data)


class Spans(io.RawIOBase):
    """Parts of a file, concatenated.

    Args:
        stream: The file.
        spans: Its parts, in order.
    """

    def __init__(self, stream: BinaryIO, spans: list[Span]) -> None:
        super().__init__()
        self._stream, self._spans, self._place = stream, spans, 0
        self.length = sum(end - begin for begin, end in spans)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.length}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: object, /) -> int:
        """Read from the part at the current position."""
        view = cast(memoryview, memoryview(buffer))  # type: ignore[arg-type]
        place = self._place
        for begin, end in self._spans:
            if place < end - begin:
                self._stream.seek(begin + place)
                data = io.BufferedReader.read(
                    cast(io.BufferedReader, self._stream), min(len(view), end - begin - place)
                )
                view[: len(data)] = data
                self._place += len(data)
                return len(data)
            place -= end - begin
        return 0
