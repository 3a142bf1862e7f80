"""Messages of protocol buffers, read field by field without a schema and without copies.

Only offsets are trusted that lie in the file, so a file that lies about its lengths is found out
before anything is allocated. Embedded messages are parsed when asked for.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from verydeep.errors import ModelError, printable

VARINT, BITS_64, BYTES, BITS_32 = 0, 1, 2, 5
"""Wire types; 3 and 4 are groups, which no file of weights has."""

MOST_FIELDS = 10_000
"""Most fields of a message; a run of unpacked numbers counts as one."""

ROWS = 2**20
"""Unpacked numbers looked at together."""


class WireError(ValueError):
    """Bytes that are no message, or not the one expected."""


class Field(NamedTuple):
    """Where a field lies.

    Attributes:
        number: Number in the schema.
        wire: Wire type.
        start: First byte of the value.
        end: Byte after the value; may lie behind the end of a truncated message.
    """

    number: int
    wire: int
    start: int
    end: int


Value = int | memoryview | np.ndarray
"""A varint, the bytes of a string or message, or the (n, 4) or (n, 8) bytes of a run of numbers."""


def map_file(path: Path) -> memoryview:
    """Return the bytes of a file without reading them.

    Raises:
        ModelError: The file cannot be opened.
    """
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                return memoryview(b"")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        raise ModelError(f"{printable(path)}: cannot be read ({error})") from error


def read_varint(data: memoryview, place: int) -> tuple[int, int]:
    """Return the unsigned integer at a place and the place after it.

    Raises:
        WireError: No integer of at most 64 bits ends there.
    """
    value = 0
    for shift, byte in enumerate(data[place : place + 10]):
        value |= (byte & 127) << 7 * shift
        if byte < 128:
            return value & (2**64 - 1), place + shift + 1
    raise WireError(f"no integer at byte {place:,}")


def next_field(data: memoryview, place: int) -> Field:
    """Return the field that begins at a place.

    Raises:
        WireError: No field begins there.
    """
    key, start = read_varint(data, place)
    number, wire = key >> 3, key & 7
    if not 0 < number < 2**29:
        raise WireError(f"no field at byte {place:,}")
    match wire:
        case 0:
            end = read_varint(data, start)[1]
        case 1:
            end = start + 8
        case 2:
            length, start = read_varint(data, start)
            end = start + length
        case 5:
            end = start + 4
        case _:
            raise WireError(f"wire type {wire} at byte {place:,}")
    return Field(number, wire, start, end)


def outline(data: memoryview, most: int = 1000) -> Iterator[Field]:
    """Yield the first fields of a message, also the one that a truncated file ends in.

    Raises:
        WireError: The bytes are no message.
    """
    place = 0
    for _ in range(most):
        if place >= len(data):
            return
        field = next_field(data, place)
        yield field
        place = field.end


class Message:
    """A parsed message whose embedded messages are not parsed yet.

    Args:
        data: The bytes.

    Raises:
        WireError: The bytes are no message.
    """

    def __init__(self, data: memoryview) -> None:
        self._values: dict[int, list[Value]] = {}
        place = 0
        for _ in range(MOST_FIELDS):
            if place >= len(data):
                return
            number, value, place = _read_field(data, place)
            self._values.setdefault(number, []).append(value)
        raise WireError(f"more than {MOST_FIELDS:,} fields in a message")

    def __contains__(self, number: int) -> bool:
        return number in self._values

    def _of(self, number: int, kind: type) -> list[Value]:
        values = self._values.get(number, [])
        if not all(isinstance(value, kind) for value in values):
            raise WireError(f"field {number} is of another type than expected")
        return values

    def integer(self, number: int, default: int = 0) -> int:
        """Return a signed integer.

        Raises:
            WireError: The field is of another type.
        """
        values = self._of(number, int)
        return _signed(int(values[-1])) if values else default

    def integers(self, number: int) -> list[int]:
        """Return repeated signed integers, packed or not.

        Raises:
            WireError: The field is of another type.
        """
        found: list[int] = []
        for value in self._values.get(number, []):
            if isinstance(value, int):
                found.append(_signed(value))
            elif isinstance(value, memoryview) and len(value) <= MOST_FIELDS:
                place = 0
                while place < len(value):
                    one, place = read_varint(value, place)
                    found.append(_signed(one))
            else:
                raise WireError(f"field {number} is no list of integers")
        return found

    def floating(self, number: int, default: float = 0.0) -> float:
        """Return a float.

        Raises:
            WireError: The field is of another type.
        """
        values = self._of(number, np.ndarray)
        if not values:
            return default
        raw = values[-1][-1].tobytes()  # type: ignore[index, union-attr]
        return float(struct.unpack("<f" if len(raw) == 4 else "<d", raw)[0])

    def text(self, number: int) -> str:
        """Return a string, with replacement characters where it is not UTF-8.

        Raises:
            WireError: The field is of another type.
        """
        values = self._of(number, memoryview)
        return _text(values[-1]) if values else ""

    def texts(self, number: int) -> list[str]:
        """Return repeated strings.

        Raises:
            WireError: The field is of another type.
        """
        return [_text(value) for value in self._of(number, memoryview)]

    def messages(self, number: int) -> list[Message]:
        """Return repeated embedded messages.

        Raises:
            WireError: One of them is no message.
        """
        return [Message(value) for value in self._of(number, memoryview)]  # type: ignore[arg-type]

    def message(self, number: int) -> Message | None:
        """Return an embedded message, or None if the field is absent.

        Raises:
            WireError: It is no message.
        """
        found = self._of(number, memoryview)
        return Message(found[-1]) if found else None  # type: ignore[arg-type]

    def count_numbers(self, number: int, size: int) -> int:
        """Return how many numbers of ``size`` bytes a field holds, packed or not.

        Raises:
            WireError: The field is no list of such numbers.
        """
        return sum(len(part) for part in self._parts(number, size))

    def numbers(self, number: int, size: int) -> np.ndarray:
        """Return repeated floats of 4 or 8 bytes, packed or not, as a copy.

        Raises:
            WireError: The field is no list of such numbers.
        """
        dtype = np.dtype(f"<f{size}")
        parts = self._parts(number, size)
        values = np.empty(sum(map(len, parts)), dtype)
        raw, place = values.view(np.uint8).reshape(-1, size), 0
        for part in parts:
            raw[place : place + len(part)] = part
            place += len(part)
        return values

    def _parts(self, number: int, size: int) -> list[np.ndarray]:
        """Return the bytes of numbers as arrays (n, size)."""
        parts = []
        for value in self._values.get(number, []):
            part = value
            if isinstance(part, memoryview) and len(part) % size == 0:
                part = np.frombuffer(part, np.uint8).reshape(-1, size)
            if not isinstance(part, np.ndarray) or part.shape[1] != size:
                raise WireError(f"field {number} is no list of {8 * size}-bit numbers")
            parts.append(part)
        return parts


def _read_field(data: memoryview, place: int) -> tuple[int, Value, int]:
    field = next_field(data, place)
    if field.end > len(data):
        raise WireError(f"a field of {field.end - field.start:,} bytes ends behind its message")
    match field.wire:
        case 0:
            return field.number, read_varint(data, field.start)[0], field.end
        case 2:
            return field.number, data[field.start : field.end], field.end
        case _:
            run = _run(data, place, field)
            return field.number, run, place + len(run) * (field.end - place)


def _run(data: memoryview, place: int, field: Field) -> np.ndarray:
    """Return the bytes of all numbers of the same field that follow each other, (n, 4) or (n, 8).

    Unpacked weights are millions of fields: they are looked at together.
    """
    stride, key = field.end - place, field.start - place
    if key > 1:
        return np.frombuffer(data[field.start : field.end], np.uint8)[None]
    rows = np.frombuffer(data[place : place + (len(data) - place) // stride * stride], np.uint8)
    rows = rows.reshape(-1, stride)
    count = 0
    while count < len(rows):
        same = rows[count : count + ROWS, 0] == data[place]
        if not same.all():
            count += int(np.argmin(same))
            break
        count += len(same)
    return rows[:count, 1:]


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _text(value: Value) -> str:
    return bytes(value[:1000]).decode("utf-8", "replace")  # type: ignore[index]
