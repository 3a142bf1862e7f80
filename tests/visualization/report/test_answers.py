"""Tables, matrix and galleries of the report against the predictions."""

from __future__ import annotations

import base64
import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from html_page import Page
from PIL import Image
from shown import (
    boxed,
    classified,
    random_answers,
    random_boxes,
    save_picture,
)

from verydeep.data.images.thumbnails import thumbnail
from verydeep.errors import PictureError
from verydeep.run.report import report
from verydeep.visualization.report.calibration import calibration
from verydeep.visualization.report.gallery import SHOWN, SIZE, ranked_groups

ANIMALS = ("cat", "dog", "owl")


def page(run: Path) -> Page:
    return Page(report(run).read_text("utf-8"))


def with_pictures(data: Path, names: tuple[str, ...]) -> None:
    for number, name in enumerate(names):
        save_picture(data / name, number)


def pixels(address: str) -> Image.Image:
    head, _, body = address.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(body)))


# ---- numbers ----


@pytest.mark.parametrize("count", [2, 3, 50])
def test_the_matrix_counts_every_picture(tmp_path: Path, count: int) -> None:
    answers = random_answers(400, [f"class {k}" for k in range(count)])
    found = page(classified(tmp_path / "run", tmp_path, answers))
    # The names of the columns stand in elements of their own, so that they can be turned.
    start = found.rows.index([""] * (count + 1))
    rows = {row[0]: row[1:] for row in found.rows[start + 1 : start + 1 + count]}
    counts = np.zeros((count, count), int)
    np.add.at(counts, (answers.labels, answers.guesses), 1)
    for label, name in enumerate(answers.classes):
        assert [int(cell or 0) for cell in rows[name]] == counts[label].tolist()


def test_the_errors_of_classes_come_with_counts_the_largest_first(tmp_path: Path) -> None:
    answers = random_answers(300, ANIMALS)
    found = page(classified(tmp_path / "run", tmp_path, answers))
    rows = [row for row in found.rows if len(row) == 9 and row[0] in ANIMALS]
    assert len(rows) == 3
    for row in rows:
        mine = answers.labels == ANIMALS.index(row[0])
        wrong = int((answers.wrong & mine).sum())
        assert (int(row[3]), int(row[4])) == (wrong, int(mine.sum()))
        assert row[1] == f"{100 * wrong / int(mine.sum()):.2f}"
        low, _, high = row[2].partition(" to ")
        assert float(low) < float(row[1]) < float(high)
    errors = [float(row[1]) for row in rows]
    assert errors == sorted(errors, reverse=True)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    total = round(metrics["top1_error"] * 3)
    assert f"{total} of 300 images" in found.text
    assert sum(int(row[3]) for row in rows) == total


def test_a_thousand_classes_are_folded_and_have_no_matrix(tmp_path: Path) -> None:
    answers = random_answers(3000, [f"n{k:04}" for k in range(1000)])
    path = report(classified(tmp_path / "run", tmp_path, answers))
    text = path.read_text("utf-8")
    found = Page(text)
    assert 'class="matrix"' not in text
    assert "the 10 worst of 1,000" in found.text
    assert "All 1,000 classes" in found.text
    assert len([row for row in found.rows if len(row) == 9 and row[0].startswith("n0")]) == 1010
    pairs = [row for row in found.rows if len(row) == 3 and row[0].startswith("n")]
    assert len(pairs) == 20
    assert len(text) < 1_000_000


def test_a_class_without_pictures_has_no_error(tmp_path: Path) -> None:
    answers = random_answers(2, ANIMALS)
    found = page(classified(tmp_path / "run", tmp_path, answers))
    *_, last = (row for row in found.rows if len(row) == 9 and row[0] in ANIMALS)
    assert (last[0], last[1], last[2], last[4]) == ("owl", "–", "–", "0")


def test_calibration_is_that_of_the_metrics(tmp_path: Path) -> None:
    answers = random_answers(500, ANIMALS)
    found = page(classified(tmp_path / "run", tmp_path, answers))
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert f"calibration error is {metrics['calibration_error']:.1f} points" in found.text
    ranges = [row for row in found.rows if len(row) == 5 and " to " in row[0]]
    assert sum(int(row[1]) for row in ranges) == 500


def test_overconfidence_and_underconfidence_are_distinguished() -> None:
    from verydeep.evaluation.calibration import Bin

    over = calibration([Bin(0.8, 1.0, 10, 0.9, 0.5)], chance=1.5).summary
    assert all(part in over for part in ("overconfident by 40.0", "1.5 points on 10 images"))
    assert "underconfident by 40.0" in calibration([Bin(0.4, 0.6, 10, 0.5, 0.9)]).summary


