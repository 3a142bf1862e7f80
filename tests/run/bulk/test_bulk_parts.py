"""Files of parts: each holds its rows, and tells so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verydeep.errors import DataError
from verydeep.run.bulk.parts import Parts

pa = pytest.importorskip("pyarrow", reason="results are Parquet files")


def table(rows: range, faults: int = 0) -> Any:
    errors = ["broken"] * faults + [None] * (len(rows) - faults)
    return pa.table(
        {
            "row": pa.array(rows, pa.int64()),
            "classes": pa.array([["a", "b"]] * len(rows), pa.list_(pa.string())),
            "error": pa.array(errors, pa.string()),
        }
    )


@given(st.integers(1, 300), st.integers(1, 80))
def test_every_row_is_in_one_part(rows: int, size: int) -> None:
    parts = Parts(Path("out"), rows, size)
    assert [row for part in range(len(parts)) for row in parts.rows_of(part)] == list(range(rows))


def test_files_sort_like_parts() -> None:
    parts = Parts(Path("out"), 3_000_000, 10)
    assert [parts.file(part).name for part in (0, 299_999)] == ["000000.parquet", "299999.parquet"]
    assert Parts(Path("out"), 30, 10).file(2) == Path("out/00002.parquet")


@pytest.mark.parametrize("faults", [0, 2, 4])
def test_what_was_written_is_found_and_not_to_do(faults: int, tmp_path: Path) -> None:
    parts = Parts(tmp_path / "parts", rows=10, size=4)
    assert parts.begin() == [range(4), range(4, 8), range(8, 10)]
    parts.write(range(4, 8), table(range(4, 8), faults), {"verb": "predict"})
    (tmp_path / "parts" / ".00002.parquet.x.tmp").write_text("a killed write")
    assert parts.begin() == [range(4), range(8, 10)]
    assert [path.name for path in parts.folder.iterdir()] == ["00001.parquet"]
    assert parts.found(1) == (4, faults)


def test_files_of_other_rows_are_told(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "parts", rows=8, size=4)
    parts.write(range(4), table(range(4)), {})
    parts.file(0).rename(parts.file(1))
    with pytest.raises(DataError, match=r"00001.parquet: holds 4 rows, 0 to 3, instead of rows 4"):
        parts.found(1)
    parts.file(1).write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"00001.parquet: cannot be read .*remove it and run again"):
        parts.found(1)
    with pytest.raises(DataError, match=r"00000.parquet: cannot be read"):
        parts.found(0)
