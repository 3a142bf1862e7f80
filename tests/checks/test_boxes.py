"""Odd boxes, planted in the files of every layout that has boxes, are found and told apart."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import pytest

from checks.messy import save, scene
from verydeep import check
from verydeep.checks.check import Report

Corners = tuple[float, float, float, float]
Boxes = dict[str, list[Corners]]

WIDTH, HEIGHT = 120, 90
ON = f"{WIDTH}x{HEIGHT} pixels"
NAMES = [f"{name}{number:02}" for name in ("cat", "dog") for number in range(24)]


def pictures(folder: Path, names: Sequence[str], seeds: count[int]) -> None:
    for name in names:
        save(scene(next(seeds), WIDTH, HEIGHT), folder / f"{name}.jpg")


def voc(root: Path, boxes: Boxes) -> Path:
    """Write Pascal's layout: corners count from 1, the last ones are inside."""
    pictures(root / "JPEGImages", NAMES, count())
    (root / "Annotations").mkdir()
    for name in NAMES:
        corners = [
            "<bndbox>"
            + "".join(
                f"<{key}>{value}</{key}>"
                for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
            )
            + "</bndbox>"
            for box in boxes.get(name, [(1, 1, 9, 9)])
        ]
        objects = "".join(f"<object><name>{name[:3]}</name>{box}</object>" for box in corners)
        (root / f"Annotations/{name}.xml").write_text(f"<annotation>{objects}</annotation>")
    return root


def coco(root: Path, boxes: Boxes) -> Path:
    """Write COCO's layout: left, top, width, height."""
    pictures(root / "images", NAMES, count())
    annotations = [
        {"image_id": number, "category_id": int(name[:3] == "dog"), "bbox": box, "area": 9}
        for number, name in enumerate(NAMES)
        for box in boxes.get(name, [(0, 0, 9, 9)])
    ]
    content = {
        "images": [{"id": n, "file_name": f"{name}.jpg"} for n, name in enumerate(NAMES)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(("cat", "dog"))],
        "annotations": annotations,
    }
    path = root / "annotations" / "instances.json"
    path.parent.mkdir()
    path.write_text(json.dumps(content))
    return root


def tiny_imagenet(root: Path, boxes: Boxes) -> Path:
    """Write Tiny ImageNet's layout: corners count from 0, the last ones are inside."""
    seeds = count()
    (root / "val").mkdir(parents=True)
    (root / "wnids.txt").write_text("cat\ndog\n")

    def lines(names: Sequence[str], between: str) -> str:
        one = {name: boxes.get(name, [(0, 0, 9, 9)])[0] for name in names}
        rows = [(f"{n}.jpg", *filter(None, [between and n[:3]]), *box) for n, box in one.items()]
        return "".join("\t".join(map(str, row)) + "\n" for row in rows)

    for wnid in ("cat", "dog"):
        train = [name for name in NAMES[:-1] if name.startswith(wnid)]
        pictures(root / "train" / wnid / "images", train, seeds)
        (root / f"train/{wnid}/{wnid}_boxes.txt").write_text(lines(train, ""))
    pictures(root / "val" / "images", NAMES[-1:], seeds)
    (root / "val/val_annotations.txt").write_text(lines(NAMES[-1:], "class"))
    return root


def ilsvrc(root: Path, boxes: Boxes) -> Path:
    """Write ILSVRC's layout: corners count from 0, the last ones are inside."""
    rows = ["ImageId,PredictionString"]
    for name in NAMES:
        pictures(root / "Data/CLS-LOC/train" / name[:3], [name], count(NAMES.index(name)))
        told = [f"{name[:3]} {' '.join(map(str, box))}" for box in boxes.get(name, [(0, 0, 9, 9)])]
        rows.append(f"{name},{' '.join(told)}")
    (root / "LOC_train_solution.csv").write_text("\n".join(rows))
    return root


def table(root: Path, boxes: Boxes) -> Path:
    """Write a table: corners count from 0, the last ones are outside."""
    pictures(root / "pictures", NAMES, count())
    rows = [
        f"pictures/{name}.jpg,{name[:3]},{' '.join(map(str, boxes.get(name, [(0, 0, 9, 9)])[0]))}"
        for name in NAMES
    ]
    (root / "table.csv").write_text("\n".join(["file,label,box", *rows]))
    return root / "table.csv"


