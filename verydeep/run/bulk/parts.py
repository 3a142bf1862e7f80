"""Parts of bulk work: numbered ranges of rows, each a Parquet file that appears as a whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from verydeep.errors import DataError, MissingExtra
from verydeep.system.files import clear_temporaries, make_folder, write_atomically

KEY = b"verydeep"
"""Key of the job's description in the metadata of each file."""


class Found(NamedTuple):
    """Content of a part's file.

    Attributes:
        rows: Number of rows.
        errors: Number of rows with an error.
    """

    rows: int
    errors: int


@dataclass(frozen=True)
class Parts:
    """The parts of a job.

    Attributes:
        folder: Folder of the files.
        rows: Number of rows of the job.
        size: Rows per part; the last may have fewer.
    """

    folder: Path
    rows: int
    size: int

    def __len__(self) -> int:
        return (self.rows + self.size - 1) // self.size

    def rows_of(self, part: int) -> range:
        """Return the rows of a part.

        >>> Parts(Path("out"), rows=10, size=4).rows_of(2)
        range(8, 10)
        """
        return range(part * self.size, min((part + 1) * self.size, self.rows))

    def file(self, part: int) -> Path:
        """Return the file of a part."""
        return self.folder / f"{part:0{max(5, len(str(len(self) - 1)))}}.parquet"

    def begin(self) -> list[range]:
        """Make the folder, remove what killed writes left, and return the rows of parts to do.

        Raises:
            InputError: The folder is not writable.
        """
        make_folder(self.folder)
        clear_temporaries(self.folder)
        missing = (part for part in range(len(self)) if not self.file(part).exists())
        return [self.rows_of(part) for part in missing]

    def write(self, rows: range, table: Any, about: Mapping[str, Any]) -> None:
        """Write the file of a part atomically.

        Args:
            rows: Rows of the part.
            table: Arrow table with a row per image.
            about: Description of the job.

        Raises:
            InputError: The file cannot be written.
            DiskError: The disk is full.
        """
        part = rows.start // self.size
        assert rows == self.rows_of(part), "a part is a range of its own"
        assert table.num_rows == len(rows), "a part has one row per image"
        table = table.replace_schema_metadata({KEY: json.dumps(about).encode()})
        write = partial(parquet().write_table, table, compression="zstd")
        write_atomically(self.file(part), write)

    def found(self, part: int) -> Found:
        """Return what the file of a part holds, from its footer.

        Raises:
            DataError: The file is missing, broken, or of other rows.
        """
        path, wanted = self.file(part), self.rows_of(part)
        try:
            about = parquet().read_metadata(path)
            rows, errors, first, last = _counts(about)
        except Exception as error:  # depends on the damage
            raise DataError(f"{path}: cannot be read ({error}); remove it and run again") from error
        if (rows, first, last) != (len(wanted), wanted.start, wanted.stop - 1):
            raise DataError(
                f"{path}: holds {rows:,} rows, {first} to {last}, instead of rows {wanted.start} "
                f"to {wanted.stop - 1}; remove it and run again"
            )
        return Found(rows, errors)


def _counts(about: Any) -> tuple[int, int, int, int]:
    """Return the rows, the errors, and the first and the last row number of a file."""
    names = [about.schema.column(number).path for number in range(about.num_columns)]
    row, error = names.index("row"), names.index("error")
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    numbers = [group.column(row).statistics for group in groups]
    blank = sum(group.column(error).statistics.null_count for group in groups)
    first, last = min(one.min for one in numbers), max(one.max for one in numbers)
    return about.num_rows, about.num_rows - blank, first, last


def parquet() -> Any:
    """Return pyarrow's module for Parquet files.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    try:
        from pyarrow import parquet as module
    except ImportError as error:
        raise MissingExtra("bulk work", "ray") from error
    return module
