"""A watched folder: every image has one row, whatever happens between."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import errno
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from serving import as_file, labelled_served, random_served, serving

from verydeep.cli.text.predictions import predictions_as_rows
from verydeep.errors import DiskError, FolderInUse, InputError
from verydeep.serve.answers import ImageAnswer
from verydeep.serve.decoding import Decoded
from verydeep.serve.models import ServedModel
from verydeep.serve.service import Service
from verydeep.serve.watch import TRIES, Rest, Watched, Watcher, columns_of, row_of
from verydeep.serve.watch_table import CsvTable, open_table

REST = Rest(whole=0.05, broken=0.4, scan=0.02)


def rows_of(table: Path) -> list[dict[str, Any]]:
    if not table.exists():
        return []
    if table.suffix == ".csv":
        with table.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    parquet = pytest.importorskip("pyarrow.parquet")
    return list(parquet.read_table(table).to_pylist())


def watch_until(watched: Watched, service: Service, done: Callable[[], bool]) -> None:
    """Watch a folder until something has happened."""

    async def run() -> None:
        task = asyncio.ensure_future(Watcher(watched, service).run())
        async with asyncio.timeout(20):
            while not done():
                assert not task.done()
                await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_every_image_is_named_once_also_after_a_restart(
    service: Service,
    served: ServedModel,
    photographs: list[Image.Image],
    tmp_path: Path,
    suffix: str,
) -> None:
    folder, out = tmp_path / "inbox", tmp_path / f"named{suffix}"
    (folder / "below").mkdir(parents=True)
    watched = Watched(folder, out, REST)
    whole = as_file(photographs[0])
    for name in ("-1.jpg", "below/b.jpg"):
        (folder / name).write_bytes(whole)
    (folder / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("no image")
    watch_until(watched, service, lambda: len(rows_of(out)) == 2)
    (folder / "half.jpg").write_bytes(whole)  # the rest has arrived
    (folder / "broken.jpg").write_bytes(b"never an image")
    watch_until(watched, service, lambda: len(rows_of(out)) == 4)
    rows = {row["file"].lstrip("'"): row for row in rows_of(out)}
    assert sorted(rows) == ["-1.jpg", "below/b.jpg", "broken.jpg", "half.jpg"]
    assert "not an image" in rows["broken.jpg"]["fault"]
    (expected,) = served.model.predict(folder / "half.jpg")
    for name in ("-1.jpg", "below/b.jpg", "half.jpg"):
        assert not rows[name]["fault"]
        assert [rows[name][f"class_{n}"] for n in range(1, 6)] == [k for k, _ in expected.ranking]
        assert float(rows[name]["probability_1"]) == pytest.approx(expected.probability, rel=1e-5)
        assert rows[name]["model"] == f"tiny@{served.version[:12]}"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_labels_have_the_column_of_predict(
    photographs: list[Image.Image], tmp_path: Path, suffix: str
) -> None:
    folder, out = tmp_path / "inbox", tmp_path / f"named{suffix}"
    folder.mkdir()
    photographs[0].save(folder / "a.png")
    (folder / "broken.png").write_bytes(b"no image")
    served = labelled_served(photographs[0], [0, 6])
    with serving([served]) as (_, service):
        watched = Watched(folder, out, REST)
        watch_until(watched, service, lambda: len(rows_of(out)) == 2)
    rows = {row["file"]: row for row in rows_of(out)}
    head, expected = predictions_as_rows(served.model.predict(folder / "a.png"))
    assert [*rows["a.png"]][: len(head)] == head
    assert rows["a.png"]["labels"] == expected[-1]
    assert len(expected[-1].split("|")) == 2
    assert not rows["broken.png"]["labels"]
    assert rows["broken.png"]["fault"]


def test_a_folder_that_was_gone_is_looked_into_as_soon_as_it_is_back(
    service: Service,
    photographs: list[Image.Image],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, out, said = tmp_path / "inbox", tmp_path / "named.csv", []
    monkeypatch.setattr(service, "log", said.append)

    def named() -> bool:
        if said and not folder.exists():
            folder.mkdir()
            photographs[0].save(folder / "a.png")
        return bool(rows_of(out))

    watch_until(Watched(folder, out, REST), service, named)  # it waits for less than MOST_PAUSE
    assert said == [f"{folder}: the folder is gone; waiting for it"]


class Failing(ServedModel):
    """A model that fails for its first images."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.failures: list[BaseException] = []

    def answer(self, images: Sequence[Decoded], top: int) -> list[ImageAnswer]:
        if self.failures:
            raise self.failures.pop()
        return super().answer(images, top)


