"""Limits on the time and memory that decoding one file may take.

The number of pixels is not the only cost. A few kilobytes may hold a thousand scans of one image,
and a header a million empty segments; Pillow's parsers would work on them for minutes. The limits
are far above what cameras and programs write, and low enough that any file takes at most about two
seconds and a GiB.
"""

from __future__ import annotations

import io
import os
import re
from itertools import islice
from typing import BinaryIO, cast

from PIL import ExifTags, Image, ImageFile

from verydeep.data.images.formats import JPEGS
from verydeep.data.images.jpeg_header import read_header
from verydeep.data.images.member import ImageSource, Member
from verydeep.data.images.png_text import Spans, spans_without_text
from verydeep.data.images.regular_file import open_regular
from verydeep.errors import PictureError, PictureTooLarge

MAX_PIXELS = 89_478_485
"""Maximum number of pixels; Pillow's own warning level, a quarter GiB in RGB."""

LONGEST = 32
"""Maximum ratio of the longer to the shorter side.

Rescaled to a smallest side of 256, an image of 1x20000 would have 1.3 billion pixels.
"""

MAX_BYTES = 2**29
"""Maximum bytes of a file: the maximum number of pixels, uncompressed, at 48 bits each."""

HEADER_READS, HEADER_BYTES = 2**14, 2**24
"""Maximum reads, and bytes in partial reads, before the pixels."""

PIXEL_READS = 2**20
"""Maximum reads for the pixels; a parser in Python takes about a second for them."""

AT_ONCE = 2**26
"""Maximum bytes of a format read at once: WEBP, AVIF and HEIC, which make several copies."""

MAX_SCANS = 1000
"""Maximum scans of a progressive JPEG; programs write about ten."""

# The next marker of a JPEG: not an escaped 255, a restart within a scan, or padding.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")
_END, _SCAN = b"\xd9", b"\xda"

# Three times as fast as counting them.
_SCAN_ANYWHERE = re.compile(rb"\xff\xda")


_read = io.BufferedReader.read  # faster than super(); called forty times per header


class Metered(io.BufferedReader):
    """A file with limits on the number and size of reads.

    Args:
        raw: The stream to read.
        length: Its size in bytes.
    """

    def __init__(self, raw: BinaryIO, length: int) -> None:
        super().__init__(cast(io.RawIOBase, raw))
        self.length = length
        self._in_header = True
        self._content: bytes | None = None
        self._reads, self._bytes = HEADER_READS, HEADER_BYTES

    def end_of_header(self) -> None:
        """Switch to the limits for reading pixels."""
        self._in_header = False
        self._reads, self._bytes = PIXEL_READS, HEADER_BYTES + 2 * self.length

    def read(self, size: int | None = -1, /) -> bytes:
        """Read within the limits.

        Raises:
            PictureError: A limit was exceeded.
        """
        whole = size is None or size < 0
        if whole and self._in_header and self.length > AT_ONCE:
            raise PictureTooLarge(
                f"{self.length:,} bytes, more than the allowed {AT_ONCE:,}; save it as JPEG or PNG"
            )
        data = _read(self, size)
        self._reads -= 1
        if not whole:
            self._bytes -= len(data)
        if self._reads < 0 or self._bytes < 0:
            what = "its header is" if self._in_header else "its data are"
            raise PictureError(f"{what} too long or in too many pieces; save it again")
        return data

    @property
    def content(self) -> bytes:
        """The whole file, cached; only for use once the header has been read."""
        # Not a cached_property: until Python 3.12 it has one lock for all files, on which a process
        # forked while another thread reads would hang.
        if self._content is None:
            place = self.tell()
            self.seek(0)
            self._content = self.read()
            self.seek(place)
        return self._content