def reasons(report: Report) -> dict[str, list[str]]:
    """Return what was said of boxes, by the names of the pictures without folder and ending."""
    told: dict[str, list[str]] = {}
    for finding in report.findings:
        assert finding.key in ("boxes", "missing-class", "no-pictures")
        for file in finding.files if finding.key == "boxes" else ():
            told.setdefault(Path(file.file).stem, []).append(file.reason)
            assert file.class_name == Path(file.file).stem[:3]
        if finding.key == "boxes":
            assert finding.severity == "warning"
            assert finding.count == len(finding.files)
    return told


EMPTY = "is empty: training does without it"

ODD: dict[str, tuple[Callable[[Path, Boxes], Path], Boxes, dict[str, list[str]]]] = {
    "voc": (
        voc,
        {
            "cat00": [(1, 1, 120, 90)],
            "cat01": [(0, 0, 120, 90)],
            "cat02": [(9, 9, 3, 20)],
            "cat03": [(-5, 4, 30, 30)],
            "cat04": [(1, 1, 121, 90)],
            "cat05": [(1, 1, 60, 60), (50, 50, 60, 99), (7, 9, 30, 5)],
        },
        {
            "cat02": [f"box (8, 8) to (3, 20) {EMPTY}"],
            "cat03": ["box (-5, 4) to (30, 30) begins beyond the picture: cut at its edge"],
            "cat04": [f"box (0, 0) to (121, 90) on {ON}"],
            "cat05": [f"box (6, 8) to (30, 5) {EMPTY}", f"box (49, 49) to (60, 99) on {ON}"],
        },
    ),
    "coco": (
        coco,
        {
            "dog00": [(0, 0, 120, 90)],
            "dog01": [(5, 5, 0, 9)],
            "dog02": [(-5, 0, 9, 9)],
            "dog03": [(0, 0, 9, 9), (100, 0, 20.5, 9)],
        },
        {
            "dog01": [f"box (5, 5) to (5, 14) {EMPTY}"],
            "dog02": [f"box (-5, 0) to (4, 9) on {ON}"],
            "dog03": [f"box (100, 0) to (120.5, 9) on {ON}"],
        },
    ),
    "tiny-imagenet": (
        tiny_imagenet,
        {
            "cat00": [(0, 0, 119, 89)],
            "cat01": [(9, 9, 3, 20)],
            "cat02": [(-1, 0, 9, 9)],
            "cat03": [(0, 0, 120, 9)],
            "dog23": [(9, 9, 10, 7)],
        },
        {
            "cat01": [f"box (9, 9) to (4, 21) {EMPTY}"],
            "cat02": [f"box (-1, 0) to (10, 10) on {ON}"],
            "cat03": [f"box (0, 0) to (121, 10) on {ON}"],
            "dog23": [f"box (9, 9) to (11, 8) {EMPTY}"],
        },
    ),
    "ilsvrc": (
        ilsvrc,
        {"cat01": [(0, 0, 9, 9), (9, 9, 3, 20)], "dog02": [(0, 0, 120, 9)]},
        {
            "cat01": [f"box (9, 9) to (4, 21) {EMPTY}"],
            "dog02": [f"box (0, 0) to (121, 10) on {ON}"],
        },
    ),
    "table": (
        table,
        {"cat00": [(0, 0, 120, 90)], "cat01": [(0, 0, 120, 91)], "dog02": [(-1, 0, 9, 9)]},
        {
            "cat01": [f"box (0, 0) to (120, 91) on {ON}"],
            "dog02": [f"box (-1, 0) to (9, 9) on {ON}"],
        },
    ),
}


@pytest.mark.parametrize("layout", ODD)
def test_odd_boxes_are_found_and_no_others(layout: str, tmp_path: Path) -> None:
    write, boxes, expected = ODD[layout]
    report = check(write(tmp_path / "data", boxes))
    assert report.dataset.layout_name == layout
    told = reasons(report)
    assert {name: sorted(found) for name, found in told.items()} == {
        name: sorted(found) for name, found in expected.items()
    }
    # Boxes of a set without odd ones draw no word.
    shutil.rmtree(tmp_path / "data")
    assert reasons(check(write(tmp_path / "data", {}))) == {}


def test_boxes_are_compared_with_the_upright_picture(tmp_path: Path) -> None:
    path = table(tmp_path, {"cat00": [(0, 0, 90, 120)]})
    assert [*reasons(check(path))] == ["cat00"]
    picture = scene(0, WIDTH, HEIGHT)
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "pictures/cat00.jpg", exif=exif)
    assert [f.key for f in check(path).findings if f.key == "boxes"] == []
