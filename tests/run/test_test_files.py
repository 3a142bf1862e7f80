"""The files of a test, read back with other means and held against the result."""

from __future__ import annotations

import csv
import dataclasses
import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import metrics
from tiny import strict_json, write_class_folders

import verydeep
from verydeep import Classifier
from verydeep.evaluation.calibration import BINS, Calibration, temper
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.result import Answers, EvaluationResult
from verydeep.models.preprocessing import Preprocessing
from verydeep.run.testing.evaluate import evaluate, evaluate_all
from verydeep.run.testing.files import write_result, write_table
from verydeep.system.settings import Compute

FILES = {
    *("result.json", "posteriors.csv", "classes.csv", "confusion.csv", "reliability.csv"),
    *("confusion.png", "reliability.png"),
}


class Written(NamedTuple):
    """A test and the folder of its files."""

    result: EvaluationResult
    folder: Path

    def rows(self, name: str) -> list[list[str]]:
        with (self.folder / name).open(newline="", encoding="utf-8") as file:
            return list(csv.reader(file))

    def records(self, name: str) -> list[dict[str, str]]:
        with (self.folder / name).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def unsure(trained_run: Path) -> Classifier:
    """A net that looks through other eyes than it was trained with, and errs."""
    loaded = verydeep.load(trained_run, compute=Compute(device="cpu", precision="fp32"))
    calibration = Calibration(2.5, "val", "dense", 12, 1.0, 0.5)
    preprocessing = Preprocessing((140.0, 80.0, 170.0), 90.0)
    return dataclasses.replace(loaded, preprocessing=preprocessing, calibration=calibration)


