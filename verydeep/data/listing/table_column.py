"""A column of a table as a list of images: ``.parquet``, ``.csv``, ``.tsv`` or ``.jsonl``."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from verydeep.data.images.regular_file import open_regular
from verydeep.data.layouts.columns import ALIASES, canonical
from verydeep.data.listing.listing import Listing, Places, suffix_of
from verydeep.data.string_array import Names
from verydeep.errors import DataError, MissingExtra, did_you_mean
from verydeep.system.device import without_secret
from verydeep.system.object_stores import is_remote, open_remote
from verydeep.system.option_names import option

Values = Generator[Any, None, None]


def list_table(place: str, column: str | None = None) -> Listing:
    """Return the images that a column of a table names, a row each.

    Relative paths are relative to the table's folder. An empty cell is a row without an image.

    Args:
        place: Path or URL of the table.
        column: Name of the column; None takes the first one with a usual name, such as ``file``,
            ``path`` or ``image``.

    Raises:
        DataError: The table cannot be read, has no such column, or a cell is no text.
        MissingExtra: It is a Parquet file, and pyarrow is not installed.
    """
    suffix = suffix_of(place)
    shown, names = without_secret(place), Names()
    try:
        with (
            contextlib.closing(_opened(place)) as stream,
            contextlib.closing(READERS[suffix](stream, column, shown)) as values,
        ):
            for row, value in enumerate(values, 1):
                if not isinstance(value, str | None):
                    raise DataError(f"{shown}, row {row}: must be text, got {value!r} instead")
                names.append((value or "").strip())
    except (UnicodeError, csv.Error) as error:
        raise DataError(f"{shown}: cannot be read as {suffix} ({error})") from error
    except OSError as error:
        raise DataError(f"{shown}: cannot be read ({error.strerror or error})") from error
    return Listing("table", names, Places(_folder(place), names))


def _opened(place: str) -> BinaryIO:
    return open_remote(place) if is_remote(place) else io.BufferedReader(open_regular(place))


def _folder(place: str) -> str:
    return place.rpartition("/")[0] if is_remote(place) else str(Path(place).absolute().parent)


def _csv_values(stream: BinaryIO, column: str | None, shown: str) -> Values:
    with io.TextIOWrapper(stream, "utf-8-sig", newline="") as text:
        heading = text.readline()
        sign = max(",;\t", key=heading.count)
        names = next(csv.reader([heading], delimiter=sign, skipinitialspace=True), [])
        place = names.index(chosen(names, column, shown))
        for row in csv.reader(text, delimiter=sign, skipinitialspace=True, strict=True):
            if row:
                yield row[place] if place < len(row) else None


def _json_values(stream: BinaryIO, column: str | None, shown: str) -> Values:
    with io.TextIOWrapper(stream, "utf-8-sig") as text:
        wanted = None
        for number, line in enumerate(text, 1):
            if line.strip():
                row = _object(line, f"{shown}, line {number}")
                wanted = wanted or chosen([*row], column, shown)
                yield row.get(wanted)


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: not valid JSON ({error})") from error
    if not isinstance(row, dict):
        raise DataError(f"{place}: must be an object like {{'file': …}}")
    return row


def _parquet_values(stream: BinaryIO, column: str | None, shown: str) -> Values:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra(f"{shown}: Parquet", "parquet") from error
    try:
        with parquet.ParquetFile(stream) as file:
            wanted = chosen(file.schema_arrow.names, column, shown)
            for batch in file.iter_batches(columns=[wanted]):
                yield from batch.column(0).to_pylist()
    except pyarrow.ArrowException as error:
        raise DataError(f"{shown}: not valid Parquet ({error})") from error


READERS: dict[str, Callable[[BinaryIO, str | None, str], Values]] = {
    ".parquet": _parquet_values,
    ".csv": _csv_values,
    ".tsv": _csv_values,
    ".jsonl": _json_values,
}
"""Readers by the extension of a table."""


def chosen(columns: Sequence[str], asked: str | None, shown: str) -> str:
    """Return the column that names images.

    Args:
        columns: Columns of the table.
        asked: Requested column; None looks for a usual name.
        shown: Name of the table in messages.

    Raises:
        DataError: There is none.
    """
    if asked is not None:
        if asked in columns:
            return asked
        raise DataError(
            f"{shown}: has no column {asked!r}; it has {', '.join(columns) or 'none'}"
            f"{did_you_mean(asked, columns)}"
        )
    known = {canonical(name): name for name in reversed(columns)}
    found = next((known[name] for name in ALIASES["file"] if name in known), None)
    if found is None:
        raise DataError(
            f"{shown}: no column has a usual name of paths ({', '.join(ALIASES['file'][:4])} …); "
            f"it has {', '.join(columns) or 'none'}: name one with {option('column')}"
        )
    return found
