"""Pascal VOC's layout against a naive reader."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import counts, listed, plant

from verydeep.data.geometry import Box
from verydeep.data.layouts.pascal_xml import MAX_BYTES
from verydeep.data.read import read_dataset
from verydeep.errors import DataError

Objects = list[tuple[str, tuple[float, float, float, float]]]


def annotate(path: Path, objects: Objects) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    found = "".join(
        f"<object><name>{name}</name><part><bndbox><xmin>9</xmin></bndbox></part>"
        f"<bndbox><xmax>{x1}</xmax><xmin>{x0}</xmin><ymin>{y0}</ymin><ymax>{y1}</ymax></bndbox>"
        "</object>"
        for name, (x0, y0, x1, y1) in objects
    )
    path.write_text(f"<annotation><filename>no.jpg</filename>{found}</annotation>")


PICTURES: dict[str, Objects] = {
    "p1": [("cat", (1, 1, 10, 10)), ("dog", (1, 1, 11, 10))],
    "p2": [("cat", (3, 4, 30, 40)), ("dog", (3, 4, 30, 40))],
    "p3": [("dog", (45.7, 2, 50, 60))],
    "p4": [("cat", (5, 5, 5, 5))],
    "p5": [],
    "p6": [("cat", (9, 9, 2, 2))],
}
LISTS = {"train": ["p1", "p2", "p5"], "val": ["p3", "p4"], "test": ["p6"]}


def write_voc(root: Path, lists: dict[str, list[str]] = LISTS) -> Path:
    for name, objects in PICTURES.items():
        plant(root, f"JPEGImages/{name}.jpg", "SegmentationClass/x.png")
        annotate(root / "Annotations" / f"{name}.xml", objects)
    folder = root / "ImageSets" / "Main"
    folder.mkdir(parents=True)
    for split, names in lists.items():
        (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    (folder / "cat_train.txt").write_text("p1 -1\n")
    return root


def test_the_largest_object_names_the_picture(tmp_path: Path) -> None:
    dataset = read_dataset(write_voc(tmp_path))
    assert (dataset.layout_name, dataset.classes) == ("voc", ("cat", "dog"))
    assert listed(dataset, "train") == [("JPEGImages/p1.jpg", "dog"), ("JPEGImages/p2.jpg", "cat")]
    assert listed(dataset, "val") == [("JPEGImages/p3.jpg", "dog"), ("JPEGImages/p4.jpg", "cat")]
    assert listed(dataset, "test") == [("JPEGImages/p6.jpg", "cat")]
    boxes = [sample.box for split in dataset.splits for sample in dataset.split(split)]
    # Its pixels count from 1 and its corners are inside; ours from 0, and the last outside.
    assert boxes == [Box(0, 0, 11, 10), Box(2, 3, 30, 40), Box(44.7, 1, 50, 60), (4, 4, 5, 5), None]
    assert dataset.describe() == (
        "Pascal VOC layout, 2 classes, 2 train, 2 val, 1 test, boxes, 1 image without an object "
        "left out"
    )


def test_further_objects_of_the_class_are_kept(tmp_path: Path) -> None:
    root = write_voc(tmp_path, {"train": ["p1", "p2", "p4"], "val": ["p3"]})
    dogs = [("dog", (1, 1, 3, 3)), ("dog", (1, 1, 30, 40)), ("cat", (1, 1, 9, 9))]
    annotate(root / "Annotations" / "p1.xml", [*dogs, ("dog", (7, 7, 2, 2)), ("dog", (5, 5, 8, 9))])
    first, *rest = read_dataset(root).split("train")
    assert first.boxes == ((0, 0, 30, 40), (0, 0, 3, 3), (4, 4, 8, 9))
    assert [sample.others for sample in rest] == [(), ()]


def test_trainval_is_split_by_rule(tmp_path: Path) -> None:
    dataset = read_dataset(write_voc(tmp_path, {"trainval": ["p1", "p2", "p3", "p4"]}))
    assert counts(dataset) == {"train": (1, 1), "val": (1, 1)}


def test_without_lists_all_are_one_set(tmp_path: Path) -> None:
    assert counts(read_dataset(write_voc(tmp_path, {}), draw=False)) == {"all": (3, 2)}


def test_a_test_without_public_answers_is_left_out(tmp_path: Path) -> None:
    root = write_voc(tmp_path)
    (root / "Annotations" / "p6.xml").unlink()
    assert list(read_dataset(root).splits) == ["train", "val"]


def test_the_folder_above_is_not_taken_for_classes(tmp_path: Path) -> None:
    write_voc(tmp_path / "VOC2007")
    write_voc(tmp_path / "VOC2012")
    with pytest.raises(DataError, match=r"VOC2007/ is a data set, layout voc: give"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ({"train": ["p1", "p1"]}, r"train\.txt, line 2: p1 occurs twice, first in"),
        ({"train": ["p1", "p9"]}, r"train\.txt, line 2: there is no image 'p9'"),
        ({"train": ["p1", "../p1"]}, r"train\.txt, line 2: there is no image '../p1'"),
        ({"train": ["p1"]}, "at least two classes; found dog"),
        ({"train": []}, "without training images"),
        ({"val": ["p1"], "train": ["p5"]}, "without training images; found 1 val"),
    ],
)
def test_lists_that_cannot_be_used_are_refused(
    tmp_path: Path, lists: dict[str, list[str]], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        read_dataset(write_voc(tmp_path, lists))


def test_an_image_comes_before_its_copy_in_a_subfolder(tmp_path: Path) -> None:
    plant(write_voc(tmp_path), "JPEGImages/thumbs/p1.jpg", "JPEGImages/thumbs/p1.png")
    assert ("JPEGImages/p1.jpg", "dog") in listed(read_dataset(tmp_path), "train")


@pytest.mark.parametrize("other", ["JPEGImages/p1.png", "JPEGImages/a/p9.jpg"])
def test_two_images_of_one_name_are_refused(tmp_path: Path, other: str) -> None:
    plant(write_voc(tmp_path), other, "JPEGImages/b/p9.jpg")
    with pytest.raises(DataError, match=r"p1\.jpg and p1\.png are|a/p9\.jpg and b/p9\.jpg are"):
        read_dataset(tmp_path)


def test_a_missing_annotation_is_refused(tmp_path: Path) -> None:
    root = write_voc(tmp_path)
    (root / "Annotations" / "p3.xml").unlink()
    with pytest.raises(DataError, match=r"val\.txt, line 1: there is no .*p3\.xml"):
        read_dataset(root)


BOMB = '<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">'
FILE = '<!ENTITY a SYSTEM "file:///etc/passwd">'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("inside", [BOMB, FILE, ""])
def test_a_doctype_is_refused(tmp_path: Path, inside: str, encoding: str) -> None:
    root = write_voc(tmp_path)
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE annotation [{inside}]>'
        "<annotation><object><name>&a;</name></object></annotation>"
    )
    (root / "Annotations" / "p1.xml").write_bytes(text.encode(encoding))
    with pytest.raises(DataError, match=r"p1\.xml: has a DOCTYPE"):
        read_dataset(root)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not valid XML"),
        (b"<annotation>", "not valid XML"),
        (b"<html/>", "must be an <annotation>, got <html>"),
        (b"<annotation><object/></annotation>", "an <object> without <name>"),
        (b"<annotation>&x;</annotation>", "not valid XML"),
        (b'<?xml version="1.0" encoding="nonsense"?><annotation/>', "not valid XML"),
        (
            b"<annotation><object><name>cat</name><bndbox><xmin>1</xmin></bndbox></object>"
            b"</annotation>",
            "a box must be four numbers",
        ),
        (b"<annotation>" + b" " * MAX_BYTES + b"</annotation>", "larger than 4,194,304 bytes"),
    ],
)
def test_annotations_that_cannot_be_used_are_refused(
    tmp_path: Path, content: bytes, words: str
) -> None:
    root = write_voc(tmp_path)
    (root / "Annotations" / "p1.xml").write_bytes(content)
    with pytest.raises(DataError, match=words) as refusal:
        read_dataset(root)
    assert "p1.xml" in str(refusal.value)
