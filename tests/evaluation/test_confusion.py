"""Confusions and errors of classes, against scikit-learn and against counting by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from verydeep.evaluation.confusion import ClassErrors, class_errors, confusion_matrix
from verydeep.evaluation.metrics import macro_f1, topk_error


def drawn(seed: int, count: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    scores = generator.normal(0, 1, (count, classes)) + 2 * np.eye(classes)[labels]
    return torch.from_numpy(scores).softmax(1), torch.from_numpy(labels)


def names(classes: int) -> tuple[str, ...]:
    return tuple(f"class {k}" for k in range(classes))


@pytest.mark.parametrize("classes", [2, 3, 10, 37])
@pytest.mark.parametrize("count", [1, 20, 400])
def test_the_matrix_is_scikit_learns(classes: int, count: int) -> None:
    likely, labels = drawn(classes, count, classes)
    ours = confusion_matrix(likely, labels)
    guesses = likely.numpy().argmax(1)
    theirs = metrics.confusion_matrix(labels.numpy(), guesses, labels=range(classes))
    assert ours.dtype == np.int64
    assert ours.tolist() == theirs.tolist()
    assert ours.sum() == count
    off = 100 * (1 - ours.diagonal().sum().item() / count)
    assert off == pytest.approx(topk_error(likely, labels, 1))


@pytest.mark.parametrize("classes", [2, 3, 10, 37])
def test_errors_and_precision_are_scikit_learns(classes: int) -> None:
    likely, labels = drawn(classes, 60, classes)  # of 37 classes some have none
    guesses = likely.numpy().argmax(1)
    how = {"labels": range(classes), "average": None, "zero_division": math.nan}
    recall = metrics.recall_score(labels.numpy(), guesses, **how)
    precision = metrics.precision_score(labels.numpy(), guesses, **how)
    f1 = metrics.f1_score(labels.numpy(), guesses, **how)
    errors = class_errors(confusion_matrix(likely, labels), names(classes))
    assert tuple(one.name for one in errors) == names(classes)
    for k, one in enumerate(errors):
        assert one.images == (labels == k).sum()
        assert one.top1_error == pytest.approx(100 * (1 - recall[k]), abs=1e-4, nan_ok=True)
        assert one.precision == pytest.approx(100 * precision[k], abs=1e-4, nan_ok=True)
        assert one.recall == pytest.approx(100 * recall[k], nan_ok=True)
        assert one.f1 == pytest.approx(100 * f1[k], nan_ok=True)
    expected = metrics.f1_score(labels.numpy(), guesses, average="macro", zero_division=0)
    assert macro_f1(likely.argmax(1), labels) == pytest.approx(100 * expected)


@given(table=st.lists(st.lists(st.integers(0, 5), min_size=4, max_size=4), min_size=4, max_size=4))
def test_the_class_that_took_most_is_named(table: list[list[int]]) -> None:
    for k, one in enumerate(class_errors(torch.tensor(table), names(4))):
        taken = {names(4)[j]: table[k][j] for j in range(4) if j != k}
        most = max(taken.values())
        if most:
            name, count = one.mostly_taken_for
            assert count == most == taken[name]
        else:
            assert one.mostly_taken_for is None


def test_a_class_without_pictures_has_no_error_and_one_never_guessed_no_precision() -> None:
    confusion = torch.tensor([[2, 1, 0], [0, 0, 0], [3, 1, 0]])
    first, second, third = class_errors(confusion, ("cat", "dog", "eel"))
    assert first == ClassErrors(
        "cat", 3, pytest.approx(100 / 3), 40, pytest.approx(200 / 3), 50, ("dog", 1)
    )
    assert math.isnan(second.top1_error)
    assert (second.images, second.precision, second.mostly_taken_for) == (0, 0, None)
    assert math.isnan(second.recall)
    assert (second.f1, third.f1) == (0, 0)
    assert math.isnan(third.precision)
    assert (third.images, third.top1_error, third.mostly_taken_for) == (4, 100, ("cat", 3))


def test_of_equally_likely_classes_the_first_is_guessed() -> None:
    likely = torch.tensor([[0.2, 0.4, 0.4], [0.4, 0.2, 0.4], [1.0, 1.0, 1.0]])
    matrix = confusion_matrix(likely, torch.tensor([2, 2, 2]))
    assert matrix.tolist() == [[0, 0, 0], [0, 0, 0], [2, 1, 0]]


def test_no_pictures_make_a_matrix_of_zeros() -> None:
    matrix = confusion_matrix(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
    assert matrix.tolist() == [[0] * 3] * 3


def test_a_single_class_is_never_confused() -> None:
    matrix = confusion_matrix(torch.ones(4, 1), torch.zeros(4, dtype=torch.long))
    assert matrix.tolist() == [[4]]
    assert class_errors(matrix, ("cat",)) == [ClassErrors("cat", 4, 0, 100, 100, 100, None)]
