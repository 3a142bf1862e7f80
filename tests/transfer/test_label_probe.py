"""Probe of multi-label features against scikit-learn."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC
from tiny import Outcome, strict_json

import verydeep as package
from transfer.made import about, classifier
from verydeep.data.label_split import random_folds
from verydeep.errors import DataError
from verydeep.transfer.extract import FeaturePart
from verydeep.transfer.features import LABELS_FORMAT, Features
from verydeep.transfer.label_probe import LabelProbeResult
from verydeep.transfer.probe import probe
from verydeep.transfer.storage import read_features, write_features

CLASSES = ("cat", "dog", "elk")


@pytest.fixture(scope="module")
def scenes() -> Features:
    """Features of images that show up to three animals: the sum of their directions, and noise."""
    generator = np.random.default_rng(0)
    splits = np.repeat(["train", "test"], [150, 80])
    truth = generator.random((230, 3)) < (0.5, 0.3, 0.15)
    vectors = truth @ np.eye(3, 8) + generator.normal(0, 0.5, (230, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [[name for name, has in zip(CLASSES, row, strict=True) if has] for row in truth]
    labelled = replace(about(8, CLASSES), multi_label=True, format=LABELS_FORMAT)
    return Features(
        files=np.array([f"{number}.png" for number in range(230)]),
        splits=splits,
        labels=np.array([json.dumps(some) for some in names]),
        vectors=vectors.astype(np.float32),
        about=labelled,
    )


def checked(result: object) -> LabelProbeResult:
    assert isinstance(result, LabelProbeResult)
    return result


def test_margins_and_measures_are_those_of_scikit_learn(scenes: Features) -> None:
    found = checked(probe(scenes, C=1.0))
    train, test = scenes.split("train"), scenes.split("test")
    svm = OneVsRestClassifier(LinearSVC(C=1.0, max_iter=10_000, random_state=0))
    svm.fit(train.vectors, train.truth().astype(int))
    margins = svm.decision_function(test.vectors)
    np.testing.assert_allclose(found.answers.margins, margins, atol=1e-6)
    truth = test.truth()
    expected = 100 * metrics.average_precision_score(truth, margins)
    assert found.mean_average_precision == pytest.approx(expected)
    assert 50 < expected < 99
    f1 = metrics.f1_score(truth, margins >= 0, average="micro")
    assert found.micro_f1 == pytest.approx(100 * f1)
    assert (found.images, found.train_images, found.classes, found.grid) == (80, 150, 3, ())
    assert found.unlabelled == int((~truth.any(1)).sum()) > 0


def test_c_is_chosen_by_cross_validation(scenes: Features) -> None:
    costs = [1e-4, 0.1, 100.0]
    found = checked(probe(scenes, C=costs, folds=4, seed=3))
    train = scenes.split("train")
    truth = train.truth()
    dealt = random_folds(truth, 4, 3)
    assert np.bincount(dealt).max() - np.bincount(dealt).min() <= 3
    errors = []
    for cost in costs:
        precisions = []
        for fold in range(4):
            kept, held = dealt != fold, dealt == fold
            svm = OneVsRestClassifier(LinearSVC(C=cost, max_iter=10_000, random_state=3))
            svm.fit(train.vectors[kept], truth[kept].astype(int))
            margins = svm.decision_function(train.vectors[held])
            precisions.append(metrics.average_precision_score(truth[held], margins))
        errors.append(100 - 100 * np.mean(precisions))
    assert [trial.error for trial in found.grid] == pytest.approx(errors)
    assert costs[int(np.argmin(errors))] == found.C


def test_a_class_without_training_images_is_never_found(scenes: Features) -> None:
    labels = scenes.labels.copy()
    for row in np.flatnonzero(scenes.splits == "train").tolist():
        labels[row] = json.dumps([name for name in json.loads(labels[row]) if name != "elk"])
    found = checked(probe(replace(scenes, labels=labels), C=1.0))
    assert (found.answers.margins[:, 2] == -1).all()
    chance = 100 * scenes.split("test").truth()[:, 2].mean()
    assert found.average_precision["elk"] == pytest.approx(chance)
    nothing = np.array(["[]"] * len(labels))
    with pytest.raises(DataError, match="an SVM needs both"):
        probe(replace(scenes, labels=nothing), C=1.0)
    with pytest.raises(DataError, match="must be lists of the classes, got 'cat'"):
        probe(replace(scenes, labels=np.array(["cat"] * len(labels))), C=1.0)


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_features_and_probe_of_a_table(
    stripes: Path, tmp_path: Path, verydeep: Callable[..., Outcome], suffix: str
) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    classifier(32).save(tmp_path / "model")
    file = tmp_path / f"stripes{suffix}"
    done = verydeep("features", tmp_path / "model", stripes, "--out", file, "--layer", "pool5")
    assert done.code == 0, done.err
    kept = read_features(file)
    assert (kept.about.multi_label, kept.about.format) == (True, LABELS_FORMAT)
    data = package.read_dataset(stripes)
    rows = dict(zip(kept.files.tolist(), kept.truth(), strict=True))
    for one in data.split("test"):
        found = np.flatnonzero(rows[Path(str(one.path)).name])
        assert tuple(found) == data.classes_of(one.label)
    out = tmp_path / "probe"
    told = verydeep("probe", file, "--folds", 2, "--out", out, "--json")
    value = strict_json(told.out)
    assert {*value["average_precision"]} == {*kept.about.classes}
    assert value == strict_json((out / "probe.json").read_text())
    with (out / "answers.csv").open(newline="") as answers:
        table = list(csv.DictReader(answers))
    assert [row["file"] for row in table] == kept.split("test").files.tolist()
    text = verydeep("probe", file, "--C", 1).out
    assert "mean average precision" in text
    assert "top-1" not in text


def test_fewer_images_than_folds_are_refused(scenes: Features) -> None:
    few = scenes.splits == "test"
    few[:3] = True
    columns = ("files", "splits", "labels", "vectors")
    parts = replace(scenes, **{name: getattr(scenes, name)[few] for name in columns})
    with pytest.raises(DataError, match="4 folds need 4 training images, but there are 3"):
        probe(parts, folds=4)
    assert checked(probe(parts, folds=3)).train_images == 3
    assert checked(probe(parts, C=1)).train_images == 3


def test_a_split_without_labels_has_no_precision(
    scenes: Features, tmp_path: Path, verydeep: Callable[..., Outcome]
) -> None:
    labels = np.where(scenes.splits == "test", "[]", scenes.labels)
    parts = [
        FeaturePart(
            name,
            tuple(scenes.files[rows].tolist()),
            tuple(labels[rows].tolist()),
            scenes.vectors[rows],
        )
        for name in ("train", "test")
        for rows in [scenes.splits == name]
    ]
    write_features(tmp_path / "scenes.npz", parts, scenes.about)
    found = checked(probe(tmp_path / "scenes.npz", C=1))
    assert (found.unlabelled, found.average_precision["cat"]) == (80, None)
    assert "mean average precision: undefined" in repr(found)
    told = verydeep("probe", tmp_path / "scenes.npz", "--C", 1)
    assert told.code == 0, told.err
    assert re.search(r"mean average precision +undefined\n", told.out)
