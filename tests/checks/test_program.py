"""``verydeep check``: exit codes, text, JSON, files."""

from __future__ import annotations

import csv
import io
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import Outcome, strict_json

from checks.messy import clean_splits, state

Program = Callable[..., Outcome]

KEYS = {
    *("data", "describe", "layout", "splits", "drawn_by_rule", "exit_code", "verdict"),
    *("findings", "statistics", "seconds", "files_per_second"),
}

WRITTEN = {"check.html", "findings.csv", "findings.json"}
KEPT = "pets-check/check.html shows the findings, pets-check/findings.csv lists all files\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, into which lists of errors are written."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return clean_splits(tmp_path / "pets")


def test_a_sound_set_ends_with_0(data: Path, verydeep: Program) -> None:
    outcome = verydeep("check", data)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"{data}: one folder per class in each split, 2 classes")
    assert outcome.out.endswith("Ready for training (0 errors, 0 warnings, 0 notes)\n")


def test_leakage_ends_with_2_and_says_what_to_do(data: Path, verydeep: Program) -> None:
    shutil.copy(data / "train/cat/00.jpg", data / "val/cat/x.jpg")
    outcome = verydeep("check", data)
    assert (outcome.code, outcome.err) == (2, KEPT)
    assert "ERROR  1 image repeated: the same image in train and in val or test" in outcome.out
    assert "val/cat/x.jpg: same bytes as train/cat/00.jpg (train, cat)" in outcome.out
    assert "remove the copies" in outcome.out
    assert outcome.out.endswith(
        "Not ready for training (1 error, 0 warnings, 0 notes): fix the errors first\n"
    )


def test_a_class_of_no_split_stands_without_parentheses(data: Path, verydeep: Program) -> None:
    for split in ("train", "val", "test"):
        if (data / split).is_dir():
            shutil.copytree(data / split / "cat", data / split / "Cat")
    lines = verydeep("check", data).out.splitlines()
    assert "      Cat" in lines
    assert not any("()" in line for line in lines)


def test_long_lists_are_cut_and_say_so(data: Path, verydeep: Program) -> None:
    for number in range(9):
        (data / f"train/cat/note{number}.txt").write_text("x")
    text = verydeep("check", data).out
    assert text.count(".txt: text") == 5
    assert "... and 4 more (all of them with --json or --out)" in text


def test_json_is_one_object_with_all_files(data: Path, verydeep: Program) -> None:
    for number in range(9):
        (data / f"train/cat/note{number}.txt").write_text("x")
    (data / "val/dog/x.jpg").touch()
    outcome = verydeep("check", data, "--json")
    value = strict_json(outcome.out)
    assert (outcome.code, value["exit_code"]) == (2, 2)
    assert set(value) == KEYS
    by_key = {finding["key"]: finding for finding in value["findings"]}
    assert list(by_key) == ["too-many-broken", "empty", "no-pictures"]
    assert len(by_key["no-pictures"]["files"]) == 9
    assert by_key["empty"]["files"] == [
        {
            "file": "val/dog/x.jpg",
            "split": "val",
            "class_name": "dog",
            "reason": "the file is empty",
            "other": "",
        }
    ]
    assert set(value["statistics"]) == {
        *("files", "usable", "bytes", "classes", "formats", "modes", "sizes", "colours"),
    }


def test_the_limit_can_be_raised(data: Path, verydeep: Program) -> None:
    (data / "val/dog/x.jpg").touch()
    assert verydeep("check", data).code == 2
    assert verydeep("check", data, "--limit", "0.2", "--workers", "0").code == 0
    assert verydeep("check", data, "--limit", "1.2").code == 2


def test_out_writes_page_and_lists_and_nothing_is_written_without(
    data: Path, tmp_path: Path, verydeep: Program
) -> None:
    before = state(tmp_path)
    verydeep("check", data)
    assert state(tmp_path) == before
    out = tmp_path / "looked"
    text = verydeep("check", data, "--out", out).out
    assert {path.name for path in out.iterdir()} == WRITTEN
    assert str(out / "check.html") in text


