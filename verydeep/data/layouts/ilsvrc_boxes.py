"""ILSVRC's tables of objects: ``LOC_train_solution.csv`` and ``LOC_val_solution.csv``.

ImageNet's has half a million lines, ordered differently from the files. They are kept in arrays of
about 100 bytes per line, and found by the hash of the image name.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar, overload

import numpy as np

from verydeep.data.annotations import Corners, corners
from verydeep.data.layouts.assemble import lines
from verydeep.data.layouts.line_numbers import LineNumbers
from verydeep.data.layouts.pascal_xml import Object
from verydeep.data.string_array import Names, first_repeated
from verydeep.errors import DataError

Row = tuple[list[Object], str]
T = TypeVar("T")

_NOWHERE = (math.nan,) * 4


class Solution(Mapping[str, Row]):
    """Objects and their location in the table, by image name without extension.

    Args:
        path: Lines of ``ImageId,wnid x0 y0 x1 y1 wnid x0 y0 x1 y1 …`` after a header, or of a
            class alone, ``ImageId,wnid``.

    Raises:
        DataError: A line cannot be used, or an image is in two lines.
    """

    def __init__(self, path: Path) -> None:
        self._names = Names()
        self._places = LineNumbers()
        self._ends = array("q", [0])
        self._wnids: list[str] = []
        self._numbers: dict[str, int] = {}
        self._classes = array("i")
        self._corners = array("d")
        hashes = array("q")
        for place, line in lines(path):
            name, _, prediction = line.partition(",")
            if name != "ImageId":
                self._add(name, prediction.split(), place)
                hashes.append(hash(name))
        self._refuse_twice(hashes)
        order = np.argsort(np.asarray(hashes), kind="stable")
        self._order = array("q", order.tobytes())
        self._hashes = array("q", np.asarray(hashes)[order].tobytes())

    def _add(self, name: str, words: list[str], place: str) -> None:
        if not words or (len(words) % 5 and len(words) != 1):
            raise DataError(f"{place}: must be an image, a comma, and 'wnid x0 y0 x1 y1' times n")
        for n in range(0, len(words), 5):
            self._classes.append(self._class(words[n]))
            four = corners(words[n + 1 : n + 5], place) if len(words) > 1 else _NOWHERE
            self._corners.extend(four)
        self._names.append(name)
        self._places.append(place)
        self._ends.append(len(self._classes))

    def _class(self, wnid: str) -> int:
        number = self._numbers.setdefault(wnid, len(self._wnids))
        if number == len(self._wnids):
            self._wnids.append(wnid)
        return number

    def _refuse_twice(self, hashes: array[int]) -> None:
        twice = first_repeated(hashes, self._names)
        if twice:
            first, second = twice
            raise DataError(
                f"{self._places[second]}: {self._names[second]} occurs twice, first in "
                f"{self._places[first]}"
            )

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __getitem__(self, name: str) -> Row:
        row = self._row(name)
        if row is None:
            raise KeyError(name)
        return self._objects(row), self._places[row]

    @overload
    def get(self, name: str, default: None = None, /) -> Row | None: ...
    @overload
    def get(self, name: str, default: Row | T, /) -> Row | T: ...
    def get(self, name: str, default: object = None, /) -> object:
        """Return the row or a default without raising, as half the images have no boxes."""
        row = self._row(name)
        return default if row is None else (self._objects(row), self._places[row])

    def _row(self, name: str) -> int | None:
        key = hash(name)
        place = bisect_left(self._hashes, key)
        while place < len(self._hashes) and self._hashes[place] == key:
            row = self._order[place]
            if self._names[row] == name:
                return row
            place += 1
        return None

    def _objects(self, row: int) -> list[Object]:
        return [
            Object(self._wnids[self._classes[n]], self._corners_of(n))
            for n in range(self._ends[row], self._ends[row + 1])
        ]

    def _corners_of(self, number: int) -> Corners | None:
        x0, y0, x1, y1 = self._corners[4 * number : 4 * number + 4]
        return None if math.isnan(x0) else (x0, y0, x1, y1)
