"""The report: one page that opens from disk, whole, and loads nothing."""

from __future__ import annotations

import html
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from verydeep.errors import ModelError
from verydeep.insight.curves import learning_curves
from verydeep.insight.report import write_report

VOID = {"meta", "link", "br", "img", "hr", "input"}
SVG = "{http://www.w3.org/2000/svg}"


class Page(HTMLParser):
    """Reads a page; every element must be closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.references: list[str] = []
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name.rpartition(":")[2] in ("src", "href", "srcset", "data", "action", "poster"):
                self.references.append(value or "")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    """A finished run that may be changed."""
    shutil.copytree(trained_run, tmp_path / "run")
    return tmp_path / "run"


def page(run: Path) -> Page:
    return Page(write_report(run).read_text("utf-8"))


def test_the_page_of_a_run_is_whole_and_loads_nothing(run: Path) -> None:
    text = (run / "report.html").read_text("utf-8")
    found = Page(text)
    assert text.lower().startswith("<!doctype html>")
    assert {"html", "title", "h1", "table", "svg", "main"} <= set(found.tags)
    assert not {"script", "link", "iframe", "object", "embed"} & set(found.tags)
    assert all(reference.startswith("#") for reference in found.references)
    assert re.findall(r"(?:url\(|@import)\s*['\"]?(?!#)", text) == []


def test_it_says_what_was_measured(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text("utf-8"))
    log = [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]
    found = page(run)
    tests = {row[0]: row for row in found.rows if row[0] in ("center", "dense")}
    for test in metrics["tests"]:
        row = tests[test["protocol"]]
        assert row[1:3] == ["36", "yes"]
        low, high = test["top1_interval"]
        assert row[3].strip() == f"{test['top1_error']:.2f}"
        assert f"({low:.1f} to {high:.1f})" in found.text
        assert row[5:8] == [f"{test['loss']:.3f}", "12", "0"]
    epochs = [row for row in found.rows if row[0].isdigit()]
    assert [row[0] for row in epochs] == [str(entry["epoch"]) for entry in log]
    assert [row[2] for row in epochs] == [f"{entry['train_loss']:.3f}" for entry in log]
    assert [row[4] for row in epochs] == [f"{entry['val_loss']:.3f}" for entry in log]
    best = min(log, key=lambda entry: entry["val_loss"])
    assert f"The model is that of epoch {best['epoch']}" in found.text
    for part in ("24 train, 12 val, 12 test", "the ceiling of 20 epochs", "input_size: 32"):
        assert part in found.text
    assert "optimistic" not in found.text


def test_an_unfinished_run_has_a_report_too(run: Path) -> None:
    finished = page(run)
    (run / "metrics.json").unlink()
    lines = (run / "log.jsonl").read_text("utf-8").splitlines(keepends=True)
    (run / "log.jsonl").write_text(lines[0])
    found = page(run)
    assert "has not been tested yet" in found.text
    assert "has not been tested yet" not in finished.text
    assert {"table", "svg"} <= set(found.tags)
    assert [row[0] for row in found.rows if row[0].isdigit()] == ["1"]


def test_before_the_first_epoch_there_is_nothing_to_report(run: Path, tmp_path: Path) -> None:
    (run / "metrics.json").unlink()
    (run / "log.jsonl").unlink()
    with pytest.raises(ModelError, match="no epoch has ended"):
        write_report(run)
    with pytest.raises(ModelError, match="not a run folder"):
        write_report(tmp_path)


@pytest.mark.parametrize("name", ["log.jsonl", "metrics.json", "data.json", "environment.json"])
def test_a_damaged_run_is_refused(name: str, run: Path) -> None:
    (run / name).write_text('{"cut":')
    with pytest.raises(ModelError, match=name):
        write_report(run)


def test_names_from_outside_stay_text(run: Path) -> None:
    data = json.loads((run / "data.json").read_text("utf-8"))
    data["layout"] = "<script>alert(1)</script>"
    data["unreadable"] = ["<img src=http://example.org/x.png>: 'quoted' & \"more\""]
    (run / "data.json").write_text(json.dumps(data))
    found = page(run)
    assert not {"script", "img"} & set(found.tags)
    assert data["layout"] in found.text
    assert data["unreadable"][0] in found.text
    assert html.escape("<script>") in (run / "report.html").read_text("utf-8")


def test_the_same_run_gives_the_same_words(run: Path) -> None:
    assert page(run).text == page(run).text


# ---- curves ----


def row(epoch: int, drops: int = 0, **more: float) -> dict[str, float]:
    values = {"train_loss": 1.0 / epoch, "val_loss": 1.1 / epoch, "learning_rate": 0.1**drops}
    errors = {"train_top1_error": 50.0, "val_top1_error": 60.0}
    return {"epoch": epoch, "drops": drops} | values | errors | more


def drawn_lines(svg: str) -> int:
    """Count the vertical dotted lines of one of the three plots."""
    root = ElementTree.fromstring(svg)
    dotted = [
        path.get("d")
        for path in root.iter(f"{SVG}path")
        if "stroke-dasharray: 0.8" in (path.get("style") or "")
    ]
    assert len(dotted) % 3 == 0
    return len(dotted) // 3


def test_curves_are_an_svg_with_words_for_their_axes() -> None:
    svg = learning_curves([row(1), row(2), row(3)])
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    paths = list(root.iter(f"{SVG}path"))
    for colour in ("#0072b2", "#d55e00"):  # training and validation, in loss and error
        assert sum(colour in (path.get("style") or "") for path in paths) >= 2


@pytest.mark.parametrize(
    ("drops", "count"), [([0, 0, 0], 0), ([0, 1, 1], 1), ([0, 1, 2, 3], 3), ([0, 0, 2], 1)]
)
def test_every_drop_is_marked(drops: list[int], count: int) -> None:
    rows = [row(epoch, drop) for epoch, drop in enumerate(drops, start=1)]
    assert drawn_lines(learning_curves(rows)) == count


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), 0.0])
def test_curves_are_drawn_whatever_the_loss(loss: float) -> None:
    ElementTree.fromstring(learning_curves([row(1), row(2, val_loss=loss, train_loss=loss)]))
    ElementTree.fromstring(learning_curves([row(1, val_loss=loss, train_loss=loss)]))
