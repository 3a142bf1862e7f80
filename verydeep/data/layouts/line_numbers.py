"""Locations of many entries, ``file, line 3``, in a few bytes each."""

from __future__ import annotations

from array import array

from verydeep.data.string_array import Names

_LONGEST_NUMBER = 18  # digits that fit eight bytes


class LineNumbers:
    """Texts that mostly end in a number or repeat the previous one.

    >>> places = LineNumbers()
    >>> for place in ("a.csv, line 2", "a.csv, line 3", "train/cat"):
    ...     places.append(place)
    >>> places[1], places[2], len(places)
    ('a.csv, line 3', 'train/cat', 3)
    """

    def __init__(self) -> None:
        self._beginnings: dict[str, int] = {}  # of texts that end in a number: one per file
        self._others = Names()
        self._last: str | None = None
        self._kinds = array("i")  # index k of the beginning, or -1 - k for another text
        self._numbers = array("q")

    def append(self, place: str) -> None:
        """Add the location of the next entry."""
        beginning, blank, number = place.rpartition(" ")
        if _is_number(number):
            kind = self._beginnings.setdefault(beginning + blank, len(self._beginnings))
            self._kinds.append(kind)
            self._numbers.append(int(number))
            return
        if place != self._last:
            self._others.append(place)
            self._last = place
        self._kinds.append(-len(self._others))
        self._numbers.append(0)

    def __len__(self) -> int:
        return len(self._kinds)

    def __getitem__(self, index: int) -> str:
        kind = self._kinds[index]
        if kind < 0:
            return self._others[-1 - kind]
        return f"{[*self._beginnings][kind]}{self._numbers[index]}"


def _is_number(word: str) -> bool:
    """Return whether a word is a number that prints as the same text."""
    plain = word.isascii() and word.isdigit() and len(word) <= _LONGEST_NUMBER
    return plain and (word[0] != "0" or word == "0")
