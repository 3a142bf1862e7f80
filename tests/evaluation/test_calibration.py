"""Calibration, against loops over bins and against the softmax of scores by its formula."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from verydeep.evaluation.calibration import (
    BINS,
    calibration_error_by_chance,
    cross_fitted,
    expected_calibration_error,
    fit_calibration,
    fit_temperature,
    reliability,
    temper,
)
from verydeep.evaluation.metrics import log_loss


def soft_max(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def drawn(seed: int, count: int, classes: int, spread: float = 2) -> tuple[Tensor, Tensor]:
    """Return posteriors and labels that have nothing to do with each other."""
    generator = np.random.default_rng(seed)
    likely = soft_max(generator.normal(0, spread, (count, classes)))
    return torch.from_numpy(likely), torch.from_numpy(generator.integers(0, classes, count))


def two_classes(confidences: list[float]) -> Tensor:
    """Return rows of which class 0 has a probability, and the others too little to be likelier."""
    return torch.tensor([[p, 0.0] for p in confidences], dtype=torch.float64)


def by_hand(posteriors: Tensor, labels: Tensor, bins: int) -> list[tuple[int, float, float]]:
    """Return images, confidence and accuracy of each range."""
    found = []
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        sure, right = [], []
        for row, label in zip(posteriors.tolist(), labels.tolist(), strict=True):
            confidence = max(row)
            if low < confidence <= high or (number == 0 and confidence == 0):
                sure.append(confidence)
                right.append(row.index(confidence) == label)
        count = len(sure)
        means = (math.fsum(sure) / count, sum(right) / count) if count else (math.nan, math.nan)
        found.append((count, *means))
    return found


# ---- reliability ----


@pytest.mark.parametrize("bins", [1, 2, 10, 15, 16])
@pytest.mark.parametrize(("classes", "spread"), [(2, 1), (3, 4), (40, 2)])
def test_ranges_are_those_by_hand(classes: int, spread: float, bins: int) -> None:
    likely, labels = drawn(classes, 300, classes, spread)
    ours = reliability(likely, labels, bins)
    theirs = by_hand(likely, labels, bins)
    assert [part.images for part in ours] == [count for count, _, _ in theirs]
    assert sum(part.images for part in ours) == 300
    for part, (_, confidence, accuracy) in zip(ours, theirs, strict=True):
        assert part.confidence == pytest.approx(confidence, abs=1e-12, nan_ok=True)
        assert part.accuracy == pytest.approx(accuracy, abs=1e-12, nan_ok=True)
    error = sum(count * abs(c - a) for count, c, a in theirs if count) / 3
    assert expected_calibration_error(likely, labels, bins) == pytest.approx(error, abs=1e-9)


def test_there_are_fifteen_ranges_from_0_to_1() -> None:
    ranges = reliability(*drawn(0, 10, 3))
    assert len(ranges) == BINS == 15
    assert (ranges[0].low, ranges[-1].high) == (0, 1)
    assert all(a.high == b.low for a, b in pairwise(ranges))
    assert all(part.high - part.low == pytest.approx(1 / 15) for part in ranges)


def test_an_edge_belongs_to_the_range_below_it() -> None:
    likely = two_classes([0.0, 0.25, 0.25, 0.5, 0.75, 0.76, 1.0])
    counts = [part.images for part in reliability(likely, torch.zeros(7, dtype=torch.long), 4)]
    assert counts == [3, 1, 1, 2]
    edges = two_classes([(number + 1) / BINS for number in range(BINS)])
    ranges = reliability(edges, torch.zeros(BINS, dtype=torch.long))
    assert [part.images for part in ranges] == [1] * BINS


def test_certainty_beyond_one_by_rounding_counts_in_the_last_range() -> None:
    likely = torch.tensor([[1 + 1e-6, 0.0]])
    assert reliability(likely, torch.tensor([0]))[-1].images == 1


def test_empty_ranges_know_nothing_and_cost_nothing() -> None:
    likely = two_classes([0.9, 0.9])
    ranges = reliability(likely, torch.tensor([0, 1]), 10)
    assert [part.images for part in ranges] == [0] * 8 + [2, 0]
    for part in (*ranges[:8], ranges[9]):
        assert math.isnan(part.confidence)
        assert math.isnan(part.accuracy)
    assert expected_calibration_error(likely, torch.tensor([0, 1]), 10) == pytest.approx(40)


def test_what_is_calibrated_has_no_error_and_what_is_not_has_its_gap() -> None:
    likely = two_classes([0.75] * 8)
    assert expected_calibration_error(likely, torch.tensor([0] * 6 + [1] * 2)) == 0
    assert expected_calibration_error(likely, torch.tensor([1] * 8)) == pytest.approx(75)
    assert expected_calibration_error(likely, torch.tensor([0] * 8)) == pytest.approx(25)


def test_no_pictures_have_no_calibration_error() -> None:
    none = expected_calibration_error(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
    assert math.isnan(none)


# ---- temperature ----


@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0, 1.7, 20.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tempering_is_the_soft_max_of_divided_scores(dtype: type, temperature: float) -> None:
    scores = np.random.default_rng(0).normal(0, 3, (200, 7))
    ours = temper(soft_max(scores).astype(dtype), temperature)
    assert ours.dtype == dtype
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(ours, soft_max(scores / temperature), rtol=0, atol=tolerance)


def test_temperature_one_changes_nothing() -> None:
    likely, _ = drawn(1, 50, 6)
    assert np.allclose(temper(likely, 1.0), likely, rtol=0, atol=1e-12)


@given(
    rows=st.lists(
        st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4).filter(any),
        min_size=1,
        max_size=5,
    ),
    temperature=st.floats(0.05, 20),
)
def test_the_order_of_classes_stays(rows: list[list[float]], temperature: float) -> None:
    likely = torch.tensor(rows)
    tempered = temper(likely, temperature)
    assert tempered.sum(1).tolist() == pytest.approx([1] * len(rows), abs=1e-5)
    for before, after in zip(rows, tempered.tolist(), strict=True):
        in_order = sorted(range(4), key=before.__getitem__)
        assert [after[k] for k in in_order] == sorted(after)


@pytest.mark.parametrize("temperature", [0.3, 3.0])
def test_the_likeliest_class_stays(temperature: float) -> None:
    likely, _ = drawn(2, 500, 10)
    tempered = temper(likely, temperature)
    assert np.array_equal(tempered.argmax(1), likely.numpy().argmax(1))
    surer = tempered.max(1) > likely.numpy().max(1)
    assert surer.all() if temperature < 1 else not surer.any()


def test_rows_of_zeros_stay_zeros_and_change_no_others() -> None:
    likely, _ = drawn(3, 6, 4)
    likely[[1, 4]] = 0
    tempered = temper(likely, 2.0)
    assert not tempered[[1, 4]].any()
    good = [0, 2, 3, 5]
    assert np.array_equal(tempered[good], temper(likely[good], 2.0))


def test_a_probability_of_zero_gives_no_nan() -> None:
    tempered = temper(torch.tensor([[1.0, 0.0]]), 2.0)
    assert np.isfinite(tempered).all()
    assert tempered[0].tolist() == pytest.approx([1, 0], abs=1e-9)


# ---- fitting ----


def claimed(temperature: float, count: int = 6000) -> tuple[Tensor, Tensor]:
    """Return posteriors that are true at a temperature, and labels drawn from the true ones."""
    generator = np.random.default_rng(7)
    scores = generator.normal(0, 1.5, (count, 5))
    places = generator.random((count, 1)) > soft_max(scores).cumsum(1)
    labels = np.minimum(places.sum(1), 4)
    return torch.from_numpy(soft_max(scores * temperature)), torch.from_numpy(labels)


def loss(posteriors: Tensor, labels: Tensor, temperature: float) -> float:
    """Return the mean −log probability of the true class at a temperature."""
    tempered = soft_max(np.log(posteriors.numpy()) / temperature)
    return -np.log(tempered[np.arange(len(labels)), labels.numpy()]).mean()


@pytest.mark.parametrize("temperature", [0.25, 0.7, 1.0, 1.5, 4.0])
def test_the_temperature_is_found_again(temperature: float) -> None:
    likely, labels = claimed(temperature)
    found = fit_temperature(likely, labels)
    assert found == pytest.approx(temperature, rel=0.06)
    # It mends what was wrong with them.
    before = expected_calibration_error(likely, labels)
    after = expected_calibration_error(temper(likely, found), labels)
    assert after < 2.5
    assert after < before or temperature == 1


@pytest.mark.parametrize("temperature", [0.25, 1.0, 4.0])
def test_no_other_temperature_has_a_smaller_loss(temperature: float) -> None:
    likely, labels = claimed(temperature, 500)
    found = fit_temperature(likely, labels)
    least = loss(likely, labels, found)
    for factor in (0.2, 0.9, 0.999, 1.001, 1.1, 5):
        assert least < loss(likely, labels, found * factor)


def test_the_temperature_stays_within_its_bounds() -> None:
    likely = torch.tensor([[0.55, 0.45]]).repeat(10, 1)
    always_right, always_wrong = torch.zeros(2, 10, dtype=torch.long) + torch.tensor([[0], [1]])
    assert fit_temperature(likely, always_right) == pytest.approx(0.05, rel=1e-3)
    assert fit_temperature(likely, always_wrong) == pytest.approx(20, rel=1e-3)


def test_one_picture_and_probabilities_of_zero_can_be_fitted() -> None:
    for label in (0, 1):
        found = fit_temperature(torch.tensor([[1.0, 0.0]]), torch.tensor([label]))
        assert 0.05 <= found <= 20


# ---- is a temperature of use? ----


def scored(images: int, scale: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Posteriors of three classes whose scores are ``scale`` times those of a calibrated net."""
    lots = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (images,), generator=lots)
    scores = torch.randn(images, 3, generator=lots, dtype=torch.float64)
    scores[torch.arange(images), labels] += 1.5
    return (1.5 * scale * scores).softmax(1).float(), labels


