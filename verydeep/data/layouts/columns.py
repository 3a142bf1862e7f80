"""Names of table columns.

Other programs use ``filename``, ``image_path``, ``class`` …; the first of :data:`ALIASES` that
exists is used. A column ``dataset`` or ``set`` may hold anything: it counts as the split only if
the first row contains a word for one.

Of multi-label tables, ``label:NAME`` is a column of zeros and ones for one class. Where the task is
given as multi-label and there is no other column of labels, every column that has a name and is not
known by one of these is such a column.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from verydeep.data.geometry import Box
from verydeep.data.label_sets import DataTask
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

INDICATOR = "label:"
"""Beginning of the name of a column of zeros and ones for one class."""

_BETWEEN = re.compile(r"[\s\-]+")


def canonical(name: str) -> str:
    """Normalise the name of a column.

    >>> canonical(" File Name")
    'file_name'
    >>> canonical("Label: Guinea pig")
    'label:Guinea pig'
    """
    head, colon, class_name = str(name).partition(":")
    if colon and head.strip().lower() == "label":
        return INDICATOR + class_name.strip()
    return _BETWEEN.sub("_", str(name).strip().lower())


def canonical_columns(given: Sequence[str], task: DataTask | None) -> list[str]:
    """Return the normalised names of all columns; see the module's text on multi-label tables."""
    names = [canonical(name) for name in given]
    known = {*ALIASES["file"], *ALIASES["split"], *_BOXES}
    labelled = any(name in ALIASES["label"] or name.startswith(INDICATOR) for name in names)
    if task != "multi-label" or labelled:
        return names
    return [
        name if name in known or not name else INDICATOR + str(text).strip()
        for name, text in zip(names, given, strict=True)
    ]


def indicator_columns(columns: Iterable[str]) -> list[str]:
    """Return the columns of zeros and ones for one class."""
    return [name for name in columns if name.startswith(INDICATOR)]


def used(columns: Iterable[str]) -> frozenset[str]:
    """Return the columns that are used or could be."""
    columns = [*columns]
    own = (*filter(None, Columns.of(columns).values()), *indicator_columns(columns))
    return frozenset((*own, *ALIASES, *_BOXES))


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
        if not found["label"] and indicator_columns(given):
            del found["label"]
        return found if all(found.get(role, "-") for role in NEEDED) else {}

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
        if role == "label" and indicator_columns(columns):
            continue
        if not any(name in columns for name in ALIASES[role]):
            raise DataError(
                f"{path}: needs a column {role!r}; it has {', '.join(columns) or 'none'}"
                f"{did_you_mean(role, columns)} (also accepted: {', '.join(ALIASES[role][1:])})"
            )