def test_it_says_how_the_run_was_made_without_secrets(tmp_path: Path) -> None:
    run = classified(tmp_path / "run", tmp_path, random_answers(9, ANIMALS))
    found = page(run)
    facts = {row[0]: row[1] for row in found.rows if len(row) == 2}
    assert facts["seed"] == "17"
    assert facts["fingerprint of the training images (SHA-256)"] == "f00d"
    assert facts["mean RGB, subtracted from every pixel"] == "1.25, 2.50, 3.75"
    assert facts["processor"] == "a <b>processor</b>"
    assert "verydeep train 'https://…@example.org/x.tar?…'" in found.text
    text = (run / "report.html").read_text("utf-8")
    assert "secret" not in text
    assert "token" not in text


# ---- images ----


def test_the_galleries_show_the_right_pictures(tmp_path: Path) -> None:
    answers = random_answers(120, ANIMALS)
    with_pictures(tmp_path / "data", answers.names)
    found = page(classified(tmp_path / "run", tmp_path / "data", answers))
    shown = [part for tag, part in found.elements if tag == "img"]
    sure = answers.posteriors.max(1)
    wrong = sorted((n for n in range(120) if answers.wrong[n]), key=lambda n: -float(sure[n]))
    two = -np.sort(-answers.posteriors)
    doubtful = sorted(range(120), key=lambda n: float(two[n, 0] - two[n, 1]))
    expected = [*wrong[:SHOWN], *doubtful[:SHOWN]]
    assert [part["src"] for part in shown] == [
        thumbnail(tmp_path / "data" / answers.names[n], SIZE) for n in expected
    ]
    for n, part in zip(expected, shown, strict=True):
        named = [ANIMALS[int(answers.labels[n])], ANIMALS[int(answers.guesses[n])]]
        assert re.findall("“(.*?)”", part["alt"]) == (named if answers.wrong[n] else named[:1])
    first = wrong[0]
    guess = ANIMALS[int(answers.guesses[first])]
    assert f"{guess} ({100 * float(sure[first]):.1f} %)" in found.text
    assert all(answers.names[n] in found.text for n in expected)


@pytest.mark.slow
def test_galleries_stay_below_a_megabyte_for_any_pictures(tmp_path: Path) -> None:
    answers = random_answers(80, ANIMALS)
    for number, name in enumerate(answers.names):
        save_picture(tmp_path / name, number, (1200, 900))
    text = report(classified(tmp_path / "run", tmp_path, answers)).read_text("utf-8")
    assert len(text) < 1_000_000
    for tag, part in Page(text).elements:
        if tag == "img":
            size = pixels(part["src"]).size
            assert size[0] <= SIZE[0]
            assert size[1] <= SIZE[1]


def test_a_picture_that_is_broken_or_gone_says_so_in_its_place(tmp_path: Path) -> None:
    answers = random_answers(3, ("cat", "dog"))
    (tmp_path / "test").mkdir()
    (tmp_path / answers.names[0]).write_bytes(b"\xff\xd8 no image")
    save_picture(tmp_path / answers.names[1], 0)
    found = page(classified(tmp_path / "run", tmp_path, answers))
    assert "not shown: unreadable" in found.text
    assert "not shown: file not found" in found.text
    assert "img" in found.tags
    assert "None of the images can be shown" not in found.text


def test_without_the_data_there_is_a_report_all_the_same(tmp_path: Path) -> None:
    answers = random_answers(30, ANIMALS)
    found = page(classified(tmp_path / "run", tmp_path / "gone", answers))
    assert "img" not in found.tags
    assert "None of the images can be shown" in found.text
    assert "Error by class" in found.text


NASTY = '<script>alert("1")</script>\' & "quoted"'


def test_odd_names_stay_text(tmp_path: Path) -> None:
    classes = (NASTY, "two\nlines", os.fsdecode(b"caf\xe9"))
    names = [f"{n} </figcaption><img src=http://example.org/{n}>\n\udce9.png" for n in range(6)]
    run = classified(tmp_path / "run", tmp_path, random_answers(6, classes, names))
    text = report(run).read_text("utf-8")
    found = Page(text)
    assert not {"script", "img"} & set(found.tags)
    assert NASTY in found.text
    assert "<img src=http://example.org/3>" in found.text
    assert "caf\\udce9" in text


# ---- runs of other versions ----


