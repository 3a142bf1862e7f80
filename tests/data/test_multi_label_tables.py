"""Labels of multi-label tables, and of the layouts of COCO and Pascal VOC."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_layout_coco import TRAIN, VAL, write_coco
from test_layout_table import ENDINGS, write_table
from test_layout_voc import LISTS, PICTURES, write_voc

from verydeep.data.dataset import Dataset
from verydeep.data.read import read_dataset
from verydeep.errors import DataError


def labelled(data: Dataset, split: str = "all") -> dict[str, list[str]]:
    """The class names of every image by its file name."""
    return {
        Path(str(one.path)).name: [data.classes[k] for k in data.classes_of(one.label)]
        for one in data.split(split)
    }


def read(path: Path, **how: Any) -> Dataset:
    return read_dataset(path, draw=False, **how)


EXPECTED = {"1.png": ["cat", "dog"], "2.png": [], "3.png": ["dog"]}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("text", ["dog;cat", "cat | dog", '["cat", "dog"]'])
def test_a_column_of_labels(tmp_path: Path, ending: str, text: str) -> None:
    rows = [("1.png", text), ("2.png", ""), ("3.png", "dog")]
    table = write_table(tmp_path / f"t{ending}", [{"file": f, "labels": t} for f, t in rows])
    data = read(table)
    assert data.multi_label
    assert labelled(data) == EXPECTED
    assert data.count("all") == (1, 2)
    assert "several labels per image" in data.describe()


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_lists_of_labels(tmp_path: Path, ending: str) -> None:
    rows = [("1.png", ["dog", "cat", "dog"]), ("2.png", []), ("3.png", ["dog"])]
    table = write_table(tmp_path / f"t{ending}", [{"file": f, "labels": t} for f, t in rows])
    assert labelled(read(table)) == EXPECTED


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_column_for_each_class(tmp_path: Path, ending: str) -> None:
    rows = [("1.png", 1, 1), ("2.png", 0, 0), ("3.png", 0, 1)]
    given = [{"file": f, "label:cat": cat, "label: dog": dog} for f, cat, dog in rows]
    assert labelled(read(write_table(tmp_path / f"t{ending}", given))) == EXPECTED
    plain = [{"image": f, "cat": cat, "dog": dog, "split": ""} for f, cat, dog in rows]
    table = write_table(tmp_path / f"plain{ending}", plain)
    assert labelled(read(table, task="multi-label")) == EXPECTED
    indexed = [{"": number} | row for number, row in enumerate(plain)]  # as pandas writes it
    other = write_table(tmp_path / f"indexed{ending}", indexed)
    assert labelled(read(other, task="multi-label")) == EXPECTED
    with pytest.raises(DataError, match="needs a column 'label'"):
        read(table)


def test_one_label_per_image_stays_one_class(tmp_path: Path) -> None:
    rows = [{"file": "1.png", "labels": "cat"}, {"file": "2.png", "labels": "dog"}]
    table = write_table(tmp_path / "t.csv", rows)
    assert not read(table).multi_label
    assert read(table, task="multi-label").multi_label
    rows[0] = {"file": "1.png", "labels": "cat;dog"}
    table = write_table(tmp_path / "t.csv", rows)
    assert read(table, task="classification").classes == ("cat;dog", "dog")
    renamed = [{"file": row["file"], "label": row["labels"]} for row in rows]
    other = write_table(tmp_path / "o.csv", renamed)
    assert read(other).classes == ("cat;dog", "dog")  # this column has one class
    assert labelled(read(other, task="multi-label")) == {"1.png": ["cat", "dog"], "2.png": ["dog"]}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"label:a": "1", "label:b": "2"}, "label:b must be 0 or 1, got '2'"),
        ({"label:a": "1", "label:b": ""}, "label:b must be 0 or 1, got ''"),
        ({"label:a": "1", "label": "b"}, "has both labels and 'label:a'"),
    ],
)
def test_unusable_indicators(tmp_path: Path, row: dict[str, str], message: str) -> None:
    table = write_table(tmp_path / "t.csv", [{"file": "1.png", **row}])
    with pytest.raises(DataError, match=message):
        read(table)


def test_a_label_that_is_no_name_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "t.jsonl"
    table.write_text('{"file": "1.png", "labels": ["a", 2.5]}\n', "utf-8")
    with pytest.raises(DataError, match=r"line 1: a label must be text or an integer, got 2\.5"):
        read(table)


def test_a_test_label_without_training_images_is_refused(tmp_path: Path) -> None:
    rows = [("1.png", "a;b", "train"), ("2.png", "a;c", "test")]
    table = write_table(
        tmp_path / "t.csv", [{"file": f, "labels": t, "split": s} for f, t, s in rows]
    )
    with pytest.raises(DataError, match="no training class 'c'"):
        read(table)


def test_layouts_of_one_class_refuse_the_task(tmp_path: Path, pictures: Path) -> None:
    with pytest.raises(DataError, match="gives each image one class"):
        read(pictures, task="multi-label")
    with pytest.raises(DataError, match="task must be classification or multi-label"):
        read(pictures, task="multilabel")


def test_coco_gives_all_classes_of_an_image(tmp_path: Path) -> None:
    data = read(write_coco(tmp_path), task="multi-label")
    names = {1: "person", 17: "cat", 18: "dog"}  # its categories
    for split, content in {"train": TRAIN, "val": VAL}.items():
        expected: dict[str, set[str]] = {one["file_name"]: set() for one in content["images"]}
        for one in content["annotations"]:
            expected[f"{one['image_id']:03}.jpg"].add(names[one["category_id"]])
        found = {name: set(labels) for name, labels in labelled(data, split).items()}
        assert found == expected
    assert data.count("train") == (3, 3, 1)
    assert not read(tmp_path).multi_label


def test_pascal_gives_all_classes_of_an_image(tmp_path: Path) -> None:
    data = read(write_voc(tmp_path), task="multi-label")
    for split in LISTS:
        expected = {f"{n}.jpg": sorted({kind for kind, _ in PICTURES[n]}) for n in LISTS[split]}
        assert labelled(data, split) == expected
    assert labelled(data, "train")["p5.jpg"] == []
