"""The part of HDF5 that Keras writes, read without the HDF5 library.

The library hangs or allocates gigabytes on some damaged files and follows links to other files;
here every offset is checked against the file, and nothing else is ever opened. Understood are
superblocks 0 and 1, groups as B-trees, contiguous and compact data sets of floats, and attributes
that are strings, which is all that Keras has used. Sections are those of the HDF5 File Format
Specification, version 3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from verydeep.errors import ModelError, printable

SIGNATURE = b"\x89HDF\r\n\x1a\n"
UNDEFINED = 2**64 - 1

MOST_MESSAGES = 512
MOST_LINKS = 10_000
MOST_WORK = 2**26
"""Most bytes of names and settings in a file, where each counts :data:`OVERHEAD` more."""

OVERHEAD = 64

SPACE, TYPE, EXTERNAL, LAYOUT, FILTERS = 0x01, 0x03, 0x07, 0x08, 0x0B
ATTRIBUTE, CONTINUATION, GROUP = 0x0C, 0x10, 0x11
LINKS = (0x02, 0x06)
"""Types of header messages (section IV.A.2)."""

DTYPES = {(2, 5): torch.float16, (2, 8): torch.bfloat16, (4, 8): torch.float32}
DTYPES[8, 11] = torch.float64
"""Types by their size in bytes and the bits of their exponent."""


class Message(NamedTuple):
    """A message of an object header."""

    kind: int
    data: memoryview


class _Text(NamedTuple):
    """Type of an attribute of strings: bytes of an element, or of variable length."""

    size: int
    variable: bool


@dataclass
class Hdf5:
    """An open HDF5 file.

    Attributes:
        data: All bytes of the file.
        left: Part of :data:`MOST_WORK` that may still be done.
    """

    data: memoryview
    left: int = MOST_WORK

    @cached_property
    def root(self) -> Node:
        """The group that everything is in.

        Raises:
            ModelError: The file is written in a newer form than Keras uses.
            ValueError, struct.error: The file is damaged.
        """
        if bytes(self.at(0, 8)) != SIGNATURE:
            raise ValueError("no HDF5 file")
        version, *_, offsets, lengths = self.at(8, 7)
        if version > 1:
            raise ModelError(
                f"is written in a newer form of HDF5 (superblock {version}) than Keras uses; save "
                "it with Keras again"
            )
        if (offsets, lengths) != (8, 8):
            raise ValueError("addresses of an unusual length")
        begin = 24 + 4 * version
        base, _, _, _, _, address = struct.unpack("<6Q", self.at(begin, 48))
        if base:
            raise ValueError("a base address")
        return Node(self, address)

    def at(self, place: int, length: int) -> memoryview:
        """Return bytes of the file.

        Raises:
            ValueError: The file does not hold them.
        """
        if not 0 <= place <= place + length <= len(self.data):
            raise ValueError(f"an address outside the file: {place}")
        return self.data[place : place + length]

    def spend(self, work: int) -> None:
        """Count work against the limit.

        Raises:
            ModelError: The file asks for too much.
        """
        self.left -= work
        if self.left < 0:
            raise ModelError(f"holds more than {MOST_WORK:,} bytes of names and settings")

    def take_text(self, data: memoryview) -> str:
        """Return a string of the file, which counts against the limit.

        Raises:
            ModelError: The file has too many.
        """
        self.spend(len(data) + OVERHEAD)
        return bytes(data).partition(b"\0")[0].decode("utf-8", "replace")


@dataclass(frozen=True)
class Node:
    """A group or data set.

    Attributes:
        file: The file.
        address: Where its header is.
    """

    file: Hdf5
    address: int

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """All messages of the header (section IV.A.1.a)."""
        version, _, count, _, size = struct.unpack("<BBHII", self.file.at(self.address, 12))
        if version != 1:
            raise ValueError("an object header of another version")
        blocks = [self.file.at(self.address + 16, size)]
        found: list[Message] = []
        while blocks and len(found) < min(count, MOST_MESSAGES):
            for message in _in_block(blocks.pop(0)):
                found.append(message)
                if message.kind == CONTINUATION:
                    blocks.append(self.file.at(*struct.unpack("<QQ", message.data[:16])))
                if len(found) >= min(count, MOST_MESSAGES):
                    break
        return tuple(found)

    def message(self, kind: int) -> memoryview | None:
        """Return the first message of a kind."""
        return next((data for found, data in self.messages if found == kind), None)

    @property
    def is_dataset(self) -> bool:
        """Whether this is a data set, not a group."""
        return self.message(LAYOUT) is not None

    @cached_property
    def children(self) -> dict[str, Node]:
        """Members of a group by name, in the order of the file: that of the alphabet.

        Raises:
            ModelError: A member is a link to another file or place.
            ValueError, struct.error: The group is damaged.
        """
        data = self.message(GROUP)
        if data is None:
            if any(kind in LINKS for kind, _ in self.messages):
                raise ModelError("has groups of a newer form of HDF5; save it with Keras again")
            return {}
        tree, heap = struct.unpack("<QQ", data[:16])
        names = self._heap(heap)
        found = {}
        for name, address, cache in self._entries(tree, set()):
            text = self.file.take_text(_ended(names[name : name + 1024]))
            if cache == 2:
                raise ModelError(f"holds a link, {printable(text)}; save it with Keras again")
            found[text] = Node(self.file, address)
        return found

    def _heap(self, address: int) -> memoryview:
        if bytes(self.file.at(address, 4)) != b"HEAP":
            raise ValueError("names are missing")
        size, _, place = struct.unpack("<QQQ", self.file.at(address + 8, 24))
        return self.file.at(place, size)

    def _entries(self, address: int, seen: set[int]) -> Iterator[tuple[int, int, int]]:
        """Yield (place of the name, address, kind) of all members (sections III.A.1, III.B)."""
        if address in seen or len(seen) > MOST_LINKS:
            raise ValueError("a group that holds itself")
        seen.add(address)
        if bytes(self.file.at(address, 4)) == b"SNOD":
            (count,) = struct.unpack("<H", self.file.at(address + 6, 2))
            for number in range(count):
                yield struct.unpack("<QQI", self.file.at(address + 8 + 40 * number, 20))
            return
        if bytes(self.file.at(address, 5)) != b"TREE\0":
            raise ValueError("a group without members")
        (count,) = struct.unpack("<H", self.file.at(address + 6, 2))
        for number in range(count):
            (child,) = struct.unpack("<Q", self.file.at(address + 32 + 16 * number, 8))
            yield from self._entries(child, seen)

    def find(self, path: str) -> Node | None:
        """Return the member at a path with slashes, or None."""
        node = self
        for part in path.split("/"):
            if part not in node.children:
                return None
            node = node.children[part]
        return node

    @cached_property
    def attributes(self) -> dict[str, tuple[str, ...]]:
        """Attributes that are strings, by name; a single one is a tuple of one."""
        found = {}
        for kind, data in self.messages:
            if kind == ATTRIBUTE and (pair := self._attribute(data)):
                found[pair[0]] = pair[1]
        return found

    def _attribute(self, data: memoryview) -> tuple[str, tuple[str, ...]] | None:
        """Return name and strings of an attribute (section IV.A.2.m); None for numbers."""
        version, flags, *sizes = struct.unpack("<BBHHH", data[:8])
        if version not in (1, 2, 3) or (flags and version > 1):
            return None
        place = 9 if version == 3 else 8
        parts = []
        for size in sizes:
            parts.append(data[place : place + size])
            place += (size + 7) // 8 * 8 if version == 1 else size
        text = _text_type(parts[1])
        if text is None:
            return None
        count = prod(_dimensions(parts[2]))
        name = self.file.take_text(parts[0])
        if text.size * count > len(data) - place:
            raise ValueError(f"an attribute that ends too early: {name}")
        values = (data[place + text.size * n :][: text.size] for n in range(count))
        return name, tuple(self.file.take_text(self._string(one, text)) for one in values)

    def _string(self, element: memoryview, text: _Text) -> memoryview:
        """Return the bytes of a string, which may be in a global heap (section III.E)."""
        if not text.variable:
            return element
        length, address, index = struct.unpack("<IQI", element)
        if not length:
            return element[:0]
        signature, size = struct.unpack("<4s4xQ", self.file.at(address, 16))
        if signature != b"GCOL":
            raise ValueError("a string is missing")
        place, end = address + 16, address + size
        while place < end:
            self.file.spend(OVERHEAD)
            number, held = struct.unpack("<H6xQ", self.file.at(place, 16))
            if number == index:
                return self.file.at(place + 16, min(length, held))
            place += 16 + (held + 7) // 8 * 8
            if not number:
                break
        raise ValueError("a string is missing")

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Shape of a data set."""
        data = self.message(SPACE)
        return () if data is None else _dimensions(data)

    @cached_property
    def dtype(self) -> torch.dtype | None:
        """Type of the numbers of a data set; None if they are no floats."""
        data = self.message(TYPE)
        if data is None or data[1] & 1:
            return None
        (size,) = struct.unpack("<I", data[4:8])
        if data[0] & 15 == 5 and size == 2 and self.attributes.get("dtype") == ("bfloat16",):
            return torch.bfloat16  # as Keras marks it
        return DTYPES.get((size, data[13])) if data[0] & 15 == 1 else None

    @property
    def size(self) -> int:
        """Bytes of the numbers of a data set."""
        return prod(self.shape) * (self.dtype.itemsize if self.dtype else 1)

    def read(self) -> Tensor:
        """Return a copy of the numbers of a data set, whose size has been checked.

        Raises:
            ModelError: They are compressed, in pieces, in another file, or no floats.
            ValueError, struct.error: They are damaged.
        """
        if self.dtype is None:
            raise ModelError("holds weights that are no floating-point numbers")
        for kind, what in ((EXTERNAL, "in another file"), (FILTERS, "compressed")):
            if self.message(kind) is not None:
                raise ModelError(f"holds weights {what}; save it with Keras again")
        if 0 in self.shape:
            return torch.empty(self.shape, dtype=self.dtype)
        numbers = torch.frombuffer(bytearray(self._bytes()), dtype=self.dtype)
        return numbers.reshape(self.shape)

    def _bytes(self) -> memoryview:
        """Return the numbers of a data set (section IV.A.2.i)."""
        data = self.message(LAYOUT)
        if data is None or data[0] not in (3, 4):
            raise ValueError("data of another version")
        if data[1] == 0:
            return data[4 : 4 + self.size]
        if data[1] != 1:
            raise ModelError("holds weights in pieces; save it with Keras again")
        address, length = struct.unpack("<QQ", data[2:18])
        if length != self.size:
            raise ValueError("weights of another length than their shape")
        return self.file.at(address, length)


