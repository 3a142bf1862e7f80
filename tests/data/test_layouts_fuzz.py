"""Whatever stands in files of annotations, the readers end in a data set or in a DataError."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import plant

from verydeep.data.read import read_dataset
from verydeep.data.samples import Dataset
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


def reads_or_refuses(write: Callable[[Path], Path], layout: str | None = None) -> None:
    """Let a file be written into a folder with pictures, read it, and look at what comes out."""
    root = Path(tempfile.mkdtemp())
    try:
        plant(root, "1.jpg", "2.jpg", "a/3.jpg")
        path = write(root)
        try:
            dataset = read_dataset(path, layout=layout)
        except DataError as error:
            assert str(error).strip()  # noqa: PT017 (either end is right)
        else:
            check(dataset, root)
    finally:
        shutil.rmtree(root)


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


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, str]]:
    more = draw(st.lists(st.sampled_from(COLUMNS[2:]), unique=True, max_size=3))
    columns = ["file", "label", *more]
    row = st.fixed_dictionaries({name: CELLS[name] for name in columns})
    return draw(st.lists(row, max_size=6))


@FUZZ
@given(rows=tables())
def test_tables_of_random_cells(rows: list[dict[str, str]]) -> None:
    out = io.StringIO()
    writer = csv.DictWriter(out, [*rows[0]] if rows else ["file", "label"])
    writer.writeheader()
    writer.writerows(rows)
    reads_or_refuses(put("t.csv", out.getvalue().encode()))


@FUZZ
@given(lines=st.lists(st.lists(st.text(max_size=6), max_size=5), max_size=6))
def test_lines_of_random_words(lines: list[list[str]]) -> None:
    text = "file,label\n" + "".join(",".join(line) + "\n" for line in lines)
    reads_or_refuses(put("t.csv", text.encode("utf-8", "replace")))


@FUZZ
@given(rows=st.lists(st.dictionaries(st.sampled_from(COLUMNS), VALUES), max_size=5))
def test_json_lines_of_random_values(rows: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    reads_or_refuses(put("t.jsonl", text.encode()))


IDS = st.sampled_from([0, 1, 2, "x"])
RECORDS = {
    "images": st.fixed_dictionaries({"id": IDS, "file_name": NAMES}),
    "categories": st.fixed_dictionaries({"id": IDS, "name": st.sampled_from(["a", "b", "", "\n"])}),
    "annotations": st.fixed_dictionaries(
        {"image_id": IDS, "category_id": IDS},
        optional={
            "bbox": st.one_of(VALUES, st.just([1, 2, 3, 4])),
            "area": st.one_of(SOME, st.floats(0, 9)),
            "iscrowd": st.sampled_from([0, 1, None]),
        },
    ),
}


@FUZZ
@given(
    content=st.fixed_dictionaries(
        {
            key: st.lists(st.one_of(one, one, one, VALUES), max_size=4)
            for key, one in RECORDS.items()
        }
    )
)
def test_coco_of_random_records(content: dict[str, Any]) -> None:
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
    broken = b"<annotation><object>" + content + b"</object></annotation>" if wrapped else content

    def write(root: Path) -> Path:
        for number, text in enumerate((broken, whole, whole)):
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


@settings(max_examples=250)
@given(
    small=SMALL,
    content=st.one_of(st.binary(max_size=60), st.lists(WORDS).map(lambda w: "".join(w).encode())),
)
def test_small_files_of_random_words(small: tuple[str, str], content: bytes) -> None:
    def write(root: Path) -> Path:
        plant(root, "v/JPEGImages/1.jpg", "v/JPEGImages/a.jpg", "v/Annotations/")
        for name, label in (("1", "cat"), ("a", "dog")):
            text = f"<annotation><object><name>{label}</name></object></annotation>"
            put(f"v/Annotations/{name}.xml", text.encode())(root)
        for split in ("train/a", "train/b", "val"):
            plant(root, *[f"i/Data/CLS-LOC/{split}/{n}.jpg" for n in range(3)])
        put("i/map_clsloc.txt", b"a 1 x\nb 2 y\n")(root)
        put("i/ILSVRC2012_validation_ground_truth.txt", b"1\n2\n1\n")(root)
        put("t/wnids.txt", b"a\nb\n")(root)
        plant(root, "t/train/a/images/1.jpg", "t/train/b/images/1.jpg", "t/val/images/1.jpg")
        plant(root, "t/train/a/images/2.jpg", "t/train/b/images/2.jpg")
        put(small[0], content)(root)
        return root / small[1]

    reads_or_refuses(write)
