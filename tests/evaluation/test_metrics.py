"""Errors from posteriors, against scikit-learn and against counting by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from verydeep.evaluation.metrics import likeliest, log_loss, topk_error


def posteriors(generator: np.random.Generator, count: int, classes: int) -> torch.Tensor:
    return torch.from_numpy(generator.normal(0, 2, (count, classes))).softmax(1)


@pytest.mark.parametrize("classes", [2, 3, 5, 6, 40])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_topk_error_is_scikit_learns(classes: int, k: int) -> None:
    generator = np.random.default_rng(classes)
    likely = posteriors(generator, 101, classes)
    labels = torch.from_numpy(generator.integers(0, classes, 101))
    if k >= classes:
        assert topk_error(likely, labels, k) == 0
    else:
        accuracy = metrics.top_k_accuracy_score(
            labels.numpy(),
            likely[:, 1].numpy() if classes == 2 else likely.numpy(),
            k=k,
            labels=range(classes),
        )
        assert 0 < accuracy < 1
        assert topk_error(likely, labels, k) == pytest.approx(100 * (1 - accuracy), abs=1e-9)


@pytest.mark.parametrize("classes", [2, 3, 40])
def test_log_loss_is_scikit_learns(classes: int) -> None:
    generator = np.random.default_rng(classes)
    likely = posteriors(generator, 101, classes)
    labels = torch.from_numpy(generator.integers(0, classes, 101))
    theirs = metrics.log_loss(labels.numpy(), likely.numpy(), labels=range(classes))
    assert log_loss(likely, labels) == pytest.approx(theirs, rel=1e-9)
    assert log_loss(likely.float(), labels) == pytest.approx(theirs, rel=1e-6)


def rank(row: list[float], label: int) -> int:
    """Return how many classes come before one: the likelier ones, and equal ones before it."""
    return sum(p > row[label] or (p == row[label] and k < label) for k, p in enumerate(row))


tables = st.integers(1, 7).flatmap(
    lambda classes: st.lists(
        st.tuples(
            st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=classes, max_size=classes),
            st.integers(0, classes - 1),
        ),
        min_size=1,
        max_size=9,
    )
)


@given(table=tables, k=st.integers(1, 7))
def test_of_equal_classes_the_first_come_first(table: list, k: int) -> None:
    likely = torch.tensor([row for row, _ in table])
    labels = torch.tensor([label for _, label in table])
    missed = sum(rank(row, label) >= k for row, label in table)
    assert topk_error(likely, labels, k) == pytest.approx(100 * missed / len(table))


@given(table=tables, k=st.integers(1, 8), strange=st.sampled_from([0.25, math.nan, math.inf]))
def test_the_likeliest_are_the_first_of_all_in_order(table: list, k: int, strange: float) -> None:
    likely = np.array([row for row, _ in table], np.float32)
    likely[likely == 0.25] = strange
    in_order = np.argsort(-likely, axis=1, kind="stable")[:, :k]
    found = likeliest(likely, k)
    assert found.dtype == np.int64
    assert found.shape == in_order.shape
    np.testing.assert_array_equal(found, in_order)
    assert len(likeliest(likely[:0], k)) == 0


def test_a_large_set_is_counted_exactly() -> None:
    likely = torch.eye(3).repeat(100_001, 1)
    labels = torch.arange(300_003) % 3
    labels[7] = (labels[7] + 1) % 3
    assert topk_error(likely, labels, 1) == pytest.approx(100 / 300_003, rel=1e-12)


def test_log_loss_of_certainty_and_of_a_guess() -> None:
    assert log_loss(torch.eye(4), torch.arange(4)) == 0
    guess = torch.full((6, 5), 0.2)
    assert log_loss(guess, torch.tensor([0, 1, 2, 3, 4, 0])) == pytest.approx(math.log(5))


def test_a_probability_of_zero_costs_much_but_not_infinitely_much() -> None:
    assert 80 < log_loss(torch.tensor([[1.0, 0.0]]), torch.tensor([1])) < 100
