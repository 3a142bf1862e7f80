"""Ids by which records refer to each other, as numbers or as text."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

from verydeep.errors import DataError, plural

Key = int | str


class Keys:
    """The ids of some records.

    Args:
        known: The ids.
    """

    def __init__(self, known: Collection[Key]) -> None:
        self._known = known

    def key_of(self, given: Key, what: str, place: str) -> Key:
        """Return the id that one refers to: the same, or the only one of the same number.

        Args:
            given: The id as it is referred to.
            what: Of which kind of record, for messages.
            place: Where it is referred to.

        Raises:
            DataError: There is none, or several are of the same number.
        """
        if given in self._known:
            return given
        number = _number(given)
        found = self._by_number.get(number, []) if number is not None else []
        if len(found) != 1:
            raise DataError(f"{place}: there is no {what} {given!r}; {self._told(found)}")
        return found[0]

    @cached_property
    def _by_number(self) -> dict[int, list[Key]]:
        found: dict[int, list[Key]] = {}
        for key in self._known:
            number = _number(key)
            if number is not None:
                found.setdefault(number, []).append(key)
        return found

    def _told(self, alike: Collection[Key]) -> str:
        """Return what the ids are, in words."""
        if alike:
            return f"it could be any of {', '.join(map(repr, alike))}: write one of them"
        if not self._known:
            return "there are none at all"
        texts = sum(isinstance(key, str) for key in self._known)
        kinds = {0: "numbers", len(self._known): "texts"}.get(texts, "numbers and texts")
        some = ", ".join(repr(key) for key, _ in zip(self._known, range(3), strict=False))
        return f"ids of {plural(len(self._known), 'record')} are known, {kinds} like {some}"


def _number(key: Key) -> int | None:
    """Return the number that an id is or stands for."""
    if isinstance(key, int):
        return key
    text = key.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
