"""Arbitrary annotation files give a data set or a DataError."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import plant

from verydeep.data.dataset import Dataset
from verydeep.data.layouts.assemble import inside
from verydeep.data.read import read_dataset
from verydeep.errors import DataError

NAMES = st.sampled_from(["1.jpg", "2.jpg", "a/3.jpg", "../x.jpg", "/etc/x.jpg", "", ".", "é.jpg"])
SOME = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), NAMES, st.just([])
)
VALUES = st.recursive(
    SOME,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
FUZZ = settings(max_examples=120)


def reads_or_refuses(write: Callable[[Path], Path]) -> None:
    """Let a file be written into a folder with images, read it, and look at what comes out."""
    with tempfile.TemporaryDirectory() as folder:
        root = plant(Path(folder), "1.jpg", "2.jpg", "a/3.jpg")
        end_well(write(root), root)


def end_well(path: Path, root: Path) -> None:
    """Read a data set, or see it refused with a message."""
    try:
        dataset = read_dataset(path, draw=False)
    except DataError as error:
        assert str(error).strip()  # noqa: PT017 (either end is right)
    else:
        check(dataset, root)


def check(dataset: Dataset, root: Path) -> None:
    assert len(dataset.classes) >= 2
    assert list(dataset.classes) == sorted(set(dataset.classes))
    for split, samples in dataset.splits.items():
        assert sum(dataset.count(split)) == len({sample.path for sample in samples})
        for sample in samples:
            assert sample.path.is_relative_to(root)
            assert ".." not in sample.path.parts
            assert sample.box is None or sample.box.x0 < sample.box.x1
    assert dataset.describe()


def put(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(root: Path) -> Path:
        plant(root, name).joinpath(name).write_bytes(content)
        return root / name

    return write


@settings(max_examples=500)
@given(name=st.one_of(st.text(max_size=9), st.text("./\\ac:\0", max_size=9)))
def test_names_lead_nowhere_else(name: str) -> None:
    root = Path("/data/set")
    try:
        path = inside(root, name, "t.csv, line 2")
    except DataError:
        # Refused are only those that lead out of it here, or would on another system, or are none.
        strange = set(name) & {"\0", ":", "\\"} or any("\ud800" <= c <= "\udfff" for c in name)
        assert strange or name.startswith("/") or not Path(name).parts or ".." in Path(name).parts
    else:
        assert os.path.normpath(path).startswith("/data/set/")
        for part in PureWindowsPath(name).parts:
            assert part not in ("..", "/", "\\", "C:", "C:\\")


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.json"])
@FUZZ
@given(content=st.binary(max_size=200))
def test_random_bytes(name: str, content: bytes) -> None:
    reads_or_refuses(put(name, content))


COLUMNS = ["file", "label", "split", "box", "x0", "y0", "x1", "y1"]
CELLS = {
    "file": NAMES,
    "label": st.sampled_from(["a", "b", "c", "", "a b", "\a"]),
    "split": st.sampled_from(["train", "val", "", "test", "VALID", "x"]),
    "box": st.sampled_from(["", "1 2 3 4", "1,2,3", "[0, 0, 1, 1]", "nan 1 2 3", "4 3 2 1"]),
} | dict.fromkeys(("x0", "y0", "x1", "y1"), st.sampled_from(["", "1", "2.5", "-1e999", "x"]))


GOOD = [
    {"file": "1.jpg", "label": "a", "split": "train", "box": "1 2 3 4"},
    {"file": "2.jpg", "label": "b", "split": "train", "box": ""},
    {"file": "a/3.jpg", "label": "a", "split": "val", "box": "[0, 0, 1, 1]"},
    {"file": "a/4.jpg", "label": "b", "split": "test", "box": ""},
]


@st.composite
def spoiled(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A good table with a column less, perhaps, and a few other cells."""
    columns = draw(st.sampled_from([COLUMNS[:4], COLUMNS[:3], COLUMNS[:2], COLUMNS[1:4]]))
    rows: list[dict[str, Any]] = [{name: row[name] for name in columns} for row in GOOD]
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(columns))
        draw(st.sampled_from(rows))[name] = draw(CELLS[name])
    return rows


@FUZZ
@given(rows=spoiled())
def test_tables_of_random_cells(rows: list[dict[str, Any]]) -> None:
    out = io.StringIO()
    writer = csv.DictWriter(out, [*rows[0]])
    writer.writeheader()
    writer.writerows(rows)
    reads_or_refuses(put("t.csv", out.getvalue().encode()))


@FUZZ
@given(lines=st.lists(st.lists(st.text(max_size=6), max_size=5), max_size=6))
def test_lines_of_random_words(lines: list[list[str]]) -> None:
    text = "file,label\n" + "".join(",".join(line) + "\n" for line in lines)
    reads_or_refuses(put("t.csv", text.encode("utf-8", "replace")))