@pytest.mark.parametrize(
    ("failures", "fault"),
    [
        ([torch.OutOfMemoryError("CUDA out of memory"), MemoryError()] * 3, ""),
        ([RuntimeError("cuDNN")] * (TRIES - 1), ""),
        ([RuntimeError("cuDNN")] * TRIES, "the model cannot answer for it"),
    ],
    ids=["memory", "passing", "lasting"],
)
def test_only_a_failure_that_lasts_has_a_row(
    failures: list[BaseException], fault: str, photographs: list[Image.Image], tmp_path: Path
) -> None:
    folder, out = tmp_path / "inbox", tmp_path / "named.csv"
    folder.mkdir()
    photographs[0].save(folder / "a.png")
    served = random_served("failing", Failing)
    with serving([served]) as (_, service):
        served.failures = [*failures]
        watched = Watched(folder, out, replace(REST, broken=0.05))
        watch_until(watched, service, lambda: bool(rows_of(out)))
    (row,) = rows_of(out)
    assert row["fault"] == fault
    assert bool(row["class_1"]) is not bool(fault)


def test_a_set_of_classes_has_their_titles() -> None:
    served = random_served()
    served.model = replace(served.model, titles={"class 1": "The first"})
    answer = ImageAnswer(name="a.png", class_set=["class 0", "class 1"])
    assert row_of("a.png", answer, served)["set"] == "class 0|The first"


def test_a_row_that_a_crash_has_cut_off_is_written_anew(
    served: ServedModel, tmp_path: Path
) -> None:
    out = tmp_path / "named.csv"
    columns = columns_of(served)
    table = CsvTable(out, columns)
    names = ["a\nb.jpg", "a\rb.jpg", "\r\n", "é.jpg", 'with "quotes", and a comma.jpg', "=1+1.jpg"]
    table.append([{"file": name, "class_1": "cat\ndog"} for name in names])
    whole = out.read_bytes()
    for cut in range(0, len(whole), 7):
        out.write_bytes(whole[:cut])
        again = CsvTable(out, columns)
        kept = again.names
        assert kept <= set(names)
        again.append([{"file": name, "class_1": "cat\ndog"} for name in names if name not in kept])
        assert out.read_bytes() == whole


def test_a_table_of_another_model_is_not_continued(served: ServedModel, tmp_path: Path) -> None:
    for name, text in {"a.csv": "file,label\nx.jpg,cat\n", "b.csv": "no table"}.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="choose another"):
            open_table(tmp_path / name, columns_of(served))
        assert (tmp_path / name).read_text() == text
    (tmp_path / "c.parquet").write_text("no table")
    with pytest.raises(InputError, match="no Parquet table"):
        open_table(tmp_path / "c.parquet", columns_of(served))


def test_one_server_at_a_time_adds_rows_to_a_table(tmp_path: Path) -> None:
    watched = Watched(tmp_path, tmp_path / "named.csv")
    with ThreadPoolExecutor(1) as other, watched.held():
        with pytest.raises(FolderInUse, match=r"named\.csv: another server .*process \d+ on"):
            other.submit(hold_it, watched).result()
        other.submit(hold_it, Watched(tmp_path, tmp_path / "more.csv")).result()
    assert not list(tmp_path.iterdir())


def hold_it(watched: Watched) -> None:
    with watched.held():
        pass


def test_a_table_that_was_moved_away_is_begun_anew(served: ServedModel, tmp_path: Path) -> None:
    columns = columns_of(served)
    table = CsvTable(tmp_path / "named.csv", columns)
    table.append([{"file": "a.jpg"}, {"file": "b.jpg"}])
    table.path.rename(tmp_path / "of-may.csv")
    table.append([{"file": "c.jpg"}])
    assert [row["file"] for row in rows_of(table.path)] == ["c.jpg"]
    assert table.names == {"c.jpg"}


def test_rows_written_before_the_disk_was_full_are_not_written_again(
    served: ServedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = CsvTable(tmp_path / "named.csv", columns_of(served))
    rows = [{"file": f"{number}.jpg"} for number in range(3)]
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", no_space)
        with pytest.raises(DiskError, match="no space"):
            table.append(rows)
    with table.path.open("r+b") as file:
        file.truncate(table.path.stat().st_size - 4)  # the last row is torn
    table.append(rows)
    assert [row["file"] for row in rows_of(table.path)] == ["0.jpg", "1.jpg", "2.jpg"]
    assert table.names == {"0.jpg", "1.jpg", "2.jpg"}


def no_space(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
