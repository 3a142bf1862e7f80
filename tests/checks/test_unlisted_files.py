"""Files beside the samples in the folders of a layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from checks.layouts import Boxes, coco, ilsvrc, table, tiny_imagenet, voc
from checks.messy import clean_splits, save, scene
from verydeep import check
from verydeep.checks.report import CheckReport
from verydeep.data.layouts.table import read
from verydeep.errors import DataError

OWN: dict[str, tuple[Callable[[Path, Boxes], Path], list[str], list[str], str]] = {
    "voc": (
        voc,
        ["JPEGImages/deeper/x.jpg", "SegmentationClass/x.png", "SegmentationObject/x.png"],
        [],
        "",
    ),
    "coco": (coco, ["stuff/x.png", "x.png", "images/deeper/x.png"], ["images/x.png"], "note"),
    "tiny-imagenet": (
        tiny_imagenet,
        ["test/images/x.png"],
        ["train/n03/images/x.png", "val/images/x.png"],
        "warning",
    ),
    "ilsvrc": (
        ilsvrc,
        ["Data/CLS-LOC/test/x.png", "ILSVRC/x.png"],
        ["Data/CLS-LOC/train/x.png"],
        "warning",
    ),
    "table": (table, ["other/x.png", "x.png"], ["pictures/x.png"], "note"),
}


def found(report: CheckReport, key: str) -> dict[str, str]:
    """Return the files of a finding, with its severity."""
    return {
        file.file: finding.severity
        for finding in report.findings
        if finding.key == key
        for file in finding.files
    }


@pytest.mark.parametrize("layout", OWN)
def test_only_folders_of_its_own_are_looked_into(layout: str, tmp_path: Path) -> None:
    write, others, own, severity = OWN[layout]
    data = write(tmp_path / "data", {})
    for number, name in enumerate([*others, *own]):
        save(scene(900 + number), tmp_path / "data" / name)
    report = check(data)
    assert report.dataset.layout_name == layout
    assert found(report, "outside") == dict.fromkeys(own, severity)


def test_a_picture_that_pascals_lists_leave_out_is_a_note(tmp_path: Path) -> None:
    root = voc(tmp_path, {})
    (root / "ImageSets/Main").mkdir(parents=True)
    names = sorted(path.stem for path in root.glob("JPEGImages/*"))
    (root / "ImageSets/Main/train.txt").write_text("\n".join(names[1:]))
    assert found(check(root), "outside") == {"JPEGImages/cat00.jpg": "note"}


def test_a_table_among_its_pictures_sees_none_of_another_set(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for number in range(12):
            save(scene(number + 50 * (name == "dog")), tmp_path / f"{name}{number}.jpg")
    clean_splits(tmp_path / "pets")
    rows = [f"{path.name},{path.stem[:3]}" for path in sorted(tmp_path.glob("*.jpg"))]
    for name in ("one.csv", "other.csv"):
        (tmp_path / name).write_text("\n".join(["file,label", *rows]))
    report = check(tmp_path / "one.csv")
    assert found(report, "outside") == {}
    # Two tables of one folder can be told apart.
    assert report.to_dict()["data"] == str(tmp_path / "one.csv")


def test_folders_without_pictures_beside_the_classes_are_told(tmp_path: Path) -> None:
    root = clean_splits(tmp_path / "pets")
    (root / "train/bird").mkdir()
    (root / "train/fish/deeper").mkdir(parents=True)
    (root / "train/fish/deeper/x.txt").write_text("soon")
    (root / "docs").mkdir()
    report = check(root)
    assert found(report, "empty-folder") == {"train/bird/": "warning", "train/fish/": "warning"}
    (finding,) = (f for f in report.findings if f.key == "empty-folder")
    assert finding.title == "2 folders without images beside those of the classes"
    assert report.exit_code == 0


def test_an_empty_folder_of_a_class_is_told_as_the_class(tmp_path: Path) -> None:
    root = clean_splits(tmp_path / "pets")
    for path in (root / "val/cat").iterdir():
        path.unlink()
    assert [f.key for f in check(root).findings] == ["missing-class"]


def test_folders_without_pictures_in_a_set_that_nothing_divides(tmp_path: Path) -> None:
    root = clean_splits(tmp_path / "pets") / "train"
    (root / "bird").mkdir()
    assert found(check(root), "empty-folder") == {"bird/": "warning"}


def test_all_rows_that_cannot_be_used_are_told_at_once(tmp_path: Path) -> None:
    rows = ["a.png,cat,", "b.png,,", "../c.png,dog,", "d.png,dog,9 9 9 9", "e.png,cat,"]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["file,label,box", *rows]))
    with pytest.raises(DataError) as refused:
        read(path)
    lines = str(refused.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [f"{path}, line {n}" for n in (3, 4, 5)]
    path.write_text("\n".join(["file,label", *["x.png,"] * 23]))
    with pytest.raises(DataError) as refused:
        read(path)
    assert str(refused.value).splitlines()[20:] == ["... and 3 more rows"]
