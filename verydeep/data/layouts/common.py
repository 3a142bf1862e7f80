"""What the layouts share: safe names, numbers, and the way from entries to a data set.

Files of annotations come from anywhere. A name in them may lead to no place outside the data set,
every fault is a :class:`~verydeep.errors.DataError` that says where it stands.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from verydeep.data.samples import Box, Dataset, Sample, relative_name
from verydeep.errors import DataError, did_you_mean

SPLITS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
"""What people call splits, and what they are called here."""

ORDER = ("train", "val", "test", "all")
"""``all`` are pictures that nothing divides."""

_STROKES = re.compile(r"[/\\]")
_DRIVE = re.compile(r"[A-Za-z]:")

Corners = tuple[float, float, float, float]


class Entry(NamedTuple):
    """A picture as a file of annotations tells of it.

    Attributes:
        path: Where the picture is.
        name: Its class.
        box: Where on it the object is, if that is told.
        place: The file, and the line if there is one, that says so.
        others: Where further objects of the class are.
    """

    path: Path
    name: str
    box: Box | None
    place: str
    others: tuple[Box, ...] = ()


def assemble(
    root: Path,
    layout: str,
    splits: Mapping[str, Sequence[Entry]],
    *,
    titles: Mapping[str, str] | None = None,
    notes: Iterable[str] = (),
) -> Dataset:
    """Return the data set that entries make up.

    Args:
        root: Folder that its pictures lie in.
        layout: How it lies on disk, in words.
        splits: Entries by name of the split; empty ones are left out. Classes are those of
            ``train`` (of ``all``, if the entries are not divided), in order of their names.
        titles: What to show people for a class.
        notes: What else is to be said of it.

    Raises:
        DataError: There are no training pictures or fewer than two classes, a class has no name
            that can be printed, another split has a class that training lacks, or a picture
            stands in a split twice. (One that stands in two splits is let pass.)
    """
    filled = {name: splits[name] for name in ORDER if splits.get(name)}
    whole = filled.get("train") or filled.get("all")
    if not whole:
        found = ", ".join(f"{len(entries):,} {name}" for name, entries in filled.items())
        raise DataError(f"{root}: {layout} without training pictures; found {found or 'none'}")
    classes = _class_names(root, whole)
    labels = {name: label for label, name in enumerate(classes)}
    return Dataset(
        root,
        layout,
        classes,
        {name: tuple(_samples(root, name, filled[name], labels)) for name in filled},
        {name: title for name, title in (titles or {}).items() if name in labels},
        notes=tuple(notes),
    )


def _class_names(root: Path, entries: Iterable[Entry]) -> tuple[str, ...]:
    places = {entry.name: entry.place for entry in entries}
    for name, place in places.items():
        if not name.strip() or not name.isprintable():
            raise DataError(f"{place}: a class needs a name of printable characters, got {name!r}")
    if len(places) < 2:
        raise DataError(
            f"{root}: a classifier needs at least two classes; found {', '.join(places)}"
        )
    return tuple(sorted(places))


def _samples(
    root: Path, split: str, entries: Iterable[Entry], labels: Mapping[str, int]
) -> Iterator[Sample]:
    places: dict[Path, str] = {}
    for path, name, box, place, others in entries:
        if name not in labels:
            raise DataError(
                f"{place}: there is no training class {name!r}{did_you_mean(name, labels)}; "
                "every class needs training pictures"
            )
        if path in places:
            raise DataError(
                f"{place}: {relative_name(path, root)} stands in {split} twice, first in "
                f"{places[path]}: keep one of them"
            )
        places[path] = place
        yield Sample(path, labels[name], box, others if box else ())


def inside(folder: Path, name: str, place: str) -> Path:
    """Return the path of a file that is named relative to a folder, and is in it or below.

    Raises:
        DataError: The name leads elsewhere, or no file can have it.
    """
    parts = _STROKES.split(name)
    nothing = all(part in ("", ".") for part in parts)
    if nothing or not parts[0] or _DRIVE.match(name) or ".." in parts or "\0" in name:
        raise DataError(
            f"{place}: {name!r} is no file in {folder}: name pictures relative to it, without '..'"
        )
    try:
        os.fsencode(name)
    except UnicodeEncodeError as error:
        raise DataError(f"{place}: no file can be called {name!r}") from error
    return folder / name


def read_text(path: Path) -> str:
    """Return a text in UTF-8, with or without a byte order mark.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not in UTF-8 (byte {error.start}: {error.reason}): save it as UTF-8"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the lines of a text that are not blank, each after its place, ``file, line 3``."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield f"{path}, line {number}", line.strip()


def corners(values: Sequence[object], place: str) -> Corners:
    """Return the four numbers of a box.

    Raises:
        DataError: They are not four, or no numbers.
    """
    try:
        x0, y0, x1, y1 = (float(value) for value in values)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{place}: a box must be four numbers, got {list(values)} instead"
        ) from error
    if not all(math.isfinite(corner) for corner in (x0, y0, x1, y1)):
        raise DataError(f"{place}: a box must be four finite numbers, got {list(values)}")
    return x0, y0, x1, y1


def box_or_none(x0: float, y0: float, x1: float, y1: float) -> Box | None:
    """Return a box, or None if it is empty, as a few are in well-known data sets."""
    return Box(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def counted(count: int, what: str) -> Collection[str]:
    """Return a note on some pictures, or none if there are none of them."""
    return (f"{count:,} {what}",) if count else ()
