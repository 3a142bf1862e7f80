"""What one file may cost: bounds that hold before the time or the memory is spent.

The pixels that a file declares are not all that it can ask for. A few kilobytes may hold a thousand
passes over one image, and a header a million empty pieces; Pillow's parsers would work on them
for minutes. The bounds here lie far above what cameras and programs write, and low enough for any
file to end within about two seconds and a GiB.
"""

from __future__ import annotations

import io
import os
import re
from itertools import islice
from typing import BinaryIO, cast

from PIL import ExifTags, Image, ImageFile

from verydeep.data.images.jpeg_header import read_header
from verydeep.data.images.member import ImageSource, Member
from verydeep.data.images.png_text import Spans, spans_without_text
from verydeep.data.images.regular_file import open_regular
from verydeep.errors import PictureError, PictureTooLarge

MAX_PIXELS = 89_478_485
"""The most pixels that are decoded; Pillow's own level of warning, a quarter GiB in RGB."""

LONGEST = 32
"""The most that the longer side of an image is, in shorter ones.

Rescaled to a smallest side of 256, an image of 1x20000 would have 1.3 billion pixels.
"""

MAX_BYTES = 2**29
"""The most bytes of a file: the most pixels, with 48 bits each and without compression."""

HEADER_READS, HEADER_BYTES = 2**14, 2**24
"""What may be read before the pixels: pieces, and bytes in pieces."""

PIXEL_READS = 2**20
"""Pieces that the pixels may be read in; a parser in Python takes about a second for them."""

AT_ONCE = 2**26
"""The most bytes of a file that is read at once: WEBP, AVIF and HEIC, with several copies."""

MAX_SCANS = 1000
"""The most passes of a progressive JPEG; programs write about ten."""

_JPEGS = ("JPEG", "MPO")

# The next marker of a JPEG: not an escaped 255, a restart within a scan, or padding.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")
_END, _SCAN = b"\xd9", b"\xda"

# Three times as quick as to count them.
_SCAN_ANYWHERE = re.compile(rb"\xff\xda")


_read = io.BufferedReader.read  # found sooner than by super(), forty times a header


