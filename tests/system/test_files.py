"""Atomic writing leaves the old file or the new one."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import apart

from verydeep.errors import InputError
from verydeep.system.files import (
    from_anywhere,
    lies_within,
    made_folder,
    make_folder,
    usual_mode,
    write_atomically,
    write_json,
    write_json_lines,
    write_text,
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_a_new_file_stands_in_new_folders_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    write_text(path, "Grüße\n")
    assert path.read_bytes() == "Grüße\n".encode()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", [251 * "a" + ".png", 63 * "\N{GRINNING FACE}" + ".p"])
def test_a_name_may_be_as_long_as_a_file_system_allows(name: str, tmp_path: Path) -> None:
    write_text(tmp_path / name, "whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_umask_is_never_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a moment, files of other threads would be open to everybody, or to nobody."""
    before = os.umask(0o027)
    try:
        monkeypatch.setattr(os, "umask", None)
        write_text(tmp_path / "file", "text")
    finally:
        monkeypatch.undo()
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_where_the_system_does_not_tell_the_umask_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(path: Path) -> str:
        raise OSError(path)

    monkeypatch.setattr(Path, "read_text", refuse)
    before = os.umask(0o027)
    try:
        assert usual_mode() == usual_mode() == 0o640
    finally:
        os.umask(before)


def test_places_hold_in_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here").touch()
    given = ["here", Path("here"), "vgg16", None, "there/photo.jpg"]
    found = [from_anywhere(place) for place in given]
    assert found == [tmp_path / "here", tmp_path / "here", *given[2:]]


def test_a_writer_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half of the n")
        assert path.read_text() == "old"
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_rights_are_those_of_any_new_file(mask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "file", "")
    finally:
        after = os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode
    assert after == mask


@in_one_folder
@given(value=values)
def test_json_comes_back(value: object, tmp_path: Path) -> None:
    write_json(tmp_path / "value.json", value)
    assert json.loads((tmp_path / "value.json").read_text("utf-8")) == value


@in_one_folder
@given(rows=st.lists(values, max_size=5))
def test_json_lines_are_a_value_a_line(rows: list[object], tmp_path: Path) -> None:
    write_json_lines(tmp_path / "rows.jsonl", rows)
    text = (tmp_path / "rows.jsonl").read_text("utf-8")
    assert [json.loads(line) for line in text.split("\n")[:-1]] == rows
    assert text == "" or text.endswith("\n")


def test_a_file_name_in_another_encoding_comes_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    write_json(tmp_path / "names.json", [name])
    assert json.loads((tmp_path / "names.json").read_text("utf-8")) == [name]


def _write_forever(path: Path) -> None:
    for number in range(10**9):
        write_json(path, [number] * 20000)


def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, [-1] * 20000)
    chance = random.Random(0)
    for _ in range(6):
        start = path.stat().st_ino
        process = apart(_write_forever, path)
        deadline = time.monotonic() + 60
        while not (replaced := path.stat().st_ino != start) and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.02))
        process.kill()
        process.join()
        process.close()
        assert replaced
        value = json.loads(path.read_text())
        assert value == [value[0]] * 20000


def test_a_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    for _ in range(2):
        make_folder(tmp_path / "a" / "b")
    assert not list((tmp_path / "a" / "b").iterdir())


@pytest.mark.parametrize("written", [(), ("a/file",), ("a/b/file",)])
def test_after_a_failure_no_empty_folders_that_were_made_are_left(
    tmp_path: Path, written: tuple[str, ...]
) -> None:
    (tmp_path / "old").mkdir()
    root = tmp_path / "old" / "new"

    def fail() -> None:
        for name in written:
            (root / name).touch()
        raise KeyError

    with pytest.raises(KeyError), made_folder(root / "a" / "b"):
        fail()
    assert [root / name for name in written] == [path for path in root.rglob("*") if path.is_file()]
    assert root.exists() == bool(written)
    assert (root / "a" / "b").exists() == (written == ("a/b/file",))
    assert (tmp_path / "old").is_dir()


def test_a_folder_that_was_there_stays_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(KeyError), made_folder(tmp_path):
        raise KeyError
    with made_folder(tmp_path / "kept"):
        pass
    assert (tmp_path / "kept").is_dir()


@pytest.mark.parametrize("below", [".", "x"])
def test_no_folder_can_be_made_below_a_file(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file.*: cannot be written \(\w"):
        make_folder(tmp_path / "file" / below)


def test_a_folder_that_cannot_be_written_to_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("verydeep.system.files.tempfile.TemporaryFile", refuse)
    with pytest.raises(InputError) as caught:
        make_folder(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: cannot be written (Permission denied): make it writable, or choose another "
        "folder"
    )


def test_what_lies_within_what(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    assert lies_within(tmp_path / "data", tmp_path / "data")
    assert lies_within(tmp_path / "link" / "new", tmp_path / "data")
    assert lies_within(tmp_path / "other" / ".." / "data" / "new", tmp_path / "data")
    assert not lies_within(tmp_path / "data-2", tmp_path / "data")
