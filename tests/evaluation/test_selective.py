"""Thresholds that promise an error, against naive loops and by simulation of the promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from verydeep.evaluation.abstention.selective import (
    attainable_error,
    binomial_p_value,
    fit_threshold,
    images_needed,
    order_of_tests,
    risk_coverage,
    upper_bound,
)

DRAWS = 800
"""Calibrations per simulation."""


def drawn(
    generator: np.random.Generator, images: int, power: float = 3.0
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return confidences c, uniform, and mistakes with probability (1 − c)^power."""
    confidence = generator.random(images)
    return confidence, generator.random(images) < (1 - confidence) ** power


def true_error(least: float, power: float = 3.0) -> float:
    """Return the true error among the answered, in percent: the integral of (1 − c)^power."""
    return 100 * (1 - least) ** power / (power + 1)


# ---- the curve ----


@given(
    st.lists(st.tuples(st.sampled_from([0.2, 0.5, 0.55, 0.9]), st.booleans()), min_size=1),
    st.data(),
)
def test_the_curve_is_that_of_a_loop(images: list[tuple[float, bool]], data: st.DataObject) -> None:
    kept = [data.draw(st.booleans()) for _ in images]
    confidence, wrong = (np.array(column) for column in zip(*images, strict=True))
    curve = risk_coverage(confidence, wrong, kept)
    usable = [image for image, one in zip(images, kept, strict=True) if one]
    assert curve.thresholds.tolist() == sorted({c for c, _ in usable}, reverse=True)
    for least, coverage, error in zip(curve.thresholds, curve.coverage, curve.error, strict=True):
        answered = [is_wrong for c, is_wrong in usable if c >= least]
        assert coverage == pytest.approx(100 * len(answered) / len(images))
        assert error == pytest.approx(100 * sum(answered) / len(answered))
    for least in (0.0, 0.3, 0.5, 0.9, 1.0):
        answered = [is_wrong for c, is_wrong in usable if c >= least]
        found = [int(column) for column in curve.counts(least)]
        assert found == [len(answered), sum(answered)]


def test_the_curve_of_no_images_is_empty() -> None:
    curve = risk_coverage([0.5], [True], [False])
    assert len(curve.thresholds) == 0
    assert order_of_tests(curve, 10, error=5.0, confidence=95.0).tolist() == []
    assert fit_threshold(curve, [0.1], error=5.0, confidence=95.0) is None
    assert attainable_error(curve, 95.0) == 100.0
    assert images_needed(curve, 5.0, 95.0) is None


# ---- bounds ----


@pytest.mark.parametrize(("wrong", "answered"), [(0, 1), (0, 59), (3, 100), (40, 41), (7, 7)])
def test_the_bound_is_scipys_and_fits_the_p_value(wrong: int, answered: int) -> None:
    exact = stats.binomtest(wrong, answered, alternative="less").proportion_ci(0.95)
    assert upper_bound(wrong, answered, 95.0) == pytest.approx(100 * exact.high)
    if wrong < answered:
        at_the_bound = binomial_p_value(wrong, answered, 100 * exact.high)
        assert at_the_bound == pytest.approx(0.05, abs=1e-6)


# ---- the promise ----


@pytest.mark.parametrize(("first", "rest", "error"), [(60, 120, 10.0), (300, 600, 5.0)])
def test_the_promise_holds_with_its_confidence(first: int, rest: int, error: float) -> None:
    """The true error of the chosen threshold exceeds the promise in at most 10 % of draws."""
    generator = np.random.default_rng(first)
    broken = kept = 0
    for _ in range(DRAWS):
        order = order_of_tests(
            risk_coverage(*drawn(generator, first)), rest, error=error, confidence=90.0
        )
        curve = risk_coverage(*drawn(generator, rest))
        found = fit_threshold(curve, order, error=error, confidence=90.0)
        if found:
            kept += 1
            broken += true_error(found.least) > error
    assert kept > DRAWS / 2  # a rule that never answers would keep every promise
    # 10 %, and three standard deviations of the count of this simulation.
    assert broken / DRAWS <= 0.10 + 3 * (0.1 * 0.9 / DRAWS) ** 0.5


def test_the_simulation_can_tell_a_rule_that_breaks_its_promise() -> None:
    """The threshold at which the observed error is just small enough, as is often chosen."""
    generator, broken = np.random.default_rng(1), 0
    for _ in range(300):
        curve = risk_coverage(*drawn(generator, 200))
        passed = curve.error <= 10.0
        if passed.any():
            least = float(curve.thresholds[np.flatnonzero(passed)[-1]])
            broken += true_error(least) > 10.0
    assert broken / 300 > 0.3


def test_a_threshold_tells_what_it_was_tested_on() -> None:
    confidence = np.linspace(1, 0, 201)
    wrong = np.zeros(201, np.bool_)
    wrong[150:] = True
    curve = risk_coverage(confidence, wrong)
    found = fit_threshold(curve, [0.6, 0.4, 0.2, 0.0], error=5.0, confidence=95.0)
    assert found is not None
    assert (found.least, found.images, found.answered, found.wrong) == (0.4, 201, 121, 0)
    assert found.bound == pytest.approx(100 * (1 - 0.05 ** (1 / 121)))
    assert found.coverage == pytest.approx(100 * 121 / 201)
    # The first that fails ends the tests, even if a later one would pass.
    assert fit_threshold(curve, [0.9, 0.4], error=5.0, confidence=95.0) is None


def test_thresholds_are_tested_from_the_surest_on() -> None:
    order = order_of_tests(
        risk_coverage(*drawn(np.random.default_rng(0), 3000)), 6000, error=5.0, confidence=95.0
    )
    assert 0 < len(order) <= 402
    assert (np.diff(order) < 0).all()
    assert order[-1] == 0.0
    assert true_error(float(order[0])) < 5.0


# ---- what would help ----


def test_needed_images_are_enough_and_half_of_them_are_not() -> None:
    confidence, wrong = np.full(100, 0.8), np.arange(100) < 3
    curve = risk_coverage(confidence, wrong)
    assert fit_threshold(curve, [0.5], error=5.0, confidence=95.0) is None
    needed = images_needed(curve, 5.0, 95.0)
    assert needed is not None
    for count, enough in ((needed, True), (needed // 2, False)):
        many = risk_coverage(np.full(count, 0.8), np.arange(count) < int(0.03 * count))
        passed = fit_threshold(many, [0.5], error=5.0, confidence=95.0) is not None
        assert passed is enough
    assert attainable_error(curve, 95.0) == pytest.approx(upper_bound(3, 100, 95.0))


def test_a_net_that_errs_too_much_everywhere_cannot_be_helped() -> None:
    curve = risk_coverage(np.linspace(0, 1, 100), np.arange(100) % 2 == 0)
    assert images_needed(curve, 5.0, 95.0) is None