def open_metered(source: ImageSource | bytes) -> Metered:
    """Open an image from its file, member or bytes.

    Raises:
        PictureTooLarge: The file has too many bytes.
        OSError: The file cannot be opened, or is not a regular file.
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
            f"{length:,} bytes, more than the allowed {MAX_BYTES:,}; make it smaller"
        )
    return length


def plain_png(stream: Metered) -> Metered:
    """Return a PNG without large texts and profiles; see :mod:`~verydeep.data.images.png_text`."""
    spans = spans_without_text(stream)
    if spans is None:
        return stream
    parts = Spans(stream, spans)
    return Metered(cast(BinaryIO, parts), parts.length)


def check_sides(width: int, height: int) -> None:
    """Refuse an image so thin that rescaling would turn few pixels into millions.

    Raises:
        PictureTooLarge: The image is too thin.
    """
    shorter, longer = sorted((width, height))
    if longer > LONGEST * shorter:
        raise PictureTooLarge(
            f"{width}x{height}: its aspect ratio is 1:{longer / max(1, shorter):,.0f}, more than "
            f"the allowed 1:{LONGEST}; cut it into pieces"
        )


def check_size(picture: ImageFile.ImageFile, max_pixels: int) -> None:
    """Refuse an opened image with too many pixels for its format.

    Raises:
        PictureTooLarge: The image has too many pixels.
    """
    width, height = picture.size
    share = _share(picture)
    allowed = max_pixels if share is None else min(max_pixels, int(share * MAX_PIXELS))
    if width * height > allowed:
        raise PictureTooLarge(
            f"{width}x{height} is {width * height:,} pixels, more than the allowed {allowed:,}; "
            "make it smaller"
        )


def _share(picture: ImageFile.ImageFile) -> float | None:
    """Return the allowed share of :data:`MAX_PIXELS`; None for formats without extra cost."""
    if picture.format == "BMP" and picture.info.get("compression") in (1, 2):
        return 1 / 16  # Pillow decodes run lengths in Python
    if picture.format == "PPM" and picture.tile[0][0] != "raw":
        return 1 / 512  # text, or a maximum other than 255: decoded one by one in Python
    if picture.format in ("AVIF", "HEIF"):
        return 3 / 4
    if picture.format == "WEBP":
        return 3 / 8  # five copies in memory
    colours_of_16_bits = picture.mode in ("RGB", "RGBA") and ";16" in _raw_mode(picture)
    if colours_of_16_bits or picture.mode == "LAB":
        return 1 / 2
    passes_of_cmyk = picture.format in JPEGS and picture.mode == "CMYK"
    return 3 / 4 if passes_of_cmyk or picture.has_transparency_data else None


def _raw_mode(picture: Image.Image) -> str:
    """Return Pillow's raw mode of the pixels, such as ``RGB;16B``."""
    tiles = getattr(picture, "tile", None)
    how = tiles[0][3] if tiles else ""
    return str(how[0] if isinstance(how, tuple) and how else how)


def check_scans(picture: Image.Image, stream: Metered) -> None:
    """Refuse a JPEG with too many scans for its size.

    Raises:
        PictureError: There are too many scans.
    """
    if picture.format not in JPEGS:
        return
    header = read_header(stream.content)
    if header and header.one_pass:
        return
    pixels = max(1, picture.width * picture.height)
    allowed = min(MAX_SCANS, 16 * MAX_PIXELS // pixels)
    if _has_more_scans(stream.content, allowed):
        raise PictureError(f"more than the allowed {allowed} scans for its size; save it again")


def _has_more_scans(data: bytes, allowed: int) -> bool:
    if next(islice(_SCAN_ANYWHERE.finditer(data), allowed, None), None) is None:
        return False
    scans, place = 0, 2
    # Each scan comes with at most a few tables.
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
    """Refuse a TIFF whose strips repeat the same bytes, or whose tiles are too large.

    Raises:
        PictureError: The strips overlap, or the tiles are too large.
    """
    tags = getattr(picture, "tag_v2", None)
    if tags is None:
        return
    for tag in (ExifTags.Base.StripByteCounts, ExifTags.Base.TileByteCounts):
        # Some programs write counts beyond the end of the file.
        if sum(min(count, length) for count in tags.get(tag, ())) > 4 * length + HEADER_BYTES:
            raise PictureError("its parts overlap; save it again")
    width, height = tags.get(ExifTags.Base.TileWidth, 0), tags.get(ExifTags.Base.TileLength, 0)
    if width * height > MAX_PIXELS:
        raise PictureError(f"its tiles are {width}x{height} pixels; save it with smaller ones")
