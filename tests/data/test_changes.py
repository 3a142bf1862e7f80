"""Every single change of a data set is detected and named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import write_boxed, write_splits

from verydeep.data.changes import Changes, changes, compare_rows
from verydeep.data.fingerprint import (
    UNKNOWN,
    Row,
    SplitRecord,
    read_records,
    record_splits,
    write_records,
)
from verydeep.data.read import read_dataset
from verydeep.data.shards.write import write_shards
from verydeep.errors import DataError

KINDS = ("removed", "added", "relabelled", "resized", "rewritten", "reboxed")

names = st.text(st.characters(codec="utf-8", exclude_characters="\0'\\\""), min_size=1, max_size=8)
rows = st.builds(
    Row, st.sampled_from("abc"), st.integers(1, 50), st.integers(0, 3), st.integers(1, 9)
)


def counts(found: Changes) -> dict[str, int]:
    return {kind: len(getattr(found, kind)) for kind in KINDS if getattr(found, kind)}


@given(before=st.dictionaries(names, rows, min_size=1), data=st.data())
def test_one_change_is_noticed_and_named(before: dict[str, Row], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(before)))
    kind = data.draw(st.sampled_from(KINDS))
    row, after = before[name], dict(before)
    if kind == "removed":
        del after[name]
    elif kind == "added":
        name = data.draw(names.filter(lambda new: new not in before))
        after[name] = data.draw(rows)
    elif kind == "relabelled":
        after[name] = row._replace(label=row.label + "!")
    elif kind == "resized":
        after[name] = row._replace(size=row.size + 1)
    elif kind == "rewritten":
        after[name] = row._replace(content=row.content + 1)
    else:
        after[name] = row._replace(boxes=row.boxes + 1)
    found = compare_rows("val", before, after)
    assert counts(found) == {kind: 1}
    assert name in getattr(found, kind)[0]
    assert repr(name)[1:-1] in str(found)
    assert not compare_rows("val", before, before)


def test_a_picture_that_moves_to_another_class_is_relabelled() -> None:
    before = {"dog/1.png": Row("dog", 10, 0, 5), "dog/2.png": Row("dog", 10, 0, 6)}
    after = {"cat/x.png": Row("cat", 10, 0, 5), "dog/2.png": Row("dog", 10, 0, 6)}
    found = compare_rows("val", before, after)
    assert counts(found) == {"relabelled": 1}
    assert found.relabelled == ("dog/1.png: dog → cat",)


def test_no_more_names_are_told_than_can_be_read() -> None:
    before = {f"{number}.png": Row("dog", number, 0, 0) for number in range(20)}
    said = str(compare_rows("val", before, {}))
    assert "20 removed" in said
    assert said.count(".png") == 5


# ---- on disk ----


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_splits(tmp_path / "data", train=3, val=2, test=2)


def remove(path: Path) -> None:
    path.unlink()


def add(path: Path) -> None:
    shutil.copy(path, path.with_name("new.png"))


def relabel(path: Path) -> None:
    path.rename(path.parents[1] / "green" / "moved.png")


def resize(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def rewrite(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (remove, "removed"),
        (add, "added"),
        (relabel, "relabelled"),
        (resize, "resized"),
        (rewrite, "rewritten"),
    ],
)
def test_a_change_of_a_file_is_noticed(
    split: str, change: Callable[[Path], None], kind: str, data: Path, tmp_path: Path
) -> None:
    write_records(tmp_path / "r.npz", record_splits(read_dataset(data)))
    then = read_records(tmp_path / "r.npz")
    assert then is not None
    change(data / split / "red" / "01.png")
    now = record_splits(read_dataset(data))
    found = {name: counts(changes(name, then[name], now[name])) for name in then}
    assert found == {name: ({kind: 1} if name == split else {}) for name in then}


def test_times_and_places_of_files_say_nothing(data: Path, tmp_path: Path) -> None:
    then = record_splits(read_dataset(data))
    for path in data.rglob("*.png"):
        os.utime(path, (1, 1))
    shutil.move(data, tmp_path / "elsewhere")
    now = record_splits(read_dataset(tmp_path / "elsewhere"))
    assert not any(changes(name, then[name], now[name]) for name in then)
    assert {name: one.digest() for name, one in then.items()} == {
        name: one.digest() for name, one in now.items()
    }


def test_a_box_that_changes_is_noticed(tmp_path: Path) -> None:
    table = write_boxed(tmp_path / "boxed", 6)
    then = record_splits(read_dataset(table))
    lines = table.read_text().splitlines()
    changed = next(number for number, line in enumerate(lines) if line.startswith("val001"))
    *rest, last = lines[changed].split(",")
    lines[changed] = ",".join([*rest, str(int(last) - 1)])
    table.write_text("\n".join(lines) + "\n")
    now = record_splits(read_dataset(table))
    assert counts(changes("val", then["val"], now["val"])) == {"reboxed": 1}
    assert not changes("train", then["train"], now["train"])


@pytest.mark.parametrize("stream", [False, True])
def test_shards_are_compared_by_picture_and_streams_by_shard(
    stream: bool, data: Path, tmp_path: Path
) -> None:
    for seed in (0, 1):
        write_shards(read_dataset(data), tmp_path / str(seed), samples=4, seed=seed)
    then = record_splits(read_dataset(tmp_path / "0", stream=stream))
    same = record_splits(read_dataset(tmp_path / "0", stream=stream))
    assert not any(changes(name, then[name], same[name]) for name in then)
    shard = next((tmp_path / "0").glob("train-*.tar"))
    shard.write_bytes(shard.read_bytes() + b"\0" * 512)
    longer = record_splits(read_dataset(tmp_path / "0", stream=stream))
    found = counts(changes("train", then["train"], longer["train"]))
    assert found == ({"resized": 1} if stream else {})


def test_a_large_data_set_is_told_by_names_and_sizes(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verydeep.data.fingerprint.HASHED", 100)
    then = record_splits(read_dataset(data))
    assert not any(one.hashed for one in then.values())
    rewrite(data / "val" / "red" / "01.png")
    now = record_splits(read_dataset(data))
    assert not changes("val", then["val"], now["val"])
    relabel(data / "val" / "red" / "01.png")
    now = record_splits(read_dataset(data))
    assert counts(changes("val", then["val"], now["val"])) == {"removed": 1, "added": 1}


def test_a_split_that_is_gone_or_new_is_a_change(data: Path) -> None:
    then = record_splits(read_dataset(data))
    assert counts(changes("test", then["test"], None)) == {"removed": 6}
    assert counts(changes("test", None, then["test"])) == {"added": 6}


def test_a_size_that_nobody_knows_is_no_change() -> None:
    assert not compare_rows("val", {"a": Row("x", UNKNOWN, 0, 0)}, {"a": Row("x", 3, 0, 0)})


def test_a_damaged_record_is_refused(tmp_path: Path, data: Path) -> None:
    path = tmp_path / "r.npz"
    write_records(path, record_splits(read_dataset(data)))
    whole = path.read_bytes()
    name, extra = (int.from_bytes(whole[at : at + 2], "little") for at in (26, 28))
    compressed = 30 + name + extra  # where the first file begins
    method = whole.index(b"PK\x01\x02") + 10  # in the directory at the end
    damaged = (
        b"PK",
        whole[: len(whole) // 2],
        whole[:compressed] + b"\xff" * 20 + whole[compressed + 20 :],
        whole[:method] + b"\x63" + whole[method + 1 :],
    )
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"r\.npz: cannot be read"):
            read_records(path)
    assert read_records(tmp_path / "none.npz") is None


def test_the_order_of_classes_is_no_change(data: Path) -> None:
    then = record_splits(read_dataset(data))["val"]
    order = np.array([2, 0, 1], np.int32)
    turned: SplitRecord = replace(
        then,
        classes=tuple(then.classes[k] for k in np.argsort(order)),
        labels=order[then.labels],
    )
    assert then.digest() != turned.digest()
    assert not changes("val", then, turned)