def test_cross_fitting_holds_every_picture_out() -> None:
    likely, labels = scored(9, 2.0, seed=1)
    held = cross_fitted(likely, labels)  # nine parts of one image each
    for number in range(9):
        others = [other for other in range(9) if other != number]
        temperature = fit_temperature(likely[others], labels[others])
        tempered = likely[number].double() ** (1 / temperature)
        loss = -float((tempered[labels[number]] / tempered.sum()).log())
        assert float(held[number]) == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("scale", [3.0, 0.4])
def test_a_temperature_is_kept_where_it_is_needed(scale: float) -> None:
    likely, labels = scored(500, scale)
    found = fit_calibration(likely, labels, split="val", protocol="dense")
    assert found.kept
    assert found.loss_held_out is not None
    assert found.loss_after <= found.loss_held_out < found.loss_before


def test_few_mistakes_do_not_make_a_net_certain() -> None:
    """The fault that this guards against: fitted to 18 images, the loss of others rose."""
    worse = kept = 0
    for seed in range(30):
        likely, labels = scored(18, 0.7, seed)
        if (likely.argmax(1) == labels).all():
            continue
        found = fit_calibration(likely, labels, split="val", protocol="dense")
        others, truth = scored(2000, 0.7, seed + 1000)
        before, after = (log_loss(p, truth) for p in (others, temper(others, found.temperature)))
        worse += after > before + 0.1
        kept += found.kept and after > before + 0.1
    assert worse > 3
    assert kept == 0


def test_a_calibrated_net_shows_a_calibration_error_on_few_pictures() -> None:
    likely, _ = scored(40, 1.0)
    lots = torch.Generator().manual_seed(5)
    found = []
    for _ in range(200):
        # Outcomes drawn by the net's own probabilities: it is perfectly calibrated.
        labels = torch.multinomial(likely, 1, generator=lots)[:, 0]
        found.append(expected_calibration_error(likely, labels))
    by_chance = calibration_error_by_chance(likely.double().max(1).values)
    assert by_chance == pytest.approx(sum(found) / len(found), rel=0.1)
    many, _ = scored(4000, 1.0)
    assert calibration_error_by_chance(many.double().max(1).values) < by_chance / 4
