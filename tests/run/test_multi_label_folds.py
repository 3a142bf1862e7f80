"""Cross-validation of multi-label nets: every image held out once, with its net's thresholds."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from multi_label import write_stripes
from tiny import Outcome, flags, recipe, strict_json
from whole_runs import QUICK

import verydeep as package
from verydeep import cross_validate, find_label_errors
from verydeep.errors import DataError
from verydeep.evaluation.label_metrics import average_precisions
from verydeep.evaluation.multi_label import MultiLabelResult
from verydeep.evaluation.stored_posteriors import StoredLabels, StoredPosteriors, read_stored

FP32 = package.Compute("cpu", "fp32")
LEARN = ("training.precision=fp32", "training.epochs=2", "net.norm=batch", "net.dropout=0")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 48 images without splits, of eight places."""
    table = write_stripes(tmp_path_factory.mktemp("data") / "scenes", train=48, val=0, test=0)
    head, *rows = table.read_text().splitlines()
    lines = [f"{row.rsplit(',', 1)[0]},place{n // 6}" for n, row in enumerate(rows)]
    head = head.rsplit(",", 1)[0]
    table.write_text("\n".join([f"{head},place", *lines]) + "\n")
    return table


@pytest.fixture(scope="module")
def whole(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished cross-validation in two folds, by place."""
    out = tmp_path_factory.mktemp("runs") / "cv"
    learn = recipe(*LEARN)
    return cross_validate(scenes, 2, learn, out, group_by="column:place", progress=False)


def test_every_image_is_held_out_once_with_its_group(scenes: Path, whole: Any) -> None:
    rows = list(csv.DictReader(scenes.read_text().splitlines()))
    answers = whole.posteriors.answers
    assert set(answers.names) == {row["file"] for row in rows}
    assert whole["images"] == 48
    places = {row["file"]: row["place"] for row in rows}
    pairs = {(places[n], f) for n, f in zip(answers.names, whole.posteriors.folds, strict=True)}
    assert len(pairs) == 8
    labels = {row["file"]: set(filter(None, row["labels"].split(";"))) for row in rows}
    for name, true in zip(answers.names, answers.truth, strict=True):
        assert {answers.classes[k] for k in np.flatnonzero(true)} == labels[name]


def test_answers_are_those_of_the_net_of_the_fold(whole: Any) -> None:
    answers, folds = whole.posteriors.answers, whole.posteriors.folds
    for number, run in enumerate(whole.runs, start=1):
        own = np.flatnonzero(folds == number)
        result = package.evaluate(run, compute=FP32, progress=False)
        assert isinstance(result, MultiLabelResult)
        by_name = dict(zip(result.answers.names, result.answers.posteriors, strict=True))
        likely = np.stack([by_name[answers.names[n]] for n in own])
        np.testing.assert_allclose(answers.posteriors[own], likely, atol=1e-5)
        np.testing.assert_allclose(
            answers.thresholds[own], [[*result.thresholds.values()]] * len(own)
        )


def test_the_summary_agrees_with_the_answers(whole: Any) -> None:
    answers = whole.posteriors.answers
    precision = 100 * average_precisions(answers.posteriors, answers.truth).mean()
    assert whole["mean_average_precision"] == pytest.approx(precision)
    exact = (answers.predicted == answers.truth).all(1)
    assert whole["subset_accuracy"] == pytest.approx(100 * exact.mean())
    each = [fold["mean_average_precision"] for fold in whole["folds"]]
    assert whole["std"]["mean_average_precision"] == pytest.approx(statistics.stdev(each))
    assert strict_json((whole.run / "cross_validation.json").read_text()) == whole.to_dict()
    with (whole.run / "out_of_fold.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == list(answers.names)
    assert [row["labels"] == row["predicted"] for row in rows] == exact.tolist()
    assert np.mean([float(row["loss"]) for row in rows]) == pytest.approx(whole["loss"])
    with pytest.raises(AttributeError, match="no top-1 error"):
        _ = whole.top1_error
    assert "mean average precision" in repr(whole)


def test_posteriors_are_read_back(whole: Any, tmp_path: Path) -> None:
    again = read_stored([whole.run / "posteriors.npz"])
    assert isinstance(again, StoredLabels)
    for name in ("truth", "posteriors", "thresholds"):
        np.testing.assert_array_equal(
            getattr(again.answers, name), getattr(whole.posteriors.answers, name)
        )
    with pytest.raises(DataError, match="cannot be read"):
        StoredPosteriors.read(whole.run / "posteriors.npz")
    (tmp_path / "posteriors.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="cannot be read"):
        read_stored([tmp_path / "posteriors.npz"])


def test_the_page_shows_folds_and_classes(whole: Any) -> None:
    page = whole.report.read_text()
    assert page.count('href="fold-') == 2
    mean, std = (whole[name]["mean_average_precision"] for name in ("mean", "std"))
    assert f"{mean:.2f} ± {std:.2f} %" in page
    assert "Precision over recall of" in page
    assert "calibration" not in page


def test_the_program_says_what_the_folds_say(
    scenes: Path, tmp_path: Path, verydeep: Callable[..., Outcome]
) -> None:
    command = ("train", scenes, "--out", tmp_path / "cv", "--folds", 2)
    said = verydeep(*command, *flags(*QUICK))
    assert said.code == 0, said.err
    assert "each by the net that did not see it: mean average precision" in said.out
    value = strict_json(verydeep("report", tmp_path / "cv", "--json").out)
    assert value["split"] == "held out"
    assert value["mean"]["micro_f1"] is not None


def test_the_nets_of_the_folds_judge_the_labels(scenes: Path, whole: Any) -> None:
    found = find_label_errors(scenes, model=whole.run, method="by-class", progress=False)
    answers = whole.posteriors.answers
    assert found.judged == 48
    assert found.hamming_loss == pytest.approx(
        100 * np.mean((answers.posteriors >= 0.5) != answers.truth)
    )
    places = {name: row for row, name in enumerate(answers.names)}
    for error in found.errors:
        name = error.given.removeprefix("not ")
        likely = answers.posteriors[places[error.image], answers.classes.index(name)]
        has = name == error.given
        assert answers.truth[places[error.image], answers.classes.index(name)] == has
        assert error.score == pytest.approx(likely if has else 1 - likely, abs=1e-6)
