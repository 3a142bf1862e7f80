"""The page is self-contained and well-formed; the lists name every file."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from checks.messy import clean_splits, save, scene
from verydeep import check
from verydeep.checks import contact_sheets, page
from verydeep.checks.contact_sheets import HEIGHT, choose_sheets, shrink
from verydeep.checks.report import CheckReport
from verydeep.data.dataset import relative_name

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Reader(HTMLParser):
    """Checks that what is opened is closed, and collects what the page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.words: list[str] = []
        self.in_name = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        assert tag not in ("script", "link", "iframe")
        addresses = [str(value) for name, value in attrs if name in ("src", "href")]
        self.references += [one for one in addresses if not one.startswith("#")]
        assert tag != "img" or dict(attrs).get("alt")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.in_name and self.words:
            self.words[-1] += data
        else:
            self.words.append(data)
        self.in_name = "bdi" in self.open


NASTY = '<b>&"quoted" =1.jpg'


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[CheckReport, Path]:
    folder = tmp_path_factory.mktemp("page")
    root = clean_splits(folder / "pets & <co>")
    shutil.copy(root / "train/cat/00.jpg", root / "val/dog/x.jpg")
    save(Image.open(root / "train/cat/01.jpg"), root / "train/cat/y.jpg", quality=70)
    (root / "train/cat" / NASTY).write_text("no image")
    return check(root, out=folder / "out"), folder / "out"


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed((path / "check.html").read_text("utf-8"))
    reader.close()
    return reader


def test_the_page_is_well_formed_and_loads_nothing(written: tuple[CheckReport, Path]) -> None:
    reader = read(written[1])
    assert reader.open == []
    assert reader.references
    assert all(uri.startswith("data:image/jpeg;base64,") for uri in reader.references)
    text = (written[1] / "check.html").read_text("utf-8")
    without_pictures = re.sub(r"data:image/jpeg;base64,[\w+/=]*", "", text)
    assert not re.search(r"https?:|//\w|url\(|@import", without_pictures)
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


def test_the_page_says_what_was_found(written: tuple[CheckReport, Path]) -> None:
    report, folder = written
    words = " ".join(read(folder).words)
    for finding in report.findings:
        assert finding.title in words
        assert finding.advice[1:] in words
    assert report.verdict in words
    assert NASTY in words


def test_the_pictures_are_small_jpegs(written: tuple[CheckReport, Path]) -> None:
    for uri in set(read(written[1]).references):
        with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as picture:
            assert picture.format == "JPEG"
            assert picture.height <= HEIGHT
            assert picture.width <= 2 * HEIGHT
            assert not picture.getexif()


def test_a_pair_is_shown_once(written: tuple[CheckReport, Path]) -> None:
    text = (written[1] / "check.html").read_text("utf-8")
    leaks = text[text.index("in train and in val") :]
    assert leaks[: leaks.index("</section>")].count("<figure") == 1


def test_the_lists_name_every_file(written: tuple[CheckReport, Path]) -> None:
    report, folder = written
    with (folder / "findings.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == page.COLUMNS
    listed = [(row["severity"], row["finding"], row["file"]) for row in rows]
    assert listed == [
        (finding.severity, finding.key, file)
        for finding in report.findings
        for file in ([flagged.file for flagged in finding.files] or [""])
    ]
    assert all(row["what_to_do"] and row["reason"] for row in rows)
    assert json.loads((folder / "findings.json").read_text("utf-8")) == report.to_dict()


def test_the_choice_is_seeded_and_of_usable_training_pictures(
    written: tuple[CheckReport, Path],
) -> None:
    report, _ = written
    one, same = (choose_sheets(report.dataset, report.pictures, seed=3) for _ in range(2))
    others = [choose_sheets(report.dataset, report.pictures, seed=seed) for seed in range(9)]
    assert one == same
    assert any(sheets != one for sheets in others)
    for sheet, name in zip(one, ("cat", "dog"), strict=True):
        assert sheet.title == name
        assert len(sheet.pictures) == 8
        for picture in sheet.pictures:
            assert relative_name(picture.path, report.dataset.root).startswith(f"train/{name}/")
            assert picture.facts.fault is None


def test_without_training_images_the_others_are_shown(tmp_path: Path) -> None:
    root = tmp_path / "pets"
    for split, count in (("val", 2), ("test", 3)):
        for number in range(count):
            save(scene(10 * count + number), root / split / "cat" / f"{number}.jpg")
            save(scene(10 * count + number + 5), root / split / "dog" / f"{number}.jpg")
    report = check(root)
    sheets = choose_sheets(report.dataset, report.pictures)
    assert [(sheet.title, sheet.total, len(sheet.pictures)) for sheet in sheets] == [
        *(("cat", 5, 5), ("dog", 5, 5)),
    ]


def test_more_classes_than_fit_on_the_page_are_drawn(
    written: tuple[CheckReport, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    report, _ = written
    monkeypatch.setattr(contact_sheets, "MOST_ON_A_PAGE", 2)
    (sheet,) = choose_sheets(report.dataset, report.pictures)
    assert len(sheet.pictures) == 2


def test_a_small_picture_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    uri = shrink(save(scene(1, 800, 400), tmp_path / "a.jpg", exif=exif))
    assert uri is not None
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as picture:
        assert picture.size == (48, 96)


def test_what_cannot_be_shrunk_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff")
    assert shrink(tmp_path / "a.jpg") is None
    assert shrink(tmp_path / "gone.jpg") is None
