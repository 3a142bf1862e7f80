"""The report: a self-contained page that opens from disk."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from html_page import Page

from verydeep.errors import ModelError
from verydeep.run.report import report
from verydeep.visualization.report.curves import Drop, drops_of, learning_curves
from verydeep.visualization.report.provenance import kind_of_run, made


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    """Return a modifiable copy of a finished run."""
    shutil.copytree(trained_run, tmp_path / "run")
    return tmp_path / "run"


def page(run: Path) -> Page:
    return Page(report(run).read_text("utf-8"))


def test_the_page_of_a_run_is_whole_and_loads_nothing(run: Path) -> None:
    text = (run / "report.html").read_text("utf-8")
    found = Page(text)
    assert text.lower().startswith("<!doctype html>")
    assert {"html", "title", "h1", "table", "svg", "main", "nav", "img"} <= set(found.tags)
    assert not {"script", "link", "iframe", "object", "embed"} & set(found.tags)
    assert all(one.startswith(("#", "data:image/jpeg;base64,")) for one in found.references)
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
        rates = [test["top1_accuracy"], test["macro_f1"]]
        assert row[4:6] == [f"{rate:.2f}" for rate in rates]
        assert row[6:9] == [f"{test['loss']:.3f}", "12", "0"]
    assert "top-5" not in found.text  # of three classes
    epochs = [row for row in found.rows if row[0].isdigit() and len(row) == 8]
    assert [row[0] for row in epochs] == [str(entry["epoch"]) for entry in log]
    assert [row[2] for row in epochs] == [f"{entry['train_loss']:.3f}" for entry in log]
    assert [row[4] for row in epochs] == [f"{entry['val_loss']:.3f}" for entry in log]
    best = min(log, key=lambda entry: entry["val_loss"])
    assert f"The model is from epoch {best['epoch']}" in found.text
    for part in (
        "24 train, 12 val, 12 test",
        "Net A for 32x32 pixels",
        "the ceiling of 20 epochs",
        "input_size: 32",
    ):
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
    assert "img" not in found.tags
    assert [row[0] for row in found.rows if row[0].isdigit() and len(row) == 8] == ["1"]


def test_before_the_first_epoch_there_is_nothing_to_report(run: Path, tmp_path: Path) -> None:
    (run / "metrics.json").unlink()
    (run / "log.jsonl").unlink()
    with pytest.raises(ModelError, match="before the first epoch"):
        report(run)
    with pytest.raises(ModelError, match="not a run folder"):
        report(tmp_path)


FILES = ("log.jsonl", "metrics.json", "data.json", "environment.json", "answers.jsonl")


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_run_is_refused(name: str, run: Path) -> None:
    (run / name).write_text('{"cut":')
    with pytest.raises(ModelError, match=name):
        report(run)


def test_names_from_outside_stay_text(run: Path) -> None:
    data = json.loads((run / "data.json").read_text("utf-8"))
    data["layout"] = "<script>alert(1)</script>"
    data["unreadable"] = ["<img src=http://example.org/x.png>: 'quoted' & \"more\""]
    (run / "data.json").write_text(json.dumps(data))
    found = page(run)
    assert "script" not in found.tags
    assert not any("example.org" in reference for reference in found.references)
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


def elements(svg: str, tag: str, kind: str) -> list[ElementTree.Element]:
    """Return the elements of a kind in a well-formed SVG."""
    root = ElementTree.fromstring(svg)
    assert root.tag == "svg"
    assert root.get("role") == "img"
    assert root.get("aria-label")
    return [one for one in root.iter(tag) if kind in (one.get("class") or "").split()]


def points(line: ElementTree.Element) -> list[tuple[float, float]]:
    pairs = ((line.get("points") or "").split(" ")) if line.tag == "polyline" else []
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in pairs)]


def test_loss_and_error_have_both_lines_and_a_ring_at_the_best_epoch() -> None:
    rows = [row(1), row(2, val_loss=0.2), row(3, val_loss=0.4)]
    loss, error, rate = learning_curves(rows, rows[1])
    for svg in (loss, error):
        assert len(elements(svg, "polyline", "training")) == 1
        (line,) = elements(svg, "polyline", "validation")
        (ring,) = elements(svg, "circle", "ring")
        assert (float(ring.get("cx", 0)), float(ring.get("cy", 0))) == points(line)[1]
    assert len(elements(rate, "polyline", "rate")) == 1
    heights = [y for _, y in points(elements(loss, "polyline", "validation")[0])]
    assert heights[0] < heights[2] < heights[1]  # y grows downwards


@pytest.mark.parametrize(
    ("drops", "labels"),
    [([0, 0, 0], []), ([0, 1, 1], ["1"]), ([0, 1, 2, 3], ["1", "2", "3"]), ([0, 0, 2], ["1"])],
)
def test_every_drop_is_marked_and_numbered(drops: list[int], labels: list[str]) -> None:
    rows = [row(epoch, drop) for epoch, drop in enumerate(drops, start=1)]
    for svg in learning_curves(rows, rows[-1]):
        assert len(elements(svg, "line", "drop")) == len(labels)
        words = [
            one.text for one in ElementTree.fromstring(svg).iter("text") if one.get("y") == "16.0"
        ]
        assert words == labels


def test_numbers_of_drops_that_would_touch_are_joined() -> None:
    rows = [row(epoch, max(0, min(3, epoch - 40))) for epoch in range(1, 101)]
    svg = learning_curves(rows, rows[0])[0]
    assert len(elements(svg, "line", "drop")) == 3
    words = [one.text for one in ElementTree.fromstring(svg).iter("text")]
    assert "1–3" in words


def test_a_drop_is_told_with_both_rates() -> None:
    rows = [row(1, 0), row(2, 0), row(3, 1)]
    assert drops_of(rows) == [Drop(2, 1.0, 0.1)]


def test_the_page_lists_the_drops_in_words(run: Path) -> None:
    rows = [row(1, 0), row(2, 1), row(3, 2)]
    lines = [json.dumps({**one, "images_per_second": 1.0}) for one in rows]
    (run / "log.jsonl").write_text("\n".join(lines) + "\n")
    text = page(run).text
    assert "1. after epoch 1 from 1 to 0.1; 2. after epoch 2 from 0.1 to 0.01." in text


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), 0.0, 1e30])
def test_curves_are_drawn_whatever_the_loss(loss: float) -> None:
    for rows in ([row(1), row(2, val_loss=loss, train_loss=loss)], [row(1, val_loss=loss)]):
        for svg in learning_curves(rows, rows[-1]):
            ElementTree.fromstring(svg)
            assert not re.search(r"\b(nan|inf)\b", svg.partition(">")[2])


def test_the_end_of_a_cycle_leaves_room_for_the_rest() -> None:
    rates = (0.01, 0.1, 0.05, 1e-9)
    rows = [row(epoch, learning_rate=rate) for epoch, rate in enumerate(rates, start=1)]
    svg = learning_curves(rows, rows[0])[2]
    (line,) = elements(svg, "polyline", "rate")
    first, highest, _, last = (y for _, y in points(line))
    # Of three powers of ten from top to bottom, one lies between the first two rates.
    assert (first - highest) / (last - highest) == pytest.approx(1 / 3, abs=0.01)


def test_a_rate_that_drops_is_drawn_however_low() -> None:
    rows = [row(1, 0, learning_rate=1.0), row(2, 1), row(3, 2), row(4, 3), row(5, 4)]
    (line,) = elements(learning_curves(rows, rows[0])[2], "polyline", "rate")
    heights = [y for _, y in points(line)]
    assert np.diff(heights) == pytest.approx([(heights[-1] - heights[0]) / 4] * 4, abs=0.2)


def test_the_recipe_is_told_if_the_command_names_it() -> None:
    recipe = "net: {name: A, input_size: 32, width: 1, norm: batch}"
    told = "Net A for 32x32 pixels, with batch normalisation"
    assert kind_of_run(recipe, ["verydeep", "demo"]) == told
    command = ["verydeep", "train", "pets", "--recipe", "my/small.yaml"]
    assert kind_of_run(recipe, command) == f"{told}, recipe small.yaml"


def test_a_rate_of_zero_is_left_out() -> None:
    rows = [row(1), row(2), row(3, learning_rate=0.0)]
    (line,) = elements(learning_curves(rows, rows[0])[2], "polyline", "rate")
    assert len(points(line)) == 2


def test_a_squared_error_is_not_told_in_nats(run: Path) -> None:
    rows = [row(1), row(2)]
    assert "loss (nats)" in learning_curves(rows, rows[0])[0]
    assert "nats" not in learning_curves(rows, rows[0], squared=True)[0]
    recipe = (run / "recipe.yaml").read_text("utf-8")
    assert "loss: cross-entropy" in recipe
    words = "The training loss is the mean squared error of the scores"
    assert words not in page(run).text
    changed = recipe.replace("loss: cross-entropy", "loss: squared-error", 1)
    (run / "recipe.yaml").write_text(changed, "utf-8")
    found = page(run)
    assert words in found.text
    assert "loss (nats)" not in found.text.partition("Learning curves")[2].partition("Classes")[0]


@pytest.mark.parametrize(
    ("recipe", "mean"),
    [("", "1.00, 2.00, 3.00"), ("data: {mean: 127.5}", "127.50, 127.50, 127.50")],
)
def test_the_mean_is_the_one_that_is_subtracted(recipe: str, mean: str) -> None:
    data = {"data": "pets", "layout": "table", "colours": {"mean": [1.0, 2.0, 3.0]}}
    assert dict(made({}, data, recipe))["mean RGB, subtracted from every pixel"] == mean
