"""Reading of shards: tar archives in which the parts of a sample are consecutive.

The parts of a sample share a key, their name up to the first dot; the rest names the part::

    000001.jpg  000001.cls  000001.box  000002.jpg  000002.cls

A sample has an image and a class (``cls``, ``class`` or ``label``: a number or text); ``box`` is
our extension, ``x0 y0 x1 y1`` and so on, the main object first. An image counts whether or not its
format can be read here; without the extra for HEIC, it fails like a broken one. Other parts are
skipped unread, so nothing is unpickled. Hidden files, like the ``._000001.jpg`` of macOS, are
skipped. Nothing is extracted and names are never used as paths, so ``../`` is harmless; links and
devices are skipped.

The standard library's ``tarfile`` parses only the unusual headers: it takes four times as long.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import BinaryIO, NamedTuple

from verydeep.data.annotations import box_or_none, corners
from verydeep.data.folders.system_files import is_system_path
from verydeep.data.folders.walk import suffix_of
from verydeep.data.geometry import Box
from verydeep.data.images.formats import FORMAT_OF_SUFFIX
from verydeep.data.images.limits import MAX_BYTES
from verydeep.errors import DataError, printable

BLOCK = tarfile.BLOCKSIZE
CLASS_PARTS = ("cls", "class", "label")
BOX_PART = "box"

LONGEST_TEXT = 2**12
"""Maximum bytes of a class or box."""

LONGEST_NAME = 2**16
"""Maximum bytes of a name in a separate header."""

LONGEST_SHARD = 2**60
"""Maximum bytes of a shard of unknown length."""

COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")

_FILLING = b"\0 "
_OCTAL = re.compile(rb"[0-7]+")

_LONG_NAME = tarfile.GNUTYPE_LONGNAME
_EXTENDED = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)


class File(NamedTuple):
    """A file in an archive."""

    name: str
    offset: int
    size: int


class TarPicture(NamedTuple):
    """A sample in a shard.

    Attributes:
        name: Name of the image, with its extension.
        offset: Offset of the image's first byte.
        size: Size of the image in bytes.
        label: Class as written.
        boxes: Boxes, the main one first; empty if unknown.
        data: Bytes of the image, if requested.
    """

    name: str
    offset: int
    size: int
    label: str
    boxes: tuple[Box, ...]
    data: bytes | None


class _Header(NamedTuple):
    type: bytes
    name: str
    size: int


@dataclass
class TarReader:
    """Sequential reader of an archive that reads only what is requested.

    Args:
        stream: The archive.
        place: Name of the archive in messages.
    """

    stream: BinaryIO
    place: str
    _position: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._seekable = self.stream.seekable()
        self._end = LONGEST_SHARD
        if self._seekable:
            self._end = self.stream.seek(0, io.SEEK_END)
            self.stream.seek(0)

    def files(self) -> Iterator[File]:
        """Yield the regular files; each can be read until the next is requested.

        Raises:
            DataError: The stream is not a complete tar archive.
        """
        name, size = "", -1
        while (header := self._header()) is not None:
            start, length = self._position, header.size
            if header.type in (_LONG_NAME, *_EXTENDED):
                text = self._text(length)
                if header.type == _LONG_NAME:
                    name = text.rstrip(b"\0").decode("utf-8", "surrogateescape")
                else:
                    name, size = self._records(text, name, size)
            else:
                length = self._length(header, size)
                if header.type in _FILES:
                    yield File(name or header.name, start, length)
                name, size = "", -1
            self._skip_to(start + -(-length // BLOCK) * BLOCK)

    def read(self, file: File) -> bytes:
        """Return the bytes of the last yielded file.

        Raises:
            DataError: The archive is truncated.
        """
        assert self._position == file.offset, "only the last file can be read, and only once"
        return self._exactly(file.size)

    def _header(self) -> _Header | None:
        block = self.stream.read(BLOCK)
        if self._position == 0 and block.startswith(COMPRESSED):
            raise DataError(
                f"{self.place}: is compressed, which prevents random access; decompress it to a "
                "plain .tar (images hardly compress)"
            )
        if not block and not self._position:
            raise DataError(f"{self.place}: is empty")
        if not block and self._seekable and self._end < self._position:
            raise self._cut_off()
        self._position += len(block)
        if not block.strip(b"\0"):  # zeros, which some programs omit at the end
            return None
        usual = usual_header(block)
        if usual is not None:
            return usual
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            return _Header(header.type, header.name, header.size)
        except (tarfile.HeaderError, ValueError) as error:
            raise DataError(
                f"{self.place}: not a tar archive, or broken at byte "
                f"{self._position - len(block):,} ({error})"
            ) from error

    def _length(self, header: _Header, size: int) -> int:
        """Return the length of a member; ``size`` is from an extended header, or -1."""
        if header.type in (tarfile.LNKTYPE, tarfile.SYMTYPE):
            return 0  # whatever the header says
        length = size if size >= 0 else header.size
        if length < 0:
            raise DataError(
                f"{self.place}: broken at byte {self._position:,}: a file of {length} bytes; "
                "write or download it again"
            )
        if self._position + length > self._end:
            raise DataError(
                f"{self.place}: truncated before byte {self._position + length:,}, where a file "
                "should end; download it again"
            )
        return length

    def _records(self, text: bytes, name: str, size: int) -> tuple[str, int]:
        """Read the records ``length key=value`` of an extended header."""
        try:
            while text:
                length = int(text.split(b" ", 1)[0])
                key, _, value = text[:length].split(b" ", 1)[1].partition(b"=")
                if length <= 0:
                    raise ValueError("a record without length")
                if key == b"path":
                    name = value.removesuffix(b"\n").decode("utf-8", "surrogateescape")
                elif key == b"size":
                    size = int(value)
                    if size < 0:
                        raise ValueError(f"a file of {size} bytes")
                elif key.startswith(b"GNU.sparse"):
                    raise ValueError("sparse files cannot be read")
                text = text[length:]
        except (ValueError, IndexError) as error:
            raise DataError(f"{self.place}: broken extended header ({error})") from error
        return name, size

    def _text(self, length: int) -> bytes:
        if not 0 <= length <= LONGEST_NAME:
            raise DataError(f"{self.place}: a name of {length:,} bytes; it is broken")
        return self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        data = self.stream.read(length)
        self._position += len(data)
        if len(data) < length:
            raise self._cut_off()
        return data

    def _cut_off(self) -> DataError:
        return DataError(
            f"{self.place}: truncated before byte {self._position:,}; download it again"
        )

    def _skip_to(self, position: int) -> None:
        if position < self._position:
            raise DataError(f"{self.place}: broken at byte {self._position:,}")
        if self._seekable:
            self._position = self.stream.seek(position)
            return
        while self._position < position:
            self._exactly(min(position - self._position, io.DEFAULT_BUFFER_SIZE))


def usual_header(block: bytes) -> _Header | None:
    """Parse the most common header of a regular file.

    Returns:
        None for other or broken headers, which :mod:`tarfile` parses.
    """
    size, checksum = block[124:136].rstrip(_FILLING), block[148:156].strip(_FILLING)
    of_this_kind = block[156:157] == tarfile.REGTYPE and not block[345:346].strip(b"\0")
    numbers = _OCTAL.fullmatch(size) and _OCTAL.fullmatch(checksum)
    if len(block) != BLOCK or not of_this_kind or not numbers:
        return None
    # The checksum counts its own field as blanks.
    if sum(block) - sum(block[148:156]) + 8 * ord(" ") != int(checksum, 8):
        return None
    name = block[:100].partition(b"\0")[0].decode("utf-8", "surrogateescape")
    return _Header(tarfile.REGTYPE, name, int(size, 8))


def pictures_in_shard(
    stream: BinaryIO, place: str, wanted: Callable[[int], bool] = lambda number: False
) -> Iterator[TarPicture | None]:
    """Yield the samples of a shard, in order.

    A key without an image or a class gives None, and one with several images as many: dots within
    the names of images give them all one key.

    Args:
        stream: The archive.
        place: Name of the archive in messages.
        wanted: Whether to read the image with this index.

    Raises:
        DataError: The stream is not a complete tar archive, a class or box is invalid, or a key
            has an image, a class or a box twice.
    """
    reader = TarReader(stream, place)
    number = 0
    visible = (file for file in reader.files() if not _is_hidden(file.name))
    for _, files in groupby(visible, key=lambda file: _key(file.name)):
        picture, images = _sample(reader, files, wanted(number))
        number += picture is not None
        yield from [picture] * (1 if picture else max(images, 1))


def _is_hidden(name: str) -> bool:
    """Return whether to skip a hidden or system file."""
    return name.rpartition("/")[2].startswith(".") or is_system_path(name)


def _key(name: str) -> str:
    folder, stroke, last = name.rpartition("/")
    return folder + stroke + last.partition(".")[0]


def _part(name: str) -> str:
    return name.rpartition("/")[2].partition(".")[2].lower()


def _sample(
    reader: TarReader, files: Iterator[File], wanted: bool
) -> tuple[TarPicture | None, int]:
    """Return the sample of a key, if it is one, and its number of images."""
    picture, data = None, None
    label = None
    boxes: tuple[Box, ...] = ()
    parts: set[str] = set()
    images = 0
    for file in files:
        part = _part(file.name)
        images += suffix_of(file.name) in FORMAT_OF_SUFFIX
        if part in parts:
            raise DataError(
                f"{reader.place}/{printable(file.name)}: the .{part} of one sample for the second "
                "time; give every sample a name of its own"
            )
        if f".{part}" in FORMAT_OF_SUFFIX or part in (*CLASS_PARTS, BOX_PART):
            parts.add(part)
        if f".{part}" in FORMAT_OF_SUFFIX and picture is None:
            picture = file
            if wanted:
                # A larger image fails later, as a file would.
                data = reader.read(file._replace(size=min(file.size, MAX_BYTES + 1)))
        elif part in CLASS_PARTS and label is None:
            label = _text(reader, file).strip()
        elif part == BOX_PART:
            boxes = tuple(_boxes(reader, file))
    if picture is None or not label:
        return None, images
    return TarPicture(picture.name, picture.offset, picture.size, label, boxes, data), images


def _text(reader: TarReader, file: File) -> str:
    place = f"{reader.place}/{printable(file.name)}"
    if file.size > LONGEST_TEXT:
        raise DataError(f"{place}: {file.size:,} bytes, too long for a class or box")
    try:
        return reader.read(file).decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{place}: not UTF-8 ({error.reason})") from error


def _boxes(reader: TarReader, file: File) -> Iterator[Box]:
    words = _text(reader, file).split()
    for first in range(0, len(words), 4):
        four = corners(words[first : first + 4], f"{reader.place}/{printable(file.name)}")
        box = box_or_none(*four)
        if box is not None:
            yield box