def test_without_colours_there_is_no_mean(data: Path, verydeep: Program) -> None:
    assert "mean RGB" in verydeep("check", data).out
    assert "mean RGB" not in verydeep("check", data, "--no-colours").out


def test_a_set_of_nothing_but_broken_files_can_be_shown(data: Path, verydeep: Program) -> None:
    for path in data.rglob("*.jpg"):
        path.write_text("broken")
    outcome = verydeep("check", data)
    assert outcome.code == 2
    assert "2 classes without a usable image in train" in outcome.out
    assert "24 of 24 files of train cannot be used" in outcome.out


def test_what_is_no_data_set_is_one_message(tmp_path: Path, verydeep: Program) -> None:
    outcome = verydeep("check", tmp_path / "gone")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("verydeep: ")
    assert "no such file or folder" in outcome.err


def _odd_names(data: Path) -> list[str]:
    """Give copies that leak, and a file that is broken, names that a terminal would obey."""
    names = ["val/cat/two\nlines.jpg", "val/cat/escape\x1b[2J.jpg", "val/dog/\x1b]0;x\a.jpg"]
    for name in names[:2]:
        shutil.copy(data / "train/cat/00.jpg", data / name)
    (data / names[2]).write_bytes(b"broken")
    return names


def test_no_name_breaks_a_line_or_moves_the_cursor(
    data: Path, tmp_path: Path, verydeep: Program
) -> None:
    names = _odd_names(data)
    text = verydeep("check", data, "--out", tmp_path / "out").out
    assert all(line.isprintable() for line in text.split("\n"))
    assert r"'val/cat/two\nlines.jpg': same bytes as train/cat/00.jpg (train, cat)" in text
    assert r"as 'val/cat/escape\x1b[2J.jpg' (val, cat)" in text
    page = (tmp_path / "out" / "check.html").read_text("utf-8")
    assert all(line.isprintable() for line in page.split("\n"))
    assert r"val/cat/escape\x1b[2J.jpg" in page
    findings = strict_json((tmp_path / "out" / "findings.json").read_text())["findings"]
    files = {file["file"] for finding in findings for file in finding["files"]}
    assert files >= set(names)  # programs get them as they are
    others = {file["other"] for finding in findings for file in finding["files"]}
    assert names[1] in others


def test_a_message_about_odd_names_moves_no_cursor_either(
    tmp_path: Path, verydeep: Program
) -> None:
    data = tmp_path / "odd"
    data.mkdir()
    (data / "a\x1b[2J\r.txt").touch()
    outcome = verydeep("check", data)
    assert outcome.code == 2
    assert r"found a\x1b[2J\r.txt. Known layouts:" in outcome.err
    assert all(line.isprintable() for line in outcome.err.split("\n"))


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that nobody can write to")
@pytest.mark.parametrize("verb", ["check", "shard"])
@pytest.mark.parametrize("out", ["/proc/self", "round", "file", "file/below"])
def test_where_nothing_can_be_written_is_said_before_the_work(
    data: Path,
    tmp_path: Path,
    verydeep: Program,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    out: str,
) -> None:
    for work in ("verydeep.checks.check._examine", "verydeep.data.shards.write._Writing.write"):
        monkeypatch.setattr(work, lambda *_: pytest.fail("it has begun"))
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "file").touch()
    place = tmp_path / out
    outcome = verydeep(verb, data, *(["--out"] if verb == "check" else []), place)
    assert outcome.code == 2
    last = outcome.err.strip().split("\n")[-1]
    assert last.startswith(f"verydeep: {place}: ")
    assert "Traceback" not in outcome.err
    if out == "/proc/self":
        assert "cannot be written" in last


def test_a_fault_of_the_layout_is_one_object_and_one_message(data: Path, verydeep: Program) -> None:
    shutil.copytree(data / "val/cat", data / "val/bird")
    outcome = verydeep("check", data, "--json")
    value = strict_json(outcome.out)
    assert (outcome.code, value["exit_code"], set(value)) == (2, 2, KEYS)
    (finding,) = value["findings"]
    assert (finding["key"], finding["severity"]) == ("layout", "error")
    assert "there is no training class 'bird'" in finding["title"]
    assert outcome.err == f"verydeep: {finding['title']}\n"
    assert value["data"] == str(data)
    plain = verydeep("check", data)
    assert (plain.code, plain.out, plain.err) == (2, "", outcome.err)