@pytest.fixture(scope="module")
def written(
    unsure: Classifier, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> Written:
    result = evaluate(unsure, pictures, split="train", compute=Compute(workers=0))
    folder = tmp_path_factory.mktemp("out") / "a" / "test"  # made with its parents
    write_result(result, folder)
    assert 0 < result.top1_error < 100
    return Written(result, folder)


def made_up(names: tuple[str, ...], labels: list[int], likely: list[list[float]]) -> Answers:
    files = tuple(f"{number}.png" for number in range(len(labels)))
    return Answers(files, np.array(labels), np.array(likely, np.float32), names)


def write(result: EvaluationResult, answers: Answers, folder: Path) -> Written:
    changed = dataclasses.replace(result, answers=answers)
    write_result(changed, folder)
    return Written(changed, folder)


def test_a_test_leaves_these_files_and_no_others(written: Written) -> None:
    assert {path.name for path in written.folder.iterdir()} == FILES


def test_the_result_is_json_without_the_posteriors(written: Written) -> None:
    found = strict_json((written.folder / "result.json").read_text("utf-8"))
    assert found == written.result.to_dict()
    assert "answers" not in found


def test_posteriors_read_back_to_the_last_bit(written: Written) -> None:
    answers = written.result.answers
    head, *rows = written.rows("posteriors.csv")
    assert head == ["file", "class", "likeliest", *answers.classes]
    assert [row[0] for row in rows] == list(answers.names)
    assert [row[1] for row in rows] == [row[0].split("/")[-2] for row in rows]  # of the folder
    found = np.array([row[3:] for row in rows]).astype(np.float32)
    assert np.array_equal(found, answers.posteriors)
    assert [row[2] for row in rows] == [answers.classes[k] for k in found.argmax(1)]
    wrong = 100 * np.mean([row[1] != row[2] for row in rows])
    assert wrong == pytest.approx(written.result.top1_error)


def test_the_smallest_and_the_least_even_numbers_read_back_too(
    written: Written, tmp_path: Path
) -> None:
    values = np.random.default_rng(0).random((200, 2), np.float32)
    tiny = np.finfo(np.float32)
    extremes = [[tiny.tiny, 1], [0, 1 - tiny.epsneg], [tiny.smallest_subnormal, 1 / 3]]
    likely = np.concatenate([np.array(extremes, np.float32), values])
    answers = made_up(("x", "y"), [0] * len(likely), likely.tolist())
    other = write(written.result, answers, tmp_path)
    found = np.array([row[3:] for row in other.rows("posteriors.csv")[1:]]).astype(np.float32)
    assert np.array_equal(found, likely)


def test_the_confusion_matrix_is_scikit_learns(written: Written) -> None:
    answers = written.result.answers
    head, *rows = written.rows("confusion.csv")
    assert head == ["true class", *answers.classes]
    assert [row[0] for row in rows] == list(answers.classes)
    found = [[int(cell) for cell in row[1:]] for row in rows]
    labels, guesses = answers.labels, answers.posteriors.argmax(1)
    expected = metrics.confusion_matrix(labels, guesses, labels=range(3))
    assert found == expected.tolist()


def test_the_errors_of_every_class_are_scikit_learns(written: Written) -> None:
    answers = written.result.answers
    records = written.records("classes.csv")
    labels, guesses = answers.labels, answers.posteriors.argmax(1)
    precision, recall, _, images = metrics.precision_recall_fscore_support(
        labels, guesses, labels=range(3), zero_division=np.nan
    )
    confusion = metrics.confusion_matrix(labels, guesses, labels=range(3))
    np.fill_diagonal(confusion, 0)
    for k, record in enumerate(records):
        assert record["name"] == answers.classes[k]
        assert int(record["images"]) == images[k]
        assert float(record["top1_error"]) == pytest.approx(100 - 100 * recall[k], abs=1e-4)
        found = float(record["precision"])
        assert found == pytest.approx(100 * precision[k], abs=1e-4, nan_ok=True)
        if confusion[k].any():
            assert int(record["of_them"]) == confusion[k].max()
            other = answers.classes.index(record["mostly_taken_for"])
            assert confusion[k, other] == confusion[k].max()
        else:
            assert (record["mostly_taken_for"], record["of_them"]) == ("", "")
    assert len(records) == 3


def test_a_class_without_pictures_and_one_that_nothing_is_taken_for(
    written: Written, tmp_path: Path
) -> None:
    likely = [[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.2, 0.7, 0.1]]
    answers = made_up(("a", "b", "c"), [0, 1, 1], likely)
    records = write(written.result, answers, tmp_path).records("classes.csv")
    assert [list(record.values()) for record in records] == [
        ["a", "1", "0.0", "50.0", "100.0", "66.66666666666666", "", ""],
        ["b", "2", "50.0", "100.0", "50.0", "66.66666666666666", "a", "1"],
        ["c", "0", "nan", "nan", "nan", "nan", "", ""],
    ]


def test_reliability_holds_every_picture_in_its_range(written: Written) -> None:
    answers, result = written.result.answers, written.result
    records = written.records("reliability.csv")
    curves = {name: list(rows) for name, rows in itertools.groupby(records, lambda r: r["curve"])}
    assert list(curves) == ["as measured", "at temperature 2.500"]
    tempered = temper(answers.posteriors, 2.5)
    right = answers.posteriors.argmax(1) == answers.labels
    errors = (result.calibration_error, result.calibrated["calibration_error"])
    probabilities = (answers.posteriors, tempered)
    for rows, likely, error in zip(curves.values(), probabilities, errors, strict=True):
        confidence = likely.max(1).astype(np.float64)
        assert len(rows) == BINS
        gaps = 0.0
        for place, row in enumerate(rows):
            low, high = float(row["low"]), float(row["high"])
            assert (low, high) == pytest.approx((place / BINS, (place + 1) / BINS))
            inside = (confidence > low) & (confidence <= high)
            assert int(row["images"]) == inside.sum()
            if inside.any():
                assert float(row["confidence"]) == pytest.approx(confidence[inside].mean())
                assert float(row["accuracy"]) == pytest.approx(right[inside].mean())
                gaps += inside.sum() * abs(confidence[inside].mean() - right[inside].mean())
        assert sum(int(row["images"]) for row in rows) == result.images
        assert 100 * gaps / result.images == pytest.approx(error)


def test_without_a_temperature_there_is_one_curve(written: Written, tmp_path: Path) -> None:
    write_result(dataclasses.replace(written.result, calibrated=None), tmp_path)
    rows = Written(written.result, tmp_path).records("reliability.csv")
    assert {row["curve"] for row in rows} == {"as measured"}


def extrema(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert min(image.size) > 300
        return image.convert("L").getextrema()


@pytest.mark.parametrize("name", ["confusion.png", "reliability.png"])
def test_the_pictures_can_be_opened_and_are_not_empty(name: str, written: Written) -> None:
    darkest, lightest = extrema(written.folder / name)
    assert darkest < 100
    assert lightest == 255


@pytest.mark.parametrize(
    "names",
    [
        ("comma, semicolon;", 'quote " and\nnewline', " spaces "),
        ("$x^", "a_b$", "100 %"),
        ("Äpfel", "naïve", "œuf"),
        ("$5 to $6_", "\\frac{1", "#1"),
        ("$_$", "$\\nothing$", "$$$"),  # what would be formulas to matplotlib
        ("猫", "犬", "鳥"),  # not in the font that matplotlib brings
    ],
)
def test_class_names_may_be_anything(
    names: tuple[str, ...], written: Written, tmp_path: Path
) -> None:
    answers = dataclasses.replace(written.result.answers, classes=names)
    other = write(written.result, answers, tmp_path)
    assert other.rows("posteriors.csv")[0][3:] == list(names)
    assert [row["name"] for row in other.records("classes.csv")] == list(names)
    assert other.rows("confusion.csv")[0][1:] == list(names)
    assert extrema(tmp_path / "confusion.png")[1] == 255


def test_names_of_files_in_another_encoding_end_nothing(written: Written, tmp_path: Path) -> None:
    names = ("caf\udce9.png", *written.result.answers.names[1:])
    answers = dataclasses.replace(written.result.answers, names=names)
    other = write(written.result, answers, tmp_path)
    assert other.rows("posteriors.csv")[1][0] == "caf\\udce9.png"


def test_many_classes_are_drawn_without_their_names(written: Written, tmp_path: Path) -> None:
    names = tuple(f"class {number}" for number in range(200))
    likely = torch.rand(300, 200, generator=torch.Generator().manual_seed(0)).softmax(1)
    answers = made_up(names, [number % 200 for number in range(300)], likely.tolist())
    other = write(written.result, answers, tmp_path)
    rows = other.rows("confusion.csv")
    assert len(rows) == len(rows[0]) == 201
    assert sum(int(cell) for row in rows[1:] for cell in row[1:]) == 300
    extrema(tmp_path / "confusion.png")


def test_a_test_is_written_over_an_older_one(written: Written, tmp_path: Path) -> None:
    (tmp_path / "posteriors.csv").write_text("old")
    write_result(written.result, tmp_path)
    for name in FILES - {"confusion.png", "reliability.png"}:
        assert (tmp_path / name).read_bytes() == (written.folder / name).read_bytes()


def test_unreadable_pictures_have_no_line(unsure: Classifier, tmp_path: Path) -> None:
    data = write_class_folders(tmp_path / "data", 3)
    (data / "green" / "01.png").write_bytes(b"no image")
    result = evaluate(unsure, data, "center", compute=Compute(workers=0))
    write_result(result, tmp_path / "out")
    names = [row["file"] for row in Written(result, tmp_path / "out").records("posteriors.csv")]
    assert len(names) == 8
    assert "green/01.png" not in names
    assert set(names) == {path.relative_to(data).as_posix() for path in data.rglob("*.png")} - {
        "green/01.png"
    }


@pytest.mark.slow
def test_a_table_leaves_a_folder_for_every_row(
    unsure: Classifier, pictures: Path, tmp_path: Path
) -> None:
    table = evaluate_all(unsure, pictures, TestProtocol(grid=(2, 2)), compute=Compute(workers=0))
    write_table(table, tmp_path)
    assert strict_json((tmp_path / "result.json").read_text("utf-8")) == table.to_dict()
    letters = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert letters == {row.letter for row in table.rows}
    assert len(letters) == 7
    for row in table.rows:
        folder = tmp_path / row.letter
        assert {path.name for path in folder.iterdir()} == FILES
        assert strict_json((folder / "result.json").read_text("utf-8")) == row.result.to_dict()
        posteriors = [r[3:] for r in Written(row.result, folder).rows("posteriors.csv")[1:]]
        found = np.array(posteriors).astype(np.float32)
        assert np.array_equal(found, row.result.answers.posteriors)
