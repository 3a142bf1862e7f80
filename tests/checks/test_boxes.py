"""Faulty boxes in every layout with boxes are found and distinguished."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from checks.layouts import HEIGHT, WIDTH, Boxes, coco, ilsvrc, table, tiny_imagenet, voc
from checks.messy import scene
from verydeep import check
from verydeep.checks.report import CheckReport

ON = f"{WIDTH}x{HEIGHT} pixels"


def reasons(report: CheckReport) -> dict[str, list[str]]:
    """Return what was said of boxes, by the names of the images without folder and ending."""
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


EMPTY = "is empty: training ignores it"

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
            "cat03": ["box (-5, 4) to (30, 30) begins outside the image: cut at its edge"],
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
