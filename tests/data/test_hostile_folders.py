"""Pipes, links, odd names and unreadable folders in a data set."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from hostile import (
    SMALL,
)
from hostile_files import NAMES, ODD, fault, make_pipe, odd_names, watchdog  # noqa: F401 (watchdog)
from tiny import write_class_folders, write_splits

from verydeep.data.pipeline.workers import load_pictures
from verydeep.data.read import read_dataset
from verydeep.errors import DataError, printable

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes pipes, sockets and links")


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_file_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    make, reason = ODD[kind]
    make(tmp_path / "x.jpg")
    assert fault(tmp_path / "x.jpg") == f"{tmp_path / 'x.jpg'}: {reason}"


def test_a_pipe_that_takes_a_files_place_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pipe(tmp_path / "x.jpg")
    (tmp_path / "y.jpg").touch()
    regular = (tmp_path / "y.jpg").stat()
    monkeypatch.setattr(Path, "stat", lambda *_, **__: regular)
    assert "a named pipe, not a file" in fault(tmp_path / "x.jpg")


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    SMALL.save(path)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    assert fault(path).endswith("Permission denied")


def test_every_name_is_one_line_in_a_message(tmp_path: Path) -> None:
    for name in odd_names(tmp_path):
        (tmp_path / name).touch()
        assert fault(tmp_path / name) == f"{printable(tmp_path / name)}: the file is empty"
        assert fault(tmp_path / name).isprintable()
    refusing = load_pictures([tmp_path / NAMES[1]], lambda picture: 0, workers=0)
    assert "\n" not in next(iter(refusing)).fault


def test_names_that_differ_in_case_are_different(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "data", 10)
    cat = tmp_path / "data" / "red"
    shutil.copy(cat / "00.png", cat / "00.PNG")
    shutil.copytree(cat, tmp_path / "data" / "Red")
    if len(list(cat.iterdir())) < 11:
        pytest.skip("this disk takes no names that differ in case alone")
    dataset = read_dataset(tmp_path / "data", draw=False)
    assert dataset.classes == ("Red", "blue", "green", "red")
    assert dataset.count("all") == (11, 10, 10, 11)
    for sample in dataset.split("all"):
        assert sample.path.parent.name == dataset.classes[sample.label]


@pytest.mark.parametrize("name", ["two\nlines", "bell\a", os.fsdecode(b"\xff")])
def test_a_class_needs_a_printable_name(tmp_path: Path, name: str) -> None:
    write_class_folders(tmp_path, 10)
    (tmp_path / "red").rename(tmp_path / name)
    with pytest.raises(DataError, match="printable") as caught:
        read_dataset(tmp_path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("target", ["..", "../..", "."])
def test_a_class_that_links_to_what_it_lies_in(tmp_path: Path, target: str) -> None:
    root = write_class_folders(tmp_path / "a" / "data", 10)
    (root / "all").symlink_to(target)
    with pytest.raises(DataError, match=r"all' links to a folder that contains .*; remove"):
        read_dataset(root)


def test_a_class_that_links_to_another_class(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path, 10)
    (root / "azure").symlink_to("blue")
    with pytest.raises(DataError, match=r"azure' links to '.*blue', so the same images"):
        read_dataset(root)


def test_links_below_a_class_to_what_is_read_anyway_are_not_followed(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path, 10)
    (root / "red" / "up").symlink_to("../..")
    (root / "red" / "self").symlink_to("self")
    (root / "red" / "blue.jpg").symlink_to("../blue")
    (root / "nowhere").symlink_to("gone")
    (root / "round").symlink_to("round")
    dataset = read_dataset(root, draw=False)
    assert dataset.classes == ("blue", "green", "red")
    assert dataset.count("all") == (10, 10, 10)
    assert dataset.passed_over.repeated == ["red/blue.jpg", "red/up"]
    assert dataset.passed_over.dangling == ["red/self"]


def test_empty_classes(tmp_path: Path) -> None:
    root = write_splits(tmp_path, train=2, val=2, test=0)
    (root / "train" / "aardvark").mkdir()
    (root / "val" / "zebra").mkdir()
    dataset = read_dataset(root)
    assert dataset.classes == ("blue", "green", "red")
    shutil.copy(root / "val" / "red" / "00.png", root / "val" / "zebra")
    with pytest.raises(DataError, match="there is no training class 'zebra'"):
        read_dataset(root)


def test_a_folder_that_may_not_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    write_class_folders(tmp_path, 10)
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match=rf"^{re.escape(str(tmp_path))}: Permission denied$"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("name", ["wnids.txt", "words.txt"])
def test_tables_that_are_no_text(tmp_path: Path, name: str) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "wnids.txt").write_text("n01\nn02\n", "utf-8")
    (tmp_path / name).write_bytes(b"n01\tcaf\xe9\n")
    with pytest.raises(DataError, match=rf"{name}: not UTF-8 .*: save it as UTF-8"):
        read_dataset(tmp_path)
