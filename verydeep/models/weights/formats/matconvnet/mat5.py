"""MATLAB 5 files (``save -v6`` and ``-v7``), read within bounds.

Nothing is allocated before the file has been seen to hold it, no depth is followed that a net does
not have, and objects and handles of functions are left alone.
"""

from __future__ import annotations

import zlib
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np

from verydeep.models.weights.formats.matconvnet.matlab_values import (
    Budget,
    MatlabError,
    Numbers,
    Other,
)
from verydeep.models.weights.source import MOST_VALUES

HEADER = 128
MATRIX, COMPRESSED = 14, 15

STORED = {
    **{1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"},
    **{16: "u1", 17: "u2", 18: "u4"},
}
"""Types that data are stored as; 16 to 18 are UTF-8, UTF-16 and UTF-32."""

CLASSES = {
    **{6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4"},
    **{14: "i8", 15: "u8"},
}
"""Classes of numeric arrays."""

LEAST_INFLATED = 2**26
MOST_INFLATED = 8
"""Compressed variables may become this many bytes, or this many times as long as the file."""

MOST_DIMENSIONS = 8
MOST_FIELDS = 1000


def is_mat5(head: bytes) -> bool:
    """Return whether a file begins with the header of a MATLAB 5 file."""
    return len(head) >= HEADER and head[124:128] in (b"\x00\x01IM", b"\x01\x00MI")


def read_mat5(data: memoryview) -> dict[str, Any]:
    """Return the variables of a file by name; see :mod:`.matlab_values` for their form.

    Raises:
        MatlabError: The file is damaged, or holds too much.
    """
    if not is_mat5(bytes(data[:HEADER])):
        raise MatlabError("no header of a MATLAB 5 file")
    return _File(data).read()


class _Element(NamedTuple):
    kind: int
    data: memoryview
    end: int


class _Head(NamedTuple):
    """The first parts of an array."""

    kind: int
    is_complex: bool
    dims: tuple[int, ...]
    name: str
    place: int


class _File:
    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.order = "<" if bytes(data[126:128]) == b"IM" else ">"
        self.budget = Budget()
        self.inflatable = max(LEAST_INFLATED, MOST_INFLATED * len(data))

    def read(self) -> dict[str, Any]:
        variables: dict[str, Any] = {}
        place = HEADER
        while place < len(self.data):
            self.budget.spend(1, 0)
            element = self._element(self.data, place)
            place = element.end
            if element.kind == COMPRESSED:
                element = self._element(self._inflate(element.data), 0)
            if element.kind == MATRIX and len(element.data):
                head = self._head(element.data)
                variables[head.name] = self._value(element.data, head, 0)
        return variables

    def _element(self, data: memoryview, place: int) -> _Element:
        """Return the element at a place; the next one begins at its end."""
        if place + 8 > len(data):
            raise MatlabError("it ends within an element")
        kind, length = (
            int(word) for word in np.frombuffer(data[place : place + 8], f"{self.order}u4")
        )
        start = place + 8
        if kind >> 16:  # small elements: length and type in one word, and the data in the other
            kind, length, start = kind & 0xFFFF, kind >> 16, place + 4
            end = place + 8
            if length > 4:
                raise MatlabError("a small element of more than 4 bytes")
        else:
            end = start + length + (-length % 8 if kind != COMPRESSED else 0)
        if start + length > len(data):
            raise MatlabError(f"an element of {length:,} bytes ends behind the file")
        return _Element(kind, data[start : start + length], min(end, len(data)))

    def _inflate(self, data: memoryview) -> memoryview:
        """Return an unpacked element, of the length that its first bytes declare."""
        stream = zlib.decompressobj()
        try:
            tag = stream.decompress(data, 8)
            if len(tag) < 8:
                raise MatlabError("an empty compressed variable")
            length = int(np.frombuffer(tag, f"{self.order}u4")[1])
            self.inflatable -= length
            if self.inflatable < 0 or length > 8 * MOST_VALUES:
                raise MatlabError("compressed variables unpack to too many bytes")
            body = stream.decompress(stream.unconsumed_tail, length) if length else b""
        except zlib.error as error:
            raise MatlabError("a compressed variable is damaged") from error
        if len(body) < length:
            raise MatlabError("a compressed variable is shorter than it declares")
        return memoryview(tag + body)

    def _head(self, data: memoryview) -> _Head:
        flags = self._element(data, 0)
        sides = self._element(data, flags.end)
        name = self._element(data, sides.end)
        if len(flags.data) < 4 or sides.kind != 5 or len(sides.data) % 4:
            raise MatlabError("an array without class or shape")
        word = int(np.frombuffer(flags.data[:4], f"{self.order}u4")[0])
        dims = tuple(int(side) for side in np.frombuffer(sides.data, f"{self.order}i4"))
        if not 2 <= len(dims) <= MOST_DIMENSIONS or min(dims) < 0:
            raise MatlabError(f"an array of shape {dims[:MOST_DIMENSIONS]}")
        title = bytes(name.data[:100]).decode("ascii", "replace")
        return _Head(word & 255, bool(word & 0x800), dims, title, name.end)

    def _array(self, element: _Element, depth: int) -> Any:
        if element.kind != MATRIX:
            raise MatlabError("an array is missing")
        if not len(element.data):
            return Numbers((0, 0), np.dtype("f8"), partial(np.zeros, (0, 0)))
        return self._value(element.data, self._head(element.data), depth)

    def _value(self, data: memoryview, head: _Head, depth: int) -> Any:
        self.budget.spend(1, depth)
        match head.kind:
            case 1:
                return self._cells(data, head, depth)
            case 2:
                return self._structs(data, head, depth)
            case 4:
                return self._characters(data, head)
            case kind if kind in CLASSES and not head.is_complex:
                return self._numbers(data, head, np.dtype(f"={CLASSES[kind]}"))
            case _:
                return Other()

    def _cells(self, data: memoryview, head: _Head, depth: int) -> list[Any]:
        count, place = prod(head.dims), head.place
        self.budget.spend(count, depth)
        values = []
        for _ in range(count):
            element = self._element(data, place)
            values.append(self._array(element, depth + 1))
            place = element.end
        return values

    def _structs(self, data: memoryview, head: _Head, depth: int) -> Any:
        width = self._element(data, head.place)
        names = self._element(data, width.end)
        length = int(np.frombuffer(width.data, f"{self.order}i4")[0]) if len(width.data) == 4 else 0
        if length < 1 or len(names.data) % length or len(names.data) > MOST_FIELDS * length:
            raise MatlabError("a struct without names of its fields")
        raw, place = bytes(names.data), names.end
        fields = [raw[at : at + length].split(b"\0")[0] for at in range(0, len(raw), length)]
        count = prod(head.dims)
        self.budget.spend(count * (1 + len(fields)), depth)
        found = []
        for _ in range(count):
            struct = {}
            for field in fields:
                element = self._element(data, place)
                struct[field.decode("ascii", "replace")] = self._array(element, depth + 1)
                place = element.end
            found.append(struct)
        return found[0] if count == 1 else found

    def _characters(self, data: memoryview, head: _Head) -> str:
        """Return text; one of several rows comes in MATLAB's order, which no net has."""
        if not prod(head.dims):
            return ""
        element = self._element(data, head.place)
        coding = {16: "utf-8", 17: "utf-16", 4: "utf-16", 18: "utf-32"}.get(element.kind, "latin-1")
        if coding in ("utf-16", "utf-32"):
            coding += "-le" if self.order == "<" else "-be"
        return bytes(element.data[:10_000]).decode(coding, "replace")

    def _numbers(self, data: memoryview, head: _Head, dtype: np.dtype) -> Numbers:
        element = self._element(data, head.place)
        stored = np.dtype(self.order + STORED.get(element.kind, "u1"))
        if element.kind not in STORED or len(element.data) != prod(head.dims) * stored.itemsize:
            raise MatlabError(f"an array of {head.dims} numbers in {len(element.data):,} bytes")
        return Numbers(head.dims, dtype, partial(_load, element.data, stored, head.dims, dtype))


def _load(data: memoryview, stored: np.dtype, dims: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return np.frombuffer(data, stored).reshape(dims, order="F").astype(dtype, copy=False)