def leak(data: Path) -> None:
    shutil.copy(data / "train/cat/00.jpg", data / "val/cat/x.jpg")


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_errors_are_listed_in_the_current_folder(
    flags: tuple[str, ...], data: Path, here: Path, verydeep: Program
) -> None:
    leak(data)
    before = state(data)
    outcome = verydeep("check", data, *flags)
    assert (outcome.code, outcome.err) == (2, KEPT)
    assert {path.name for path in here.iterdir()} == {"pets-check"}
    assert {path.name for path in (here / "pets-check").iterdir()} == WRITTEN
    rows = [*csv.DictReader(io.StringIO((here / "pets-check/findings.csv").read_text("utf-8")))]
    assert [row["file"] for row in rows] == ["train/cat/00.jpg", "val/cat/x.jpg"]
    assert all("remove the copies" in row["what_to_do"] for row in rows)
    assert state(data) == before
    if flags:
        value = strict_json(outcome.out)
        assert value == strict_json((here / "pets-check/findings.json").read_text("utf-8"))


def test_a_later_run_writes_over_its_own_lists(data: Path, here: Path, verydeep: Program) -> None:
    leak(data)
    verydeep("check", data)
    shutil.copy(data / "train/cat/01.jpg", data / "val/cat/y.jpg")
    assert verydeep("check", data).err == KEPT
    assert "val/cat/y.jpg" in (here / "pets-check/findings.csv").read_text("utf-8")


def test_with_out_nothing_is_written_elsewhere(
    data: Path, here: Path, tmp_path: Path, verydeep: Program
) -> None:
    leak(data)
    outcome = verydeep("check", data, "--out", tmp_path / "looked")
    assert (outcome.code, outcome.err) == (2, "")
    assert [*here.iterdir()] == []


def test_other_things_are_not_written_over(data: Path, here: Path, verydeep: Program) -> None:
    leak(data)
    (here / "pets-check").mkdir()
    (here / "pets-check/mine.txt").write_text("mine")
    before = state(here)
    outcome = verydeep("check", data)
    assert outcome.err == (
        "no lists of files were written (pets-check contains other files, like 'mine.txt'): "
        "give a folder with --out\n"
    )
    assert (outcome.code, state(here)) == (2, before)


@pytest.mark.parametrize("place", ["", "train"])
def test_nothing_is_written_into_the_data(
    place: str, data: Path, monkeypatch: pytest.MonkeyPatch, verydeep: Program
) -> None:
    leak(data)
    before = state(data)
    monkeypatch.chdir(data / place)
    outcome = verydeep("check", data)
    assert "pets-check is inside the data set, which must not change" in outcome.err
    assert outcome.err.endswith("give a folder with --out\n")
    assert (outcome.code, state(data)) == (2, before)


def test_a_current_folder_that_cannot_be_written_to(
    data: Path, here: Path, verydeep: Program
) -> None:
    leak(data)
    (here / "pets-check").write_text("a file in its place")
    outcome = verydeep("check", data)
    assert outcome.code == 2
    assert outcome.err.startswith("no lists of files were written (pets-check: ")
    assert "Not ready for training" in outcome.out


def test_what_writing_shards_leaves_out_is_said_to_be_left_out(
    data: Path, tmp_path: Path, verydeep: Program
) -> None:
    (data / "val/cat/00.jpg").write_bytes(b"broken")
    outcome = verydeep("shard", data, tmp_path / "out", "--limit", "0.5")
    assert outcome.code == 0
    assert "1 image cannot be read and is left out:\n" in outcome.err
    (data / "val/cat/01.jpg").write_bytes(b"broken")
    outcome = verydeep("shard", data, tmp_path / "again", "--limit", "0.5")
    assert "2 images cannot be read and are left out:\n" in outcome.err
