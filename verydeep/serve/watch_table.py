"""The table of a watched folder: one row per image, kept across restarts."""

from __future__ import annotations

import csv
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from verydeep.errors import InputError, MissingExtra
from verydeep.system.csv_text import csv_text, digits, unguard
from verydeep.system.files import check_writable, explained_write_errors, write_atomically
from verydeep.system.option_names import option

Row = dict[str, Any]

SUFFIXES = (".csv", ".parquet")


class WatchTable(ABC):
    """A table that rows are added to.

    Attributes:
        path: The file.
        columns: Names of its columns; the first is ``file``.
        names: Files that have a row.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, tuple(columns)
        self.names: set[str] = set()

    @abstractmethod
    def append(self, rows: Sequence[Row]) -> None:
        """Add rows.

        Raises:
            VeryDeepError: The file cannot be written; add all of the rows again.
        """

    def flush(self) -> None:  # noqa: B027 - not abstract: most tables have nothing to do
        """Write what was added, if that is done later."""

    def _check_columns(self, found: Sequence[str]) -> None:
        if tuple(found) != self.columns:
            raise InputError(
                f"{self.path}: its columns are {', '.join(found)}, where this model gives "
                f"{', '.join(self.columns)}; choose another {option('out')}"
            )


def open_table(path: Path, columns: Sequence[str]) -> WatchTable:
    """Open a table, or begin one.

    Raises:
        InputError: The file is no such table, or it cannot be written.
        MissingExtra: Parquet is not installed.
    """
    check_writable(path.parent)
    kind = CsvTable if path.suffix.lower() == ".csv" else ParquetTable
    return kind(path, columns)


class CsvTable(WatchTable):
    """A table as CSV; every row is on the disk before the next begins.

    A row that a crash has cut off is removed when the table is opened again.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        super().__init__(path, columns)
        self._repair()

    def _repair(self) -> None:
        """Read the names of the files, and remove a last row that is incomplete."""
        content = b""
        if self.path.exists():
            with explained_write_errors(self.path):
                content = self.path.read_bytes()
        try:
            rows, ends = _rows_and_ends(content)
        except csv.Error as error:
            raise InputError(f"{self.path}: no CSV ({error}); choose another file") from error
        torn = bool(rows) and (not content.endswith(b"\n") or len(rows[-1]) != len(self.columns))
        kept = rows[:-1] if torn else rows
        if kept:
            self._check_columns([unguard(cell) for cell in kept[0]])
        elif rows and not ",".join(self.columns).encode().startswith(content.rstrip(b"\n")):
            self._check_columns(rows[0])
        self.names = {unguard(row[0]) for row in kept[1:] if row}
        if torn:
            whole = content[: ends[len(kept)]]  # as they were written, quotes included
            write_atomically(self.path, lambda temporary: temporary.write_bytes(whole))
        self._empty = not kept
        self._broken = False

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows, and bring them to the disk."""
        if self._broken or not self.path.exists():  # it may have been moved away
            self._repair()
            rows = [row for row in rows if row["file"] not in self.names]
        lines = [[_cell(row.get(name)) for name in self.columns] for row in rows]
        text = csv_text([self.columns, *lines] if self._empty else lines)
        self._broken = True
        with explained_write_errors(self.path), self.path.open("ab") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
        self._broken = self._empty = False
        self.names |= {row["file"] for row in rows}


def _rows_and_ends(content: bytes) -> tuple[list[list[str]], list[int]]:
    """Return the rows of a CSV file, and the number of bytes up to the end of each, from 0 on.

    Raises:
        csv.Error: It is no CSV.
    """
    rows: list[list[str]] = []
    ends = [0]
    reader = csv.reader(line.decode("utf-8", "replace") for line in io.BytesIO(content))
    lines = list(accumulate(map(len, io.BytesIO(content)), initial=0))
    for row in reader:
        rows.append(row)
        ends.append(lines[reader.line_num])
    return rows, ends


def _cell(value: Any) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return digits(value, ".6g") if isinstance(value, float) else value


class ParquetTable(WatchTable):
    """A table as Parquet, which is written anew whenever rows were added."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        super().__init__(path, columns)
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError as error:
            raise MissingExtra(f"{path}: Parquet (.csv does not)", "parquet") from error
        self._pa, self._parquet = pa, parquet
        self._added: list[Row] = []
        self._schema = pa.schema([(name, self._type(name)) for name in columns])
        self._table = self._schema.empty_table()
        if path.exists():
            self._table = self._read()
            self.names = set(self._table["file"].to_pylist())

    def _type(self, name: str) -> Any:
        if name.startswith(("probability_", "x0_", "y0_", "x1_", "y1_")):
            return self._pa.float64()
        return self._pa.bool_() if name == "abstained" else self._pa.string()

    def _read(self) -> Any:
        try:
            found = self._parquet.read_table(self.path)
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path}: no Parquet table; choose another file") from error
        self._check_columns(found.column_names)
        return found.cast(self._schema)

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows, to be written by :meth:`flush`."""
        self._added += rows
        self.names |= {row["file"] for row in rows}

    def flush(self) -> None:
        """Write the table with all rows."""
        if not self._added:
            return
        rows = [{name: row.get(name) for name in self.columns} for row in self._added]
        new = self._pa.Table.from_pylist(rows, schema=self._schema)
        whole = self._pa.concat_tables([self._table, new])
        write_atomically(self.path, lambda temporary: self._parquet.write_table(whole, temporary))
        self._table, self._added = whole, []
