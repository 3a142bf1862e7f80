"""Names of table columns.

Other programs use ``filename``, ``image_path``, ``class`` …; the first of :data:`ALIASES` that
exists is used. A column ``dataset`` or ``set`` may hold anything: it counts as the split only if
the first row contains a word for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from verydeep.data.geometry import Box
from verydeep.data.split_names import whole_split
from verydeep.errors import DataError, did_you_mean

NEEDED = ("file", "label")

ALIASES = {
    "file": (
        *("file", "file_name", "filename", "filenames", "files", "file_path", "filepath"),
        *("filepaths", "image_path", "img_path", "path", "paths", "image_file", "image_name"),
        *("image", "images", "img", "picture"),
    ),
    "label": (
        *("label", "labels", "class", "class_name", "label_name", "category", "category_name"),
        *("target", "classes"),
    ),
    "split": ("split", "subset", "partition", "data_set", "dataset", "set"),
}
"""Names of each column, most common first."""

_BOXES = ("box", *Box._fields)

_BETWEEN = re.compile(r"[\s\-]+")


def canonical(name: str) -> str:
    """Normalise the name of a column.

    >>> canonical(" File Name")
    'file_name'
    """
    return _BETWEEN.sub("_", str(name).strip().lower())


def used(columns: Iterable[str]) -> frozenset[str]:
    """Return the columns that are used or could be."""
    return frozenset((*Columns.of(columns).values(), *ALIASES, *_BOXES))


class Columns:
    """The columns of a table that are used, determined by its first row.

    Attributes:
        note: Description of the columns; empty if they have the standard names.
    """

    def __init__(self) -> None:
        self.note = ""
        self._names: dict[str, str] | None = None

    @staticmethod
    def of(columns: Iterable[str]) -> dict[str, str]:
        """Return the column of each role; empty if one for file or label is missing."""
        given = set(columns)
        found = {
            role: next((name for name in names if name in given), "")
            for role, names in ALIASES.items()
        }
        return found if all(found[role] for role in NEEDED) else {}

    def renamed(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a row under the standard column names."""
        if self._names is None:
            self._settle(row)
        if not self._names:
            return row
        plain = dict(row)
        for role, name in self._names.items():
            plain[role] = row.get(name)
        return plain

    def _settle(self, row: Mapping[str, Any]) -> None:
        found = self.of(row)
        split = found.get("split", "")
        if split and split != "split" and whole_split(str(row.get(split) or "")) is None:
            found["split"] = ""
        self._names = {role: name for role, name in found.items() if name not in ("", role)}
        if self._names:
            self.note = f" (columns {', '.join(self._names.values())})"


def refuse_columns(columns: Sequence[str], path: Path | str) -> None:
    """Refuse a table that lacks a needed column, or has one twice.

    Raises:
        DataError: A column is missing or repeated.
    """
    twice = [name for name in columns if name in used(columns) and columns.count(name) > 1]
    if twice:
        raise DataError(f"{path}: has the column {twice[0]!r} twice")
    for role in NEEDED:
        if not any(name in columns for name in ALIASES[role]):
            raise DataError(
                f"{path}: needs a column {role!r}; it has {', '.join(columns) or 'none'}"
                f"{did_you_mean(role, columns)} (also accepted: {', '.join(ALIASES[role][1:])})"
            )