@FUZZ
@given(rows=spoiled(), value=VALUES, place=st.tuples(st.integers(0, 3), st.sampled_from(COLUMNS)))
def test_json_lines_of_random_values(
    rows: list[dict[str, Any]], value: Any, place: tuple[int, str]
) -> None:
    rows[place[0]][place[1]] = value
    text = "".join(json.dumps(row) + "\n" for row in rows)
    reads_or_refuses(put("t.jsonl", text.encode()))


COCO = {
    "images": [
        {"id": n, "file_name": name} for n, name in enumerate(["1.jpg", "2.jpg", "a/3.jpg"])
    ],
    "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
    "annotations": [
        {"image_id": 0, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0},
        {"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "area": 3.5, "iscrowd": 0},
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 3, 4], "area": 13, "iscrowd": 1},
        {"image_id": 2, "category_id": 1, "bbox": [0, 0, 3, 4]},
    ],
}


@FUZZ
@given(data=st.data())
def test_coco_of_random_records(data: st.DataObject) -> None:
    content = json.loads(json.dumps(COCO))
    for _ in range(data.draw(st.integers(1, 3))):
        records = content[data.draw(st.sampled_from([*COCO]))]
        number = data.draw(st.integers(0, len(records) - 1))
        if data.draw(st.integers(0, 4)) and isinstance(records[number], dict):
            key = data.draw(st.sampled_from([*COCO["annotations"][0], "id", "name", "file_name"]))
            records[number][key] = data.draw(st.one_of(VALUES, st.integers(0, 3)))
        else:
            records[number] = data.draw(VALUES)
    reads_or_refuses(put("t.json", json.dumps(content).encode()))


@FUZZ
@given(value=VALUES)
def test_json_of_anything(value: Any) -> None:
    reads_or_refuses(put("t.json", json.dumps(value).encode()))


TAGS = st.sampled_from(["annotation", "object", "name", "bndbox", "xmin", "ymin", "xmax", "ymax"])
XML = st.recursive(
    st.sampled_from(["", "1", "cat", "dog", "&amp;", "nan", "<", "&x;"]),
    lambda inner: st.builds(
        lambda tag, parts: f"<{tag}>{''.join(parts)}</{tag}>", TAGS, st.lists(inner, max_size=4)
    ),
    max_leaves=12,
)


@FUZZ
@given(content=st.one_of(st.binary(max_size=99), XML.map(str.encode)), wrapped=st.booleans())
def test_xml_of_random_elements(content: bytes, wrapped: bool) -> None:
    whole = b"<annotation><object><name>cat</name></object></annotation>"
    other = b"<annotation><object><name>dog</name></object></annotation>"
    broken = content
    if wrapped:
        broken = b"<annotation><object><name>dog</name>" + content + b"</object></annotation>"

    def write(root: Path) -> Path:
        for number, text in enumerate((broken, whole, other, whole, other)):
            put(f"v/Annotations/{number}.xml", text)(root)
            plant(root, f"v/JPEGImages/{number}.jpg")
        return root / "v"

    reads_or_refuses(write)


SMALL = st.sampled_from(
    [
        ("v/ImageSets/Main/train.txt", "v"),
        ("i/LOC_train_solution.csv", "i"),
        ("i/LOC_val_solution.csv", "i"),
        ("i/ILSVRC2012_validation_ground_truth.txt", "i"),
        ("i/map_clsloc.txt", "i"),
        ("i/synset_words.txt", "i"),
        ("t/wnids.txt", "t"),
        ("t/words.txt", "t"),
        ("t/val/val_annotations.txt", "t"),
        ("t/train/a/a_boxes.txt", "t"),
    ]
)
WORDS = st.sampled_from(
    ["a", "b", "1", "2", "../a", "\t", " ", ",", "1.jpg", "1 2 3 4", "\n", "\0"]
)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set of each layout that has small files."""
    root = tmp_path_factory.mktemp("sets")
    plant(root, "v/JPEGImages/1.jpg", "v/JPEGImages/a.jpg", "v/Annotations/")
    for name, label in (("1", "cat"), ("a", "dog")):
        text = f"<annotation><object><name>{label}</name></object></annotation>"
        put(f"v/Annotations/{name}.xml", text.encode())(root)
    for split in ("train/a", "train/b", "val"):
        plant(root, *[f"i/Data/CLS-LOC/{split}/{n}.jpg" for n in range(3)])
    put("i/map_clsloc.txt", b"a 1 x\nb 2 y\n")(root)
    put("i/ILSVRC2012_validation_ground_truth.txt", b"1\n2\n1\n")(root)
    put("t/wnids.txt", b"a\nb\n")(root)
    plant(root, *[f"t/train/{c}/images/{n}.jpg" for c in "ab" for n in range(3)])
    return plant(root, "t/val/images/1.jpg")


@FUZZ
@given(
    small=SMALL,
    content=st.one_of(st.binary(max_size=60), st.lists(WORDS).map(lambda w: "".join(w).encode())),
)
def test_small_files_of_random_words(sets: Path, small: tuple[str, str], content: bytes) -> None:
    path = sets / small[0]
    before = path.read_bytes() if path.exists() else None
    put(small[0], content)(sets)
    try:
        end_well(sets / small[1], sets)
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)
