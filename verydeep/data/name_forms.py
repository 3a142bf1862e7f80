"""Comparison of names that look the same: Unicode's normal forms, case, blanks."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from verydeep.errors import plural


def nfc(name: str) -> str:
    r"""Return a name in Unicode's normal form NFC.

    >>> nfc("cafe\u0301") == "caf\u00e9"
    True
    """
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def alike(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of names that differ only in case, blanks or compatibility characters.

    >>> alike(["Cat", "cat", "cat ", "dog", "hot_dog", "Hot Dog"])
    [('Cat', 'cat', 'cat '), ('hot_dog', 'Hot Dog')]
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_folded(name), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def alike_in_words(groups: Sequence[tuple[str, ...]]) -> str:
    """Describe groups of similar names.

    >>> alike_in_words([("Cat", "cat ")])
    "classes that differ only in case or blanks: 'Cat', 'cat '"
    """
    first = ", ".join(map(repr, groups[0]))
    more = f" and {plural(len(groups) - 1, 'more group')}" if len(groups) > 1 else ""
    return f"classes that differ only in case or blanks: {first}{more}"


def _folded(name: str) -> str:
    plain = name if name.isascii() else unicodedata.normalize("NFKC", name)
    return "".join(plain.casefold().replace("_", " ").split())