class Metered(io.BufferedReader):
    """A file that is read only so often and so much.

    Args:
        raw: What to read.
        length: Its bytes.
    """

    def __init__(self, raw: BinaryIO, length: int) -> None:
        super().__init__(cast(io.RawIOBase, raw))
        self.length = length
        self._in_header = True
        self._content: bytes | None = None
        self._reads, self._bytes = HEADER_READS, HEADER_BYTES

    def end_of_header(self) -> None:
        """Allow what it takes to read the pixels."""
        self._in_header = False
        self._reads, self._bytes = PIXEL_READS, HEADER_BYTES + 2 * self.length

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, as long as the bounds allow it.

        Raises:
            PictureError: It was read too often or too much.
        """
        whole = size is None or size < 0
        if whole and self._in_header and self.length > AT_ONCE:
            raise PictureTooLarge(
                f"{self.length:,} bytes, more than the {AT_ONCE:,} allowed; save it as JPEG or PNG"
            )
        data = _read(self, size)
        self._reads -= 1
        if not whole:
            self._bytes -= len(data)
        if self._reads < 0 or self._bytes < 0:
            what = "what stands before its pixels is" if self._in_header else "its data are"
            raise PictureError(f"{what} too long, or in too many pieces; save it anew")
        return data

    @property
    def content(self) -> bytes:
        """Everything, kept for the next to ask; to be used once the header has been read."""
        # Not a cached_property: until Python 3.12 that has one lock for all files, which a process
        # that is forked while another thread reads would wait for without end.
        if self._content is None:
            place = self.tell()
            self.seek(0)
            self._content = self.read()
            self.seek(place)
        return self._content


def open_metered(source: ImageSource | bytes) -> Metered:
    """Open an image's file, or its bytes, or what holds them.

    Raises:
        PictureTooLarge: It has too many bytes.
        OSError: It cannot be opened, or is no regular file.
    """
    if isinstance(source, Member):
        source = source.read()
    if isinstance(source, bytes):
        return Metered(io.BytesIO(source), _checked(len(source)))
    file = open_regular(source)
    try:
        return Metered(file, _checked(os.fstat(file.fileno()).st_size))
    except PictureTooLarge:
        file.close()
        raise


def _checked(length: int) -> int:
    if length > MAX_BYTES:
        raise PictureTooLarge(
            f"{length:,} bytes, more than the {MAX_BYTES:,} allowed; make it smaller"
        )
    return length


def plain_png(stream: Metered) -> Metered:
    """Return a PNG without the texts and profiles that it need not have; see ``png_text``."""
    spans = spans_without_text(stream)
    if spans is None:
        return stream
    parts = Spans(stream, spans)
    return Metered(cast(BinaryIO, parts), parts.length)


def check_sides(width: int, height: int) -> None:
    """Refuse an image so thin that rescaling it would make millions of pixels of few.

    Raises:
        PictureTooLarge: It is.
    """
    shorter, longer = sorted((width, height))
    if longer > LONGEST * shorter:
        raise PictureTooLarge(
            f"{width}x{height}: its sides are 1:{longer / max(1, shorter):,.0f}, more than the "
            f"1:{LONGEST} allowed; cut it into pieces"
        )


def check_size(picture: ImageFile.ImageFile, max_pixels: int) -> None:
    """Refuse an opened image that has too many pixels for its kind.

    Raises:
        PictureTooLarge: It has.
    """
    width, height = picture.size
    share = _share(picture)
    allowed = max_pixels if share is None else min(max_pixels, int(share * MAX_PIXELS))
    if width * height > allowed:
        raise PictureTooLarge(
            f"{width}x{height} is {width * height:,} pixels, more than the {allowed:,} "
            "allowed; make it smaller"
        )


def _share(picture: ImageFile.ImageFile) -> float | None:
    """Return the share of :data:`MAX_PIXELS` that stays within the bounds; None for plain kinds."""
    if picture.format == "BMP" and picture.info.get("compression") in (1, 2):
        return 1 / 16  # Pillow unpacks run lengths in Python
    if picture.format == "PPM" and picture.tile[0][0] != "raw":
        return 1 / 512  # text, or values up to another number than 255: likewise, one by one
    if picture.format in ("AVIF", "HEIF"):
        return 3 / 4
    if picture.format == "WEBP":
        return 3 / 8  # five copies at a time
    colours_of_16_bits = picture.mode in ("RGB", "RGBA") and ";16" in _raw_mode(picture)
    if colours_of_16_bits or picture.mode == "LAB":
        return 1 / 2
    passes_of_cmyk = picture.format in _JPEGS and picture.mode == "CMYK"
    return 3 / 4 if passes_of_cmyk or picture.has_transparency_data else None


def _raw_mode(picture: Image.Image) -> str:
    """Return how the pixels lie in the file, as Pillow writes it: ``RGB;16B``."""
    tiles = getattr(picture, "tile", None)
    how = tiles[0][3] if tiles else ""
    return str(how[0] if isinstance(how, tuple) and how else how)


def check_scans(picture: Image.Image, stream: Metered) -> None:
    """Refuse a JPEG whose passes are too many for its size.

    Raises:
        PictureError: They are.
    """
    if picture.format not in _JPEGS:
        return
    header = read_header(stream.content)
    if header and header.one_pass:
        return
    pixels = max(1, picture.width * picture.height)
    allowed = min(MAX_SCANS, 16 * MAX_PIXELS // pixels)
    if _has_more_scans(stream.content, allowed):
        raise PictureError(f"more than the {allowed} passes allowed for its size; save it anew")


def _has_more_scans(data: bytes, allowed: int) -> bool:
    if next(islice(_SCAN_ANYWHERE.finditer(data), allowed, None), None) is None:
        return False
    scans, place = 0, 2
    # Each scan comes with a few tables at the most.
    for _ in range(HEADER_READS):
        marker = _MARKER.search(data, place)
        if marker is None or marker[1] == _END:
            return False
        scans += marker[1] == _SCAN
        if scans > allowed:
            return True
        place = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
    return True


def check_strips(picture: Image.Image, length: int) -> None:
    """Refuse a TIFF whose strips are the same bytes over and over, or whose tiles are too large.

    Raises:
        PictureError: They are.
    """
    tags = getattr(picture, "tag_v2", None)
    if tags is None:
        return
    for tag in (ExifTags.Base.StripByteCounts, ExifTags.Base.TileByteCounts):
        # One that is merely too long, as some programs write it, ends with the file.
        if sum(min(count, length) for count in tags.get(tag, ())) > 4 * length + HEADER_BYTES:
            raise PictureError("its parts lie upon one another; save it anew")
    width, height = tags.get(ExifTags.Base.TileWidth, 0), tags.get(ExifTags.Base.TileLength, 0)
    if width * height > MAX_PIXELS:
        raise PictureError(f"its tiles are {width}x{height} pixels; save it with smaller ones")
