"""Intervals and paired tests, against their formulas written out in sums and roots."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verydeep.evaluation.paired import error_difference
from verydeep.evaluation.significance import Comparison, mcnemar, wilson_interval

counts = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def wilson(wrong: int, count: int, confidence: float) -> tuple[float, float]:
    """Return the two roots p of (p − p̂)² = z² p (1 − p) / n."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    seen = wrong / count
    middle = seen + z * z / (2 * count)
    half = z * math.sqrt(seen * (1 - seen) / count + z * z / (4 * count * count))
    below = 1 + z * z / count
    return 100 * (middle - half) / below, 100 * (middle + half) / below


@given(counted=counts, confidence=st.sampled_from([0.68, 0.9, 0.95, 0.99]))
def test_the_interval_is_its_closed_form(counted: tuple[int, int], confidence: float) -> None:
    interval = wilson_interval(*counted, confidence)
    assert interval == pytest.approx(wilson(*counted, confidence), abs=1e-9)


@given(counted=counts)
def test_the_interval_is_of_95_percent_and_holds_what_was_seen(counted: tuple[int, int]) -> None:
    wrong, count = counted
    low, high = wilson_interval(wrong, count)
    assert (low, high) == pytest.approx(wilson(wrong, count, 0.95), abs=1e-9)
    assert 0 <= low <= 100 * wrong / count <= high <= 100
    assert low < high


@given(counted=counts)
def test_wrong_and_right_are_mirror_images(counted: tuple[int, int]) -> None:
    wrong, count = counted
    low, high = wilson_interval(wrong, count)
    assert wilson_interval(count - wrong, count) == pytest.approx((100 - high, 100 - low), abs=1e-9)


@pytest.mark.parametrize("count", [1, 2, 12, 3669])
def test_none_wrong_and_all_wrong_leave_room_for_chance(count: int) -> None:
    z = NormalDist().inv_cdf(0.975)
    room = 100 * z * z / (count + z * z)
    assert wilson_interval(0, count) == pytest.approx((0, room), abs=1e-9)
    assert wilson_interval(count, count) == pytest.approx((100 - room, 100), abs=1e-9)
    assert wilson_interval(0, count)[0] == 0
    assert wilson_interval(count, count)[1] == 100


@pytest.mark.parametrize("count", [20, 60, 200])
def test_the_interval_holds_the_true_error_in_95_percent_of_samples(count: int) -> None:
    intervals = [wilson_interval(wrong, count) for wrong in range(count + 1)]
    coverage = []
    for percent in range(5, 96):
        p = percent / 100
        chances = (
            math.comb(count, wrong) * p**wrong * (1 - p) ** (count - wrong)
            for wrong, (low, high) in enumerate(intervals)
            if low <= percent <= high
        )
        coverage.append(math.fsum(chances))
    assert min(coverage) > 0.9
    assert math.fsum(coverage) / len(coverage) == pytest.approx(0.95, abs=0.01)


# ---- pairs ----


def exact(first: int, second: int) -> float:
    """Return how likely a fair coin is to fall at least as unevenly."""
    both = first + second
    ways = (math.comb(both, k) for k in range(both + 1) if abs(2 * k - both) >= abs(first - second))
    return sum(ways) / 2**both


def wrong(*groups: tuple[int, bool]) -> torch.Tensor:
    return torch.tensor([is_wrong for count, is_wrong in groups for _ in range(count)])


@given(
    both=st.integers(0, 20),
    first=st.integers(0, 60),
    second=st.integers(0, 60),
    neither=st.integers(1, 20),
)
def test_the_p_value_is_the_sum_of_binomial_chances(
    both: int, first: int, second: int, neither: int
) -> None:
    one = wrong((both, True), (first, True), (second, False), (neither, False))
    two = wrong((both, True), (first, False), (second, True), (neither, False))
    there, back = mcnemar(one, two), mcnemar(two, one)
    assert (there.only_first_wrong, there.only_second_wrong) == (first, second)
    assert there.p_value == pytest.approx(exact(first, second), rel=1e-9)
    assert (back.only_first_wrong, back.only_second_wrong) == (second, first)
    assert back.p_value == pytest.approx(there.p_value, rel=1e-12)


def test_equal_tests_do_not_differ() -> None:
    same = torch.tensor([True, False, True])
    assert mcnemar(same, same.clone()) == Comparison(0, 0, 1.0)
    assert mcnemar(same, torch.tensor([False, False, True])).p_value == 1


def test_pictures_on_which_both_are_wrong_or_right_say_nothing() -> None:
    few = mcnemar(wrong((9, True), (2, False)), wrong((9, False), (2, True)))
    padded = mcnemar(
        wrong((9, True), (2, False), (500, True), (700, False)),
        wrong((9, False), (2, True), (500, True), (700, False)),
    )
    assert padded == few
    assert few.p_value == pytest.approx(2 * (1 + 11 + 55) / 2**11)


def test_the_order_of_pictures_does_not_matter() -> None:
    generator = torch.Generator().manual_seed(0)
    one, two = torch.rand(2, 400, generator=generator) < torch.tensor([[0.3], [0.5]])
    order = torch.randperm(400, generator=generator)
    assert mcnemar(one, two) == mcnemar(one[order], two[order])
    assert mcnemar(one, two).p_value < 0.001


@given(
    cells=st.tuples(*[st.integers(0, 300)] * 3).filter(any),
)
def test_the_difference_is_its_closed_form_and_at_most_all_images(
    cells: tuple[int, int, int],
) -> None:
    first, second, _ = cells
    difference, (low, high) = error_difference(first, second, sum(cells))
    assert difference == pytest.approx(100 * (second - first) / sum(cells))
    count, one, other = sum(cells) + 2, first + 0.5, second + 0.5
    middle = (other - one) / count
    half = 1.959964 * math.sqrt((one + other) / count - middle**2) / math.sqrt(count)
    assert low == pytest.approx(100 * max(-1, middle - half))
    assert high == pytest.approx(100 * min(1, middle + half))
    assert -100 <= low <= difference <= high <= 100
