"""Record ids, as numbers or as text."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

from verydeep.errors import DataError, plural

Key = int | str


class Keys:
    """The known ids of some records.

    Args:
        known: The ids.
    """

    def __init__(self, known: Collection[Key]) -> None:
        self._known = known

    def key_of(self, given: Key, what: str, place: str) -> Key:
        """Return the id that a reference means: the same, or the only one with the same number.

        Args:
            given: The id in the reference.
            what: Kind of record, for messages.
            place: Location of the reference.

        Raises:
            DataError: There is none, or several have the same number.
        """
        if given in self._known:
            return given
        number = _number(given)
        found = self._by_number.get(number, []) if number is not None else []
        if len(found) != 1:
            raise DataError(f"{place}: there is no {what} {given!r}; {self._describe(found)}")
        return found[0]

    @cached_property
    def _by_number(self) -> dict[int, list[Key]]:
        found: dict[int, list[Key]] = {}
        for key in self._known:
            number = _number(key)
            if number is not None:
                found.setdefault(number, []).append(key)
        return found

    def _describe(self, alike: Collection[Key]) -> str:
        """Describe the known ids."""
        if alike:
            return f"it could be any of {', '.join(map(repr, alike))}: use one of them"
        if not self._known:
            return "there are none"
        texts = sum(isinstance(key, str) for key in self._known)
        kinds = {0: "numbers", len(self._known): "texts"}.get(texts, "numbers and texts")
        some = ", ".join(repr(key) for key, _ in zip(self._known, range(3), strict=False))
        return f"there are {plural(len(self._known), 'id')}, {kinds} like {some}"


def _number(key: Key) -> int | None:
    """Return the number that an id is or spells."""
    if isinstance(key, int):
        return key
    text = key.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
