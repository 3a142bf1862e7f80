"""Whole runs on hostile and damaged files."""

from __future__ import annotations

import csv
import io
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile_files import ODD, make_pipe, odd_names, watchdog  # noqa: F401 (watchdog)
from PIL import Image
from tiny import COLOURS, Outcome, flags, strict_json, write_splits

from verydeep.run.training import data as data_module

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes pipes, sockets and links")


QUICK = flags("training.epochs=1", "training.precision=fp32")


LENIENT = flags("training.epochs=2", "training.precision=fp32", "data.unreadable_limit=0.9")


def read_json(path: Path) -> Any:
    return strict_json(path.read_text("utf-8"))


def test_a_run_leaves_out_what_is_no_picture(
    tmp_path: Path, verydeep: Callable[..., Outcome]
) -> None:
    data = write_splits(tmp_path / "data")
    for number, (make, _) in enumerate(ODD.values()):
        make(data / "train" / "red" / f"{number} odd.jpg")
        make(data / "test" / "red" / f"{number} odd.jpg")
    for split in ("train", "val", "test"):
        (data / split / "red" / "two\nlines.png").touch()
    out = tmp_path / "run"
    ended = verydeep("train", data, "--out", out, *LENIENT)
    assert ended.code == 0
    record = read_json(out / "data.json")
    assert record["classes"] == sorted(COLOURS)
    told = [entry.rpartition(": ")[2] for entry in record["unreadable"]]
    expected = [reason for kind, (_, reason) in ODD.items() if kind != "folder"]
    assert told == [*expected, "the file is empty"]
    assert ended.err.count("two\\nlines.png'") == 3
    assert "two\nlines" not in ended.err
    assert all(fault in ended.err for fault in record["unreadable"])
    assert len(read_json(out / "metrics.json")["unreadable"]) == len(expected) + 1


def test_a_run_refuses_too_many_of_them(tmp_path: Path, verydeep: Callable[..., Outcome]) -> None:
    data = write_splits(tmp_path / "data")
    make_pipe(data / "train" / "red" / "x.jpg")
    ended = verydeep("train", data, "--out", tmp_path / "run", *QUICK)
    assert ended.code == 2
    assert "1 of 25 training images cannot be read, more than the 1.0%" in ended.err
    assert "x.jpg: a named pipe, not a file" in ended.err
    assert "Traceback" not in ended.err


def _larger(path: Path) -> None:
    Image.new("RGB", (333, 41)).save(path)


def _cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _become_pipe(path: Path) -> None:
    path.unlink()
    make_pipe(path)


LATER: dict[str, tuple[Callable[[Path], object], str | None]] = {
    "gone": (Path.unlink, "No such file or directory"),
    "cut off": (_cut_off, "broken or truncated"),
    "a pipe": (_become_pipe, "a named pipe, not a file"),
    "larger": (_larger, None),
}


@pytest.fixture
def after_the_scan(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Let something happen between the scan and the training."""

    def prepare(event: Callable[[], object]) -> None:
        real = data_module.scan

        def scan(*arguments: Any, **options: Any) -> Any:
            found = real(*arguments, **options)
            event()
            return found

        monkeypatch.setattr(data_module, "scan", scan)

    return prepare


@pytest.mark.parametrize("workers", [0, 1])
def test_pictures_that_change_during_training(
    tmp_path: Path,
    verydeep: Callable[..., Outcome],
    after_the_scan: Callable[[Callable[[], object]], None],
    workers: int,
) -> None:
    data = write_splits(tmp_path / "data")
    victims = {kind: data / "train" / "red" / f"{n:02}.png" for n, kind in enumerate(LATER)}
    tested = {kind: data / "val" / "blue" / f"{n:02}.png" for n, kind in enumerate(LATER)}

    def spoil() -> None:
        for kind, (change, _) in LATER.items():
            change(victims[kind])
            change(tested[kind])

    after_the_scan(spoil)
    out = tmp_path / "run"
    ended = verydeep(*("train", data, "--out", out, *LENIENT, "--set", f"data.workers={workers}"))
    assert ended.code == 0, ended.err
    told = sorted(read_json(out / "metrics.json")["unreadable_in_training"])
    expected = [(victims[kind], reason) for kind, (_, reason) in LATER.items() if reason]
    assert len(told) == len(expected)
    for entry, (path, reason) in zip(told, expected, strict=True):
        assert entry.startswith(f"{path}: {reason}")
    for kind, (_, reason) in LATER.items():
        line = f"left out of validation: {tested[kind].relative_to(data)}"
        assert ended.err.count(line) == (1 if reason else 0)
    assert ended.err.count("left out of validation") == len(expected)
    for entry in told:
        assert ended.err.count(f"unreadable, skipped in training: {entry}\n") == 1
    assert ended.err.count("skipped in training") == len(expected)


def test_of_many_that_vanish_during_training_the_first_are_said(
    tmp_path: Path,
    verydeep: Callable[..., Outcome],
    after_the_scan: Callable[[Callable[[], object]], None],
) -> None:
    data = write_splits(tmp_path / "data")
    victims = sorted((data / "train").glob("*/*.png"))[:13]
    after_the_scan(lambda: [path.unlink() for path in victims])
    ended = verydeep("train", data, "--out", tmp_path / "run", *LENIENT)
    assert ended.code == 0, ended.err
    assert len(read_json(tmp_path / "run" / "metrics.json")["unreadable_in_training"]) == 13
    assert ended.err.count("skipped in training") == 10
    assert ended.err.count("more unreadable images will be listed in metrics.json\n") == 1


def test_too_many_that_break_during_training_end_it(
    tmp_path: Path,
    verydeep: Callable[..., Outcome],
    after_the_scan: Callable[[Callable[[], object]], None],
) -> None:
    data = write_splits(tmp_path / "data")
    after_the_scan((data / "train" / "red" / "03.png").unlink)
    ended = verydeep("train", data, "--out", tmp_path / "run", *QUICK)
    assert ended.code == 2
    assert "1 of 24 training images cannot be read" in ended.err
    assert "03.png: No such file or directory" in ended.err
    assert "Traceback" not in ended.err


def test_odd_names_come_through_files_and_output(
    tmp_path: Path, verydeep: Callable[..., Outcome]
) -> None:
    data = write_splits(tmp_path / "data")
    names = odd_names(tmp_path)
    for name in names:
        for split in ("train", "test"):
            shutil.copy(data / split / "red" / "00.png", data / split / "red" / name)
    run = tmp_path / "run"
    assert verydeep("train", data, "--out", run, *QUICK).code == 0
    assert verydeep("evaluate", run, "--out", tmp_path / "tests").code == 0
    with (tmp_path / "tests" / "posteriors.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    classes = {row["file"]: row["class"] for row in rows}
    assert len(rows) == len(classes) == 12 + len(names)
    for name in names:
        written = name.encode("utf-8", "backslashreplace").decode()
        assert classes[f"test/red/{written}"] == "red"
    for name in names:
        (data / "test" / "red" / name).write_bytes(b"")
    predicted = verydeep("predict", run, data / "test" / "red", "--json")
    unreadable = strict_json(predicted.out)["unreadable"]
    assert sorted(unreadable) == sorted(str(data / "test" / "red" / name) for name in names)
    assert len(predicted.err.splitlines()) == 1 + len(names)
    listed = verydeep("predict", run, data / "test" / "red", "--csv")
    table = list(csv.DictReader(io.StringIO(listed.out)))
    assert len(table) == 4 + len(names)
    text = verydeep("predict", run, data / "train" / "red")
    assert "two\\nlines.png" in text.out
    assert "\x1b" not in text.out
