"""Measures of multi-label classification against scikit-learn and naive loops."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn import metrics as sk

from verydeep.evaluation import label_metrics as ours
from verydeep.evaluation.multi_label import LabelAnswers, make_label_result, thresholds_of
from verydeep.evaluation.paired import precision_difference
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.sigmoid import sigmoid
from verydeep.evaluation.thresholds import ENOUGH, USUAL, best_threshold, fit_thresholds

Pair = tuple[NDArray[np.float32], NDArray[np.bool_]]


@st.composite
def answers(draw: Callable[..., object]) -> Pair:
    """Posteriors with many ties, and labels, of a few images and classes."""
    shape = (draw(st.integers(1, 12)), draw(st.integers(2, 5)))
    eighths = draw(arrays(np.int64, shape, elements=st.integers(0, 8)))
    truth = draw(arrays(np.bool_, shape))
    return np.asarray(eighths, np.float32) / 8, np.asarray(truth)


@given(answers())
def test_average_precision_is_that_of_sklearn(pair: Pair) -> None:
    scores, truth = pair
    found = ours.average_precisions(scores, truth)
    for label, value in enumerate(found):
        if not truth[:, label].any():
            assert np.isnan(value)
        else:
            expected = sk.average_precision_score(truth[:, label], scores[:, label])
            assert value == pytest.approx(expected)
    if truth.any():
        micro = sk.average_precision_score(truth, scores, average="micro")
        assert ours.average_precision(scores.ravel(), truth.ravel()) == pytest.approx(micro)


def voc_by_hand(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """Return the 11-point average precision, recall by recall and threshold by threshold."""
    total = 0.0
    for tenth in range(11):
        best = 0.0
        for threshold in set(scores.tolist()):
            taken = scores >= threshold
            right = int((taken & truth).sum())
            if right * 10 >= tenth * int(truth.sum()):
                best = max(best, right / int(taken.sum()))
        total += best
    return total / 11


@given(answers())
def test_the_measure_of_pascal_2007_is_that_of_loops(pair: Pair) -> None:
    scores, truth = pair[0][:, 0], pair[1][:, 0]
    value = ours.average_precision_11(scores, truth)
    if truth.any():
        assert value == pytest.approx(voc_by_hand(scores, truth))
    else:
        assert np.isnan(value)


@given(answers())
def test_rankings_and_losses_are_those_of_sklearn(pair: Pair) -> None:
    scores, truth = pair
    assert ours.coverage_error(scores, truth) == pytest.approx(sk.coverage_error(truth, scores))
    assert ours.ranking_loss(scores, truth) == pytest.approx(sk.label_ranking_loss(truth, scores))
    inside = scores.clip(0.01, 0.99).astype(np.float64)
    by_class = [
        sk.log_loss(truth[:, k], inside[:, k], labels=[False, True]) for k in range(truth.shape[1])
    ]
    assert ours.binary_log_losses(inside, truth).mean() == pytest.approx(np.mean(by_class))


@given(answers())
def test_f1_is_that_of_sklearn(pair: Pair) -> None:
    predicted, truth = pair[0] >= 0.5, pair[1]
    counts = ours.counts_of(predicted, truth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sk.f1_score(truth, predicted, average=None, zero_division=np.nan)
        micro = sk.f1_score(truth, predicted, average="micro", zero_division=np.nan)
    np.testing.assert_allclose(ours.f1_of(counts), expected)
    np.testing.assert_allclose(ours.f1_of(counts.sum(1)), micro)


@pytest.mark.parametrize("at_once", [1, 150, ours.AT_ONCE])
def test_the_interval_is_a_bootstrap_of_images(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ours, "AT_ONCE", at_once)
    generator = np.random.default_rng(3)
    truth = generator.random((60, 3)) < 0.4
    scores = (truth + generator.normal(0, 1, truth.shape)).round(1)
    low, high = ours.interval_of_mean(scores, truth, resamples=200, seed=0)
    drawn = np.random.default_rng(0).integers(60, size=(200, 60))
    means = [sk.average_precision_score(truth[rows], scores[rows]) for rows in drawn]
    bias = np.mean(means) - sk.average_precision_score(truth, scores)
    assert (low, high) == pytest.approx(tuple(np.quantile(means, (0.025, 0.975)) - bias))
    assert (low, high) == ours.interval_of_mean(scores, truth)  # the same seed each time


def test_the_interval_of_rare_classes_contains_the_mean_of_many_tests() -> None:
    generator = np.random.default_rng(0)

    def draw() -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        truth = generator.random((100, 8)) < 0.07
        return 0.8 * truth + generator.normal(size=truth.shape), truth

    def mean(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
        known = truth.any(0)
        return float(sk.average_precision_score(truth[:, known], scores[:, known]))

    expected = np.mean([mean(*draw()) for _ in range(150)])
    intervals = np.array([ours.interval_of_mean(*draw()) for _ in range(40)])
    assert ((intervals[:, 0] <= expected) & (expected <= intervals[:, 1])).mean() >= 0.9
    assert intervals.mean() == pytest.approx(expected, abs=0.015)


def test_no_image_has_no_precision() -> None:
    assert np.isnan([ours.average_precision([], []), ours.average_precision_11([], [])]).all()
    assert [len(one) for one in ours.precision_recall([], [])] == [0, 0]


def test_no_interval_leaves_what_is_possible() -> None:
    truth = np.array([[True, False], [False, True], [True, True], [False, False]])
    perfect = truth.astype(np.float64)
    assert ours.interval_of_mean(perfect, truth) == pytest.approx((1.0, 1.0))
    assert max(ours.interval_of_mean(perfect, truth)) <= 1
    rare = np.zeros((30, 1), np.bool_)
    rare[-1] = True
    low, high = ours.interval_of_mean(np.arange(30.0)[::-1, None], rare)
    assert 0 <= low <= 1 / 30 <= high


def test_a_bootstrap_of_many_images_is_bounded_in_memory() -> None:
    generator = np.random.default_rng(0)
    truth = generator.random((40_504, 1)) < 0.03  # as many as COCO's images for validation
    scores = generator.random(truth.shape).astype(np.float32)
    tracemalloc.start()
    try:
        ours.resampled_means(scores, truth, resamples=100)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200 * 2**20


def test_extreme_probabilities_have_finite_losses() -> None:
    loss = ours.binary_log_losses([[0.0, 1.0]], [[1, 0]])
    assert 16 < float(loss[0]) < 18


@given(arrays(np.float64, 20, elements=st.floats(-700, 700)))
def test_the_sigmoid_is_exact_and_never_overflows(scores: NDArray[np.float64]) -> None:
    with np.errstate(over="raise"):
        found = sigmoid(scores)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(found, 1 / (1 + np.exp(-scores)), rtol=1e-12)
    np.testing.assert_allclose(found + sigmoid(-scores), 1)


@given(answers())
def test_no_threshold_has_a_higher_f1(pair: Pair) -> None:
    scores, truth = pair[0][:, 0].astype(np.float64), pair[1][:, 0]
    limit = best_threshold(scores, truth)
    if not truth.any():
        assert limit == USUAL
        return

    def f1(threshold: float) -> float:
        return float(ours.f1_of(ours.counts_of((scores >= threshold)[:, None], truth[:, None]))[0])

    tried = [0.0, *scores.tolist(), *(scores + 1e-6).tolist()]
    assert f1(limit) == pytest.approx(max(map(f1, tried)))


def test_fused_nets_tell_all_splits_that_thresholds_were_fitted_on() -> None:
    generator = np.random.default_rng(0)
    truth = generator.random((40, 3)) < 0.4
    likely = generator.random((40, 3)).astype(np.float32)
    how = TestProtocol("dense", (64,), flip=False)

    def net(split: str | None) -> Any:
        fitted = fit_thresholds(likely, truth, split=split, protocol="dense") if split else None
        about = {"name": "A", "input_size": 64, "dimensions": 2, "density": "by sliding"}
        return SimpleNamespace(
            thresholds=fitted, classes=("a", "b", "c"), interpolation="bilinear", **about
        )

    def fitted_on(*splits: str | None) -> str | None:
        nets = [net(split) for split in splits]
        names = tuple(map(str, range(40)))
        answers = LabelAnswers(names, truth, likely, thresholds_of(nets), ("a", "b", "c"))
        more: dict[str, Any] = {"unreadable": (), "split": "test", "seconds": 1.0}
        return make_label_result(nets, [how] * len(nets), answers, **more).thresholds_fitted_on

    assert fitted_on(None, "val") == fitted_on("val", None) == fitted_on("val", "val") == "val"
    assert fitted_on("val", "test") == "val, test"
    assert fitted_on(None, None) is None


def test_rare_classes_share_a_threshold() -> None:
    generator = np.random.default_rng(0)
    truth = np.zeros((200, 3), np.bool_)
    truth[:80, 0], truth[: ENOUGH - 1, 1] = True, True
    likely = (0.2 + 0.4 * truth + generator.normal(0, 0.1, truth.shape)).clip(0, 1)
    fitted = fit_thresholds(likely, truth, split="val", protocol="dense")
    assert fitted.own == (True, False, False)
    shared = best_threshold(likely.ravel(), truth.ravel())
    assert fitted.values[1:] == (shared, shared)
    assert fitted.values[0] == best_threshold(likely[:, 0], truth[:, 0])
    assert (fitted.split, fitted.protocol, fitted.images) == ("val", "dense", 200)


def test_the_difference_of_two_tests_is_that_of_a_naive_paired_bootstrap() -> None:
    generator = np.random.default_rng(3)
    truth = generator.random((60, 4)) < 0.3
    first = generator.random((60, 4)).astype(np.float32) + 0.3 * truth
    second = first - 0.2 * truth * (generator.random((60, 4)) < 0.4)

    def mean_precision(scores: NDArray[np.floating], rows: NDArray[np.int64]) -> float:
        found = [
            sk.average_precision_score(truth[rows, label], scores[rows, label])
            for label in range(4)
            if truth[rows, label].any()
        ]
        return float(np.mean(found))

    every = np.arange(60)
    difference, interval = precision_difference(first, second, truth)
    expected = mean_precision(second, every) - mean_precision(first, every)
    assert difference == pytest.approx(100 * expected)
    drawn = np.random.default_rng(0).integers(60, size=(200, 60))
    each = [mean_precision(second, rows) - mean_precision(first, rows) for rows in drawn]
    limits = np.quantile(each, (0.025, 0.975)) - np.mean(each) + expected
    assert interval == pytest.approx(100 * limits)
    assert precision_difference(first, first, truth) == (0, (0, 0))
    alone = [ours.interval_of_mean(one, truth) for one in (first, second)]
    assert interval[1] - interval[0] < 100 * (alone[0][1] - alone[0][0])  # pairs tell more
