"""A table of images: ``.csv``, ``.jsonl`` or ``.parquet`` with the columns file and label.

========  ====================================================================================
file      the image, relative to the table's folder
label     its class: text or an integer; of several classes, see
          :mod:`verydeep.data.layouts.label_columns`
split     optional: a word for a split, see :mod:`verydeep.data.split_names`; without it, splits are
          drawn by rule
box       optional: ``x0 y0 x1 y1``, or four numbers as a list, or four columns of these names;
          x1 and y1 are exclusive; may be empty
========  ====================================================================================

Columns may have any order, any case, and the names in :mod:`verydeep.data.layouts.columns`; others
are ignored. In CSV, the delimiter is the comma, semicolon or tab that divides the first line into
such columns. An image may not be in a split twice. Samples keep the order of the table. Rows with a
system file, like ``._1.jpg``, are left out and counted.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from verydeep.data.annotations import box_or_none, corners
from verydeep.data.dataset import Dataset
from verydeep.data.folders.system_files import is_system_path
from verydeep.data.geometry import Box
from verydeep.data.images.regular_file import check_regular
from verydeep.data.label_sets import DataTask
from verydeep.data.layouts.assemble import (
    Assembly,
    Entry,
    counted,
    label_entry,
    lines,
    name_inside,
    opened_text,
)
from verydeep.data.layouts.columns import (
    Columns,
    canonical_columns,
    indicator_columns,
    refuse_columns,
    used,
)
from verydeep.data.layouts.label_columns import is_multi_label, labels_of
from verydeep.data.split_names import EVAL, unknown_split, whole_split
from verydeep.errors import DataError, MissingExtra, did_you_mean, shortened

Row = Mapping[str, Any]
MOST_FAULTS = 20
"""Maximum number of invalid rows to report at once."""
_CORNERS = frozenset(Box._fields)


def recognise(path: Path) -> bool:
    """Return whether it is a .csv, .jsonl or .parquet file."""
    return path.is_file() and path.suffix.lower() in _READERS


def read(path: Path, task: DataTask | None = None) -> Dataset:
    """Read the data set.

    Args:
        path: The table.
        task: ``classification`` takes a label as it stands, ``multi-label`` divides it; None lets
            the table decide. Multi-label images have no boxes.

    Raises:
        DataError: A column is missing, or a row cannot be used.
        MissingExtra: It is a Parquet file, and pyarrow is not installed.
    """
    if path.suffix.lower() not in _READERS:
        raise DataError(f"{path}: a table must be one of {', '.join(_READERS)}")
    folder = path.parent
    rows = partial(_READERS[path.suffix.lower()], path, task)
    several = is_multi_label(rows, task)
    indicators: list[str] | None = None  # of a multi-label table
    assembly = Assembly(folder, "a table")
    faults: list[str] = []  # the first
    invalid = 0
    columns = Columns()
    skipped = 0
    for place, row in rows():
        if several and indicators is None:
            indicators = indicator_columns(row)
        row = columns.renamed(row)
        if is_system_path(str(row.get("file"))):
            skipped += 1
            continue
        try:
            assembly.add(_split(row, place), _entry(folder, row, place, indicators))
        except DataError as error:
            invalid += 1
            if invalid <= MOST_FAULTS:
                faults.append(str(error))
    if faults:
        more = invalid - len(faults)
        raise DataError("\n".join([*faults, *([f"... and {more:,} more rows"] if more else [])]))
    undivided = assembly.first_place("all")
    if undivided and any(map(assembly.first_place, ("train", "val", "test", EVAL))):
        raise DataError(f"{undivided}: has no split, but other rows do; give all rows one, or none")
    assembly.layout += columns.note
    dataset = assembly.dataset(notes=counted(skipped, "that are system files (._*) left out"))
    return replace(dataset, table=path)


def column_of(path: Path, column: str) -> Iterator[tuple[str, str]]:
    """Yield the path of each image and its text in a further column; empty if it has none.

    Args:
        path: The table.
        column: Name of the column, as by :func:`verydeep.data.layouts.columns.canonical`.

    Raises:
        DataError: There is no such column, or a row cannot be read.
    """
    columns = Columns()
    for number, (place, row) in enumerate(_READERS[path.suffix.lower()](path, None, (column,))):
        if number == 0 and column not in row:
            raise DataError(
                f"{path}: has no column {column!r}; it has {', '.join(row)}"
                f"{did_you_mean(column, row)}"
            )
        value, named = row.get(column), columns.renamed(row)
        if not is_system_path(str(named.get("file"))):
            text = "" if _is_empty(value) else str(value).strip()
            yield name_inside(path.parent, str(named.get("file")).strip(), place), text


def _csv_rows(
    path: Path, task: DataTask | None, _more: Collection[str] = ()
) -> Iterator[tuple[str, Row]]:
    with opened_text(path, newline="") as stream:
        delimiter = _delimiter(next(filter(str.strip, stream), ""), task)
        stream.seek(0)
        rows = csv.reader(stream, delimiter=delimiter, strict=True, skipinitialspace=True)
        columns: list[str] = []
        try:
            for row in rows:
                place = f"{path}, line {rows.line_num}"
                if not any(map(str.strip, row)):  # as spreadsheets write below their data
                    continue
                if not columns:
                    columns = _check_columns(row, path, task)
                elif len(row) > len(columns):
                    raise DataError(
                        f"{place}: has {len(row)} columns, the first line {len(columns)}"
                    )
                else:
                    yield place, dict(zip(columns, row, strict=False))
        except csv.Error as error:
            raise DataError(f"{path}, line {rows.line_num}: not valid CSV ({error})") from error
    if not columns:
        _check_columns([], path, task)


def _delimiter(heading: str, task: DataTask | None) -> str:
    """Return the delimiter that gives usable columns, else the first one in the line."""
    signs = [sign for sign in ",;\t" if sign in heading]
    for sign in signs:
        names = next(csv.reader([heading], delimiter=sign, skipinitialspace=True), [])
        if Columns.of(canonical_columns(names, task)):
            return sign
    return signs[0] if signs else ","


def _json_rows(
    path: Path, task: DataTask | None, _more: Collection[str] = ()
) -> Iterator[tuple[str, Row]]:
    for number, (place, line) in enumerate(lines(path)):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place}: not valid JSON ({error})") from error
        if not isinstance(row, dict):
            raise DataError(f"{place}: must be an object like {{'file': …, 'label': …}}")
        named = dict(zip(canonical_columns([*row], task), row.values(), strict=True))
        if number == 0:
            refuse_columns([*named], place)
        yield place, named


def _parquet_rows(
    path: Path, task: DataTask | None, more: Collection[str] = ()
) -> Iterator[tuple[str, Row]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra(f"{path}: Parquet", "parquet") from error
    try:
        check_regular(path)
        with parquet.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            columns = _check_columns(names, path, task)
            _refuse_images(file.schema_arrow, columns, path)
            kept = {*used(columns), *more}
            wanted = [n for n, one in zip(names, columns, strict=True) if one in kept]
            yield from _numbered_rows(file.iter_batches(columns=wanted), path, task)
    except (pyarrow.ArrowException, OSError, UnicodeError) as error:
        raise DataError(f"{path}: not valid Parquet ({error})") from error


def _refuse_images(schema: Any, columns: Sequence[str], path: Path) -> None:
    """Refuse a table that holds images, as those of the Hugging Face Hub do, instead of names.

    Raises:
        DataError: The column of files has bytes, or bytes and names.
    """
    from pyarrow import types

    field = schema.field(columns.index(Columns.of(columns)["file"]))
    if types.is_struct(field.type) or types.is_binary(field.type):
        raise DataError(
            f"{path}: the column {field.name!r} holds images, and a table names files; give the "
            "folder that save_to_disk wrote, or the data set's id, like hf:owner/name"
        )


def _numbered_rows(
    parts: Iterable[Any], path: Path, task: DataTask | None
) -> Iterator[tuple[str, Row]]:
    numbers = itertools.count(1)
    for part in parts:
        names = canonical_columns(part.schema.names, task)
        for row in part.to_pylist():
            yield f"{path}, row {next(numbers)}", dict(zip(names, row.values(), strict=True))


_READERS = {".csv": _csv_rows, ".jsonl": _json_rows, ".parquet": _parquet_rows}


def _check_columns(given: list[str], path: Path, task: DataTask | None) -> list[str]:
    columns = canonical_columns(given, task)
    refuse_columns(columns, path)
    return columns


def _split(row: Row, place: str) -> str:
    given = row.get("split")
    if _is_empty(given):
        return "all"
    split = whole_split(given) if isinstance(given, str) else None
    if split is None:
        raise unknown_split(given, place)
    return split


def _entry(folder: Path, row: Row, place: str, indicators: list[str] | None) -> Entry:
    name = row.get("file")
    if not isinstance(name, str) or _is_empty(name):
        raise DataError(f"{place}: file must name an image, got {shortened(name)} instead")
    path = name_inside(folder, name.strip(), place)
    if indicators is not None:
        return label_entry(path, labels_of(row, indicators, place), place)
    return Entry(path, _label(row, place), _box(row, place), place)


def _label(row: Row, place: str) -> str:
    label = row.get("label")
    if isinstance(label, int) and not isinstance(label, bool):
        return str(label)
    if not isinstance(label, str) or _is_empty(label):
        raise DataError(
            f"{place}: label must be text or an integer, got {shortened(label)} instead"
        )
    return label.strip()


def _box(row: Row, place: str) -> Box | None:
    given = row.get("box")
    four = [] if _CORNERS.isdisjoint(row) else [row.get(name) for name in Box._fields]
    if not all(map(_is_empty, four)):
        if not _is_empty(given):
            raise DataError(f"{place}: has both box and {', '.join(Box._fields)}: keep one")
        given = four
    if _is_empty(given):
        return None
    if isinstance(given, str):
        given = given.strip(" []()").replace(",", " ").split()
    if not isinstance(given, list):
        raise DataError(f"{place}: a box must be four numbers, got {shortened(given)}")
    box = box_or_none(*corners(given, place))
    if box is None:
        raise DataError(f"{place}: a box needs x0 < x1 and y0 < y1, got {shortened(given)}")
    return box


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or value == []
