"""COCO's layout against a naive reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import counts, listed, plant

from verydeep.data.geometry import Box
from verydeep.data.layouts.coco import read
from verydeep.data.read import read_dataset
from verydeep.errors import DataError

CATEGORIES = [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}, {"id": 1, "name": "person"}]


def annotation(image: int, category: int, box: list[float], **more: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": box} | more


def content(*annotations: dict[str, Any], images: int = 5) -> dict[str, Any]:
    listed = [{"id": n, "file_name": f"{n:03}.jpg"} for n in range(images)]
    return {"images": listed, "categories": CATEGORIES, "annotations": [*annotations]}


TRAIN = content(
    annotation(3, 17, [1, 2, 3, 4], area=11.5),
    annotation(3, 18, [0, 0, 9, 9], area=11),
    annotation(0, 18, [5, 5, 2, 2]),
    annotation(0, 17, [0, 0, 2, 2]),
    annotation(1, 1, [0, 0, 99, 99], area=9801, iscrowd=1),
    annotation(1, 18, [1, 1, 0, 5], area=0),
    annotation(2, 17, [0, 0, 50, 50], area=9, iscrowd=1),
)
VAL = content(annotation(0, 18, [0.5, 1, 2, 3.25]), images=1)


def put(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def write_coco(root: Path) -> Path:
    put(root / "annotations" / "instances_train2017.json", TRAIN)
    put(root / "annotations" / "instances_val2017.json", VAL)
    put(root / "annotations" / "captions_val2017.json", {"annotations": []})
    return plant(root, *[f"train2017/{n:03}.jpg" for n in range(5)], "val2017/000.jpg")


def test_the_largest_object_names_the_picture(tmp_path: Path) -> None:
    dataset = read_dataset(write_coco(tmp_path))
    assert (dataset.layout_name, dataset.classes) == ("coco", ("cat", "dog"))
    assert listed(dataset, "train") == [
        ("train2017/000.jpg", "dog"),
        ("train2017/001.jpg", "dog"),
        ("train2017/003.jpg", "cat"),
    ]
    assert listed(dataset, "val") == [("val2017/000.jpg", "dog")]
    boxes = [sample.box for split in dataset.splits for sample in dataset.split(split)]
    assert boxes == [Box(5, 5, 7, 7), None, Box(1, 2, 4, 6), Box(0.5, 1, 2.5, 4.25)]
    assert dataset.describe() == (
        "COCO layout, 2 classes, 3 train, 1 val, boxes, 2 images without an object left out"
    )


def test_further_objects_of_the_class_are_kept(tmp_path: Path) -> None:
    plant(tmp_path, "000.jpg", "001.jpg")
    cat, dog = 17, 18
    annotations = [
        annotation(0, cat, [0, 0, 2, 2]),
        annotation(0, dog, [0, 0, 3, 3]),
        annotation(0, cat, [1, 1, 9, 9]),
        annotation(0, cat, [4, 4, 0, 3]),
        annotation(0, cat, [0, 0, 8, 8], iscrowd=1),
        annotation(0, cat, [5, 5, 2, 2]),
        annotation(1, dog, [1, 1, 0, 5]),
        annotation(1, dog, [1, 1, 2, 0]),
    ]
    dataset = read(put(tmp_path / "set.json", content(*annotations)))
    first, second = dataset.split("all")
    assert first.boxes == ((1, 1, 10, 10), (0, 0, 2, 2), (5, 5, 7, 7))
    assert (second.box, second.others, second.boxes) == (None, (), ())


AREAS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([1, 17, 18]), st.integers(0, 4), st.booleans()),
    min_size=1,
)


@settings(max_examples=60)
@given(AREAS)
def test_main_objects_are_those_that_a_naive_loop_finds(
    tmp_path_factory: pytest.TempPathFactory, objects: list[tuple[int, int, int, bool]]
) -> None:
    root = tmp_path_factory.mktemp("coco")
    plant(root, *[f"{n:03}.jpg" for n in range(4)])
    names = {record["id"]: record["name"] for record in CATEGORIES}
    expected = {}
    for image in range(4):
        areas = [o[2] for o in objects if o[0] == image and not o[3]]
        for o in reversed(objects):
            if o[0] == image and not o[3] and o[2] == max(areas):
                expected[f"{image:03}.jpg"] = names[o[1]]
    made = content(*[annotation(i, c, [0, 0, a, 1], iscrowd=int(w)) for i, c, a, w in objects])
    path = put(root / "set.json", made)
    if len(set(expected.values())) < 2:
        with pytest.raises(DataError):
            read(path)
    else:
        assert dict(listed(read(path), "all")) == expected


@pytest.mark.parametrize("folder", [".", "images", "set", "images/set"])
def test_one_file_is_one_set(tmp_path: Path, folder: str) -> None:
    plant(tmp_path / folder, "000.jpg", "003.jpg")
    path = put(tmp_path / "set.json", TRAIN)
    dataset = read_dataset(path, draw=False)
    assert counts(dataset) == {"all": (1, 2)}
    assert dataset.root == tmp_path
    assert dataset.split("all")[0].path == tmp_path / folder / "000.jpg"


def test_one_file_of_a_folder_is_one_set(tmp_path: Path) -> None:
    path = write_coco(tmp_path) / "annotations" / "instances_train2017.json"
    dataset = read_dataset(path, draw=False)
    assert listed(dataset, "all")[0] == ("train2017/000.jpg", "dog")


def test_files_beside_their_pictures_are_read(tmp_path: Path) -> None:
    put(tmp_path / "train" / "_annotations.coco.json", TRAIN)
    put(tmp_path / "valid" / "_annotations.coco.json", VAL)
    plant(tmp_path, *[f"{s}/{n:03}.jpg" for s in ("train", "valid") for n in range(5)])
    dataset = read_dataset(tmp_path)
    assert counts(dataset) == {"train": (1, 2), "val": (0, 1)}
    assert listed(dataset, "val") == [("valid/000.jpg", "dog")]


def test_other_json_files_do_not_hide_class_folders(tmp_path: Path) -> None:
    plant(tmp_path, "train/a/1.png", "train/b/1.png", "val/a/1.png")
    put(tmp_path / "annotations" / "notes.json", {"who": "me"})
    assert read_dataset(tmp_path).layout_name == "split-folders"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a.json", "b.json"], r"b\.json is not named by split|a\.json is not named by split"),
        (["train_a.json", "train_b.json"], r"train_b\.json is train like train_a\.json"),
        (["val.json"], "without training images; found 1 val"),
    ],
)
def test_files_that_make_no_splits_are_refused(
    tmp_path: Path, names: list[str], words: str
) -> None:
    for name in names:
        put(tmp_path / "annotations" / name, VAL)
    plant(tmp_path, "000.jpg")
    with pytest.raises(DataError, match=words):
        read_dataset(tmp_path)


def changed(key: str, value: Any) -> dict[str, Any]:
    return content(annotation(0, 17, [1, 2, 3, 4])) | {key: value}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "must be an object with images"),
        ({}, "needs a list 'categories'"),
        (changed("images", [1]), r"images\[0\]: must be an object, got int"),
        (changed("images", [{"id": 0}]), r"images\[0\]: needs 'file_name', got None"),
        (changed("images", [{"id": [0], "file_name": "a"}]), r"images\[0\]: needs 'id'"),
        (
            changed("images", [{"id": 0, "file_name": "a"}] * 2),
            r"images\[1\]: another image also has id",
        ),
        (
            changed("categories", [{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}]),
            r"categories\[1\]: another category also has id 1",
        ),
        (changed("images", [{"id": 0, "file_name": "../a"}]), "'../a' is not in"),
        (changed("images", [{"id": 0, "file_name": "/a"}]), "'/a' is not in"),
        (changed("images", [{"id": 0, "file_name": "a\0"}]), "is not in"),
        (changed("categories", [{"id": 17}]), r"categories\[0\]: needs 'name'"),
        (changed("annotations", [{"image_id": 0}]), r"annotations\[0\]: needs 'category_id'"),
        (changed("annotations", [annotation(9, 17, [])]), "there is no image 9"),
        (changed("annotations", [annotation(0, 9, [])]), "no category 9"),
        (changed("annotations", [annotation(0, 17, [1, 2])]), "a box must be four numbers"),
        (changed("annotations", [annotation(0, 17, "abcd", area=1)]), "a box must be a list"),  # type: ignore[arg-type]
        (content(annotation(0, 17, [1, 2, 3, 4])), "its images, like '000.jpg', are in none of"),
        (content(), "without training images"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, value: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_dataset(put(tmp_path / "set.json", value))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"images": ' + "9" * 5000 + "}"])
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "set.json").write_text(text)
    with pytest.raises(DataError, match=r"set\.json: not valid JSON"):
        read_dataset(tmp_path / "set.json")
