"""Linear probe against scikit-learn and manual counts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.svm import LinearSVC
from tiny import strict_json

from transfer.made import blobs
from verydeep.errors import DataError, InputError
from verydeep.evaluation.significance import wilson_interval
from verydeep.transfer.features import Features
from verydeep.transfer.probe import Trial, mean_class_recall, probe

THREE = {
    "train": {"cat": 30, "dog": 25, "elk": 40},
    "val": {"cat": 10, "dog": 10, "elk": 5},
    "test": {"cat": 20, "dog": 6, "elk": 31},
}


@pytest.fixture(scope="module")
def hard() -> Features:
    """Return features of three overlapping classes."""
    return blobs(THREE, spread=0.6)


def part(features: Features, name: str) -> tuple[np.ndarray, np.ndarray]:
    return features.vectors[features.splits == name], features.labels[features.splits == name]


def test_answers_say_which_images_are_wrong() -> None:
    counts = dict.fromkeys("abcdefg", 12)
    result = probe(blobs({"train": counts, "test": counts}, spread=2.0), C=1.0)
    answers = result.answers
    wrong = [one != other for one, other in zip(answers.labels, answers.guesses, strict=True)]
    assert 100 * np.mean(wrong) == pytest.approx(result.top1_error)
    assert 100 * (1 - np.mean(answers.in_top5)) == pytest.approx(result.top5_error)
    assert 0 < result.top5_error < result.top1_error
    assert all(five or missed for five, missed in zip(answers.in_top5, wrong, strict=True))


# ---- against scikit-learn ----


def test_c_and_errors_are_those_of_scikit_learn(hard: Features) -> None:
    costs = [0.01, 0.1, 1.0, 10.0]
    found = probe(hard, C=costs, folds=4, seed=3)
    search = GridSearchCV(
        LinearSVC(max_iter=10_000, random_state=3),
        {"C": costs},
        cv=StratifiedKFold(4, shuffle=True, random_state=3),
        scoring=lambda svm, x, y: int((svm.predict(x) != y).sum()),
        refit=False,
    )
    search.fit(*part(hard, "train"))
    wrong = [
        sum(search.cv_results_[f"split{i}_test_score"][at] for i in range(4)) for at in range(4)
    ]
    expected = [Trial(c, 100 * w / 95, True) for c, w in zip(costs, wrong, strict=True)]
    assert list(found.grid) == [pytest.approx(trial) for trial in expected]
    assert len({trial.error for trial in found.grid}) > 1
    assert costs[int(np.argmin(wrong))] == found.C

    svm = LinearSVC(C=found.C, max_iter=10_000, random_state=3).fit(*part(hard, "train"))
    x, y = part(hard, "test")
    guesses = svm.predict(x)
    assert found.answers.guesses == tuple(guesses)
    assert found.answers.labels == tuple(y)
    assert 0 < found.top1_error < 60
    assert found.top1_error == pytest.approx(100 * np.mean(guesses != y))
    assert found.top1_interval == wilson_interval(int((guesses != y).sum()), 57)
    assert found.mean_class_recall == pytest.approx(100 * balanced_accuracy_score(y, guesses))
    assert (found.split, found.images, found.train_images, found.classes) == ("test", 57, 95, 3)
    assert (found.folds, found.top5_error, found.also_in_training) == (4, 0, 0)


def test_two_classes(hard: Features) -> None:
    two = blobs({"train": {"a": 20, "b": 20}, "test": {"a": 15, "b": 5}}, spread=0.9)
    found = probe(two, C=1.0)
    svm = LinearSVC(C=1.0, max_iter=10_000, random_state=0).fit(*part(two, "train"))
    x, _ = part(two, "test")
    assert found.answers.guesses == tuple(svm.predict(x))
    assert 0 < found.top1_error < 50
    assert found.top5_error == 0


def test_top_5_counts_the_five_largest_margins() -> None:
    names = dict.fromkeys("abcdefgh", 12)
    features = blobs({"train": names, "val": names}, spread=0.8)
    found = probe(features, C=1.0)
    svm = LinearSVC(C=1.0, max_iter=10_000, random_state=0).fit(*part(features, "train"))
    x, y = part(features, "val")
    ranked = svm.classes_[np.argsort(-svm.decision_function(x), axis=1)[:, :5]]
    missed = sum(label not in row for label, row in zip(y, ranked, strict=True))
    assert missed > 0
    assert found.top5_error == pytest.approx(100 * missed / 96)


def test_classes_far_apart_are_told_apart() -> None:
    found = probe(blobs(THREE, spread=0.05))
    assert (found.top1_error, found.mean_class_recall) == (0, 100)
    assert found.C == 0.1  # of equals the smallest


# ---- recall, by hand ----


def test_mean_class_recall_weighs_classes_and_not_pictures() -> None:
    labels = ["a"] * 8 + ["b"] * 2
    # 6 of 8, 1 of 2: the mean of 0.75 and 0.5.
    guesses = ["a"] * 6 + ["b"] * 2 + ["b", "a"]
    assert mean_class_recall(labels, guesses) == pytest.approx(62.5)


def test_a_class_that_was_never_trained_is_always_wrong() -> None:
    features = blobs(
        {"train": {"cat": 9, "dog": 9}, "test": {"cat": 3, "dog": 3, "elk": 2}}, spread=0.01
    )
    found = probe(features, C=1.0)
    assert (found.images, found.top1_error, found.top5_error) == (8, 25, 25)
    assert found.mean_class_recall == pytest.approx(200 / 3)


# ---- nothing of the test leaks ----


def test_c_is_chosen_without_a_look_at_other_splits(hard: Features) -> None:
    expected = probe(hard)
    outside = hard.splits != "train"
    labels, vectors = hard.labels.copy(), hard.vectors.copy()
    labels[outside] = np.roll(labels[outside], 7)
    vectors[outside] = vectors[outside][::-1]
    found = probe(replace(hard, labels=labels, vectors=vectors))
    assert (found.grid, found.C) == (expected.grid, expected.C)
    assert found.top1_error != expected.top1_error


def test_val_is_not_trained_on_when_test_is_reported(hard: Features) -> None:
    without = hard.splits != "val"
    columns = {name: getattr(hard, name)[without] for name in ("files", "splits", "labels")}
    less = replace(hard, vectors=hard.vectors[without], **columns)
    assert probe(less).answers == probe(hard).answers
    assert probe(hard, split="val").images == 25


def test_pictures_that_were_trained_on_are_counted(hard: Features) -> None:
    vectors = hard.vectors.copy()
    train, tested = (np.flatnonzero(hard.splits == name) for name in ("train", "test"))
    vectors[tested[:4]] = vectors[train[10:14]]
    assert probe(replace(hard, vectors=vectors), C=1.0).also_in_training == 4


def test_the_training_split_is_not_reported(hard: Features) -> None:
    with pytest.raises(InputError, match="split must not be 'train'"):
        probe(hard, split="train")


# ---- the same again, and as JSON ----


def test_the_seed_decides_the_folds(hard: Features) -> None:
    assert probe(hard, seed=1).grid == probe(hard, seed=1).grid
    assert len({probe(hard, seed=seed).grid for seed in range(5)}) > 1


def test_to_dict_is_json(hard: Features) -> None:
    value = strict_json(json.dumps(probe(hard, C=[1, 10]).to_dict()))
    assert {"top1_error", "top5_error", "images", "unreadable", "seconds"} <= set(value)
    assert [trial["C"] for trial in value["grid"]] == [1, 10]
    assert value["features"]["layer"] == "fc7"
    assert "answers" not in value


def test_a_single_c_needs_no_folds(hard: Features) -> None:
    found = probe(hard, C=10, folds=1)
    assert (found.C, found.grid, found.folds) == (10, (), None)


@pytest.mark.parametrize("cost", [np.float32(10), np.int64(10), np.array([10.0])])
def test_c_may_be_a_number_of_numpy(hard: Features, cost: Any) -> None:
    assert probe(hard, C=cost).C == 10.0


def test_a_solver_that_gives_up_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    # Noise with as many numbers as images, and one step to solve it.
    monkeypatch.setattr("verydeep.transfer.svm.MOST_ITERATIONS", 1)
    noise = blobs({"train": {"a": 20, "b": 20}, "test": {"a": 5, "b": 5}}, dimension=64, spread=3)
    found = probe(noise, C=[100.0, 1000.0])
    assert not found.converged
    assert not any(trial.converged for trial in found.grid)


# ---- errors ----


def test_too_few_pictures_for_the_folds() -> None:
    features = blobs({"train": {"cat": 9, "dog": 4}, "test": {"cat": 3, "dog": 3}})
    message = "5 folds need 5 training images of each class, but class 'dog' has 4"
    with pytest.raises(DataError, match=message):
        probe(features)
    assert probe(features, folds=4).folds == 4


def test_one_class() -> None:
    with pytest.raises(DataError, match="the training split has one class, 'cat'"):
        probe(blobs({"train": {"cat": 9}, "test": {"cat": 3}}))


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (("val", "test"), "no split 'train'; there is val, test"),
        (("train", "all"), "no split test or val to report; there is train, all"),
    ],
)
def test_splits_that_are_missing(splits: tuple[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        probe(blobs({name: {"cat": 9, "dog": 9} for name in splits}))


def test_a_split_that_is_not_there(hard: Features) -> None:
    with pytest.raises(DataError, match=r"no split 'tset'.*did you mean 'test'"):
        probe(hard, split="tset")


@pytest.mark.parametrize("costs", [0, -1.0, [1, float("inf")], [float("nan"), 1], []])
def test_c_that_cannot_be(hard: Features, costs: object) -> None:
    with pytest.raises(InputError, match="each above 0 and finite, got"):
        probe(hard, C=costs)


def test_one_fold_is_none(hard: Features) -> None:
    with pytest.raises(InputError, match="folds must be 2 or more, got 1 instead"):
        probe(hard, folds=1)
