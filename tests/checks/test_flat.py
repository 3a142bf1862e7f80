"""A folder of images without classes is checked, and not ready for training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from checks.messy import save, scene
from verydeep import check
from verydeep.data.read import read_dataset
from verydeep.errors import DataError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(12):
        save(scene(number), tmp_path / "photos" / f"{number:02}.png")
    return tmp_path / "photos"


def test_a_flat_folder_is_looked_over(photos: Path, tmp_path: Path) -> None:
    save(Image.open(photos / "00.png"), photos / "again.png", compress_level=1)
    (photos / "cut.png").write_bytes((photos / "01.png").read_bytes()[:500])
    report = check(photos, out=tmp_path / "out", limit=0.5)
    found = {finding.key: finding for finding in report.findings}
    assert {key: finding.severity for key, finding in found.items()} == {
        "no-classes": "error",
        "duplicates": "warning",
        "broken": "warning",
    }
    assert report.exit_code == 2
    assert "one folder per class" in found["no-classes"].advice
    assert found["duplicates"].files[0].reason == "same pixels as again.png (all)"
    value = report.to_dict()
    assert value["describe"] == "a folder of images without classes, 14 all"
    assert value["splits"] == {"all": 14}
    page = (tmp_path / "out/check.html").read_text("utf-8")
    assert "all images" in page
    assert page.count("data:image/jpeg") >= 8


def test_its_colours_are_those_of_its_pixels(photos: Path) -> None:
    pixels = [np.asarray(Image.open(path), np.float64) for path in photos.iterdir()]
    colours = check(photos).summary["colours"]
    np.testing.assert_allclose(colours["mean"], np.mean(pixels, axis=(0, 1, 2)), rtol=1e-6)
    assert check(photos, colours=False).summary["colours"] is None


def test_training_does_not_take_it(photos: Path) -> None:
    with pytest.raises(DataError, match="no known layout fits"):
        read_dataset(photos)


def test_a_named_layout_is_insisted_on(photos: Path) -> None:
    with pytest.raises(DataError, match="at least two folders with images"):
        check(photos, layout="class-folders")


def test_a_set_that_cannot_be_split_has_colours_too(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        save(
            Image.new("RGB", (40, 40), (10, 20, 30 if name == "cat" else 50)),
            tmp_path / name / "x.png",
        )
    report = check(tmp_path)
    assert "no-split" in {finding.key for finding in report.findings}
    np.testing.assert_allclose(report.summary["colours"]["mean"], [10, 20, 40], rtol=1e-6)