def test_a_run_without_answers_has_a_report_that_says_what_adds_them(tmp_path: Path) -> None:
    run = classified(tmp_path / "my run", tmp_path, random_answers(9, ANIMALS))
    (run / "answers.jsonl").unlink()
    found = page(run)
    assert f"verydeep report '{run}' --test" in found.text
    assert "Error by class" not in found.text
    assert not [part for tag, part in found.elements if part.get("href") == "#calibration"]


def test_testing_again_makes_the_same_answers(trained_run: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(trained_run, tmp_path / "run")
    before = (trained_run / "answers.jsonl").read_text("utf-8")
    (tmp_path / "run" / "answers.jsonl").unlink()
    metrics = (tmp_path / "run" / "metrics.json").read_bytes()
    report(tmp_path / "run", test=True)
    assert (tmp_path / "run" / "answers.jsonl").read_text("utf-8") == before
    assert (tmp_path / "run" / "metrics.json").read_bytes() == metrics
    assert len(before.splitlines()) == json.loads(metrics)["images"]


def test_answers_of_another_test_are_told(tmp_path: Path) -> None:
    run = classified(tmp_path / "run", tmp_path, random_answers(30, ANIMALS))
    assert "different test" not in page(run).text
    lines = (run / "answers.jsonl").read_text("utf-8").splitlines(keepends=True)
    (run / "answers.jsonl").write_text("".join(lines[:-1]), "utf-8")
    assert "different test" in page(run).text


# ---- boxes ----


def test_boxes_best_median_and_worst() -> None:
    answers = random_boxes(100)
    groups = ranked_groups(answers)
    ranked = sorted(answers, key=lambda answer: answer.overlap)
    worst = {answer.name for answer in groups["worst"]}
    assert worst == {answer.name for answer in ranked[:SHOWN]}
    assert groups["worst"][0].overlap == 0.0
    assert [one.name for one in groups["best"]] == [one.name for one in ranked[::-1][:SHOWN]]
    middle = [ranked.index(answer) for answer in groups["median"]]
    assert max(abs(place - 49.5) for place in middle) <= SHOWN / 2
    names = [answer.name for group in groups.values() for answer in group]
    assert len(names) == len(set(names)) == 3 * SHOWN


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_few_boxes_are_in_one_group_each(count: int) -> None:
    groups = ranked_groups(random_boxes(count))
    names = [answer.name for group in groups.values() for answer in group]
    assert len(names) == len(set(names))
    assert groups["best"]


def test_a_run_of_a_box_regressor_shows_both_boxes_and_the_baselines(tmp_path: Path) -> None:
    answers = random_boxes(60)
    with_pictures(tmp_path / "data", tuple(answer.name for answer in answers))
    run = boxed(tmp_path / "run", tmp_path / "data", answers)
    found = page(run)
    metrics = json.loads((run / "metrics.json").read_text())
    drawings = [part for tag, part in found.elements if tag == "image"]
    assert len(drawings) == 36
    boxes = [part for tag, part in found.elements if tag == "rect" and "box" in part["class"]]
    true = [part for part in boxes if part["class"] == "box true"]
    own = [part for part in boxes if part["class"] == "box found"]
    lost = sum(
        answer.located.given.box is None
        for group in ranked_groups(answers).values()
        for answer in group
    )
    assert (len(true), len(own)) == (36, 36 - lost)
    first = ranked_groups(answers)["worst"][0].boxes[0]
    assert [float(true[0][key]) for key in ("x", "y")] == [first.x0, first.y0]
    assert float(true[0]["width"]) == pytest.approx(first.x1 - first.x0)
    rows = {row[0]: row[1] for row in found.rows if len(row) == 2}
    assert rows["mean box"] == f"{metrics['baselines']['mean_box']['mean_iou']:.3f}"
    quantile = np.quantile([answer.overlap for answer in answers], 0.25)
    assert rows["25 %"] == f"{quantile:.3f}"
    classes = [row for row in found.rows if len(row) == 6 and row[0] in ANIMALS]
    assert sum(int(row[3]) for row in classes) == round(metrics["true_class_error"] * 0.6)
    assert sum(int(row[4]) for row in classes) == 60


# ---- small images ----


def test_a_small_picture_is_not_enlarged_and_stands_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (60, 20), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right
    image.save(tmp_path / "turned.jpg", exif=exif)
    small = pixels(thumbnail(tmp_path / "turned.jpg", (200, 160)))
    assert small.size == (20, 60)
    assert not small.getexif()
    with pytest.raises(PictureError, match=r"gone\.png"):
        thumbnail(tmp_path / "gone.png", (200, 160))