def _ended(data: memoryview) -> memoryview:
    """Return a string up to the zero that ends it."""
    end = bytes(data).find(b"\0")
    return data if end < 0 else data[:end]


def _in_block(block: memoryview) -> Iterator[Message]:
    place = 0
    while place + 8 <= len(block):
        kind, size, flags = struct.unpack("<HHB", block[place : place + 5])
        if place + 8 + size > len(block):
            raise ValueError("an object header that ends too early")
        if flags & 2 and kind in (SPACE, TYPE, FILTERS, ATTRIBUTE):
            raise ModelError("shares types between its parts; save it with Keras again")
        yield Message(kind, block[place + 8 : place + 8 + size])
        place += 8 + size


def _dimensions(data: memoryview) -> tuple[int, ...]:
    """Return the sides of a data space; none for a single value (section IV.A.2.b)."""
    version, rank, _, kind = data[:4]
    if version not in (1, 2) or rank > 8:
        raise ValueError("a data space of another version")
    if version == 2 and kind == 2:
        return (0,)
    sides = struct.unpack_from(f"<{rank}Q", data, 8 if version == 1 else 4)
    if any(side >= 2**40 for side in sides):
        raise ValueError(f"a side of {max(sides):,}")
    return sides


def _text_type(data: memoryview) -> _Text | None:
    """Return the type of strings (section IV.A.2.d); None for anything else."""
    (size,) = struct.unpack("<I", data[4:8])
    kind = data[0] & 15
    if kind == 3 and size:
        return _Text(size, variable=False)
    if kind == 9 and data[1] & 15 == 1 and size == 16:
        return _Text(size, variable=True)
    return None
