"""Means over images and seeds, against loops, closed forms and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from verydeep.study.crossed import CrossedMean, _excluded, crossed_mean


def by_loops(each: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the mean squares of seeds, images and the rest, value by value."""
    seeds, images = each.shape
    grand = sum(each[s, i] for s in range(seeds) for i in range(images)) / (seeds * images)
    row = [sum(each[s]) / images for s in range(seeds)]
    column = [sum(each[:, i]) / seeds for i in range(images)]
    by_seed = sum(images * (one - grand) ** 2 for one in row) / (seeds - 1)
    by_image = sum(seeds * (one - grand) ** 2 for one in column) / (images - 1)
    rest = sum(
        (each[s, i] - row[s] - column[i] + grand) ** 2 for s in range(seeds) for i in range(images)
    )
    return by_seed, by_image, rest / ((seeds - 1) * (images - 1))


def test_the_mean_squares_are_those_of_loops() -> None:
    each = np.random.default_rng(0).integers(-1, 2, (4, 7)).astype(float)
    found = crossed_mean(each)
    assert (found.seed_square, found.image_square, found.rest_square) == pytest.approx(
        by_loops(each)
    )
    assert found.mean == pytest.approx(each.mean())


def test_the_interval_is_satterthwaites() -> None:
    found = CrossedMean(0.05, 3, 500, seed_square=0.4, image_square=0.3, rest_square=0.2)
    variance = (0.4 + 0.3 - 0.2) / 1500
    freedom = 0.5**2 / (0.4**2 / 2 + 0.3**2 / 499 + 0.2**2 / 998)
    margin = stats.t.ppf(0.99, freedom) * np.sqrt(variance)
    assert found.bounds(0.01) == pytest.approx((0.05 - margin, 0.05 + margin))


def test_with_one_seed_the_interval_is_students() -> None:
    each = np.random.default_rng(1).normal(0.1, 0.5, (1, 40))
    expected = stats.ttest_1samp(each[0], 0).confidence_interval(0.98)
    assert crossed_mean(each).bounds(0.01) == pytest.approx(tuple(expected))


def test_a_component_below_zero_counts_as_zero_and_widens_the_interval() -> None:
    quiet = CrossedMean(0.0, 3, 100, seed_square=0.01, image_square=0.3, rest_square=0.2)
    assert quiet.components == (0, pytest.approx(0.1 / 3), 0.2)
    error, _ = quiet.precision(np.array([3.0]), np.array([100.0]))
    assert error == pytest.approx(np.sqrt(0.3 / 300))


def test_tests_that_never_differ_still_have_an_interval_with_a_width() -> None:
    low, high = crossed_mean(np.zeros((3, 98))).bounds(0.025)
    assert (low, high) == pytest.approx((-0.0198, 0.0198), abs=2e-4)  # 1.98 / (N + 2)


def simulate(
    rng: np.random.Generator, mean: float, shape: tuple[int, int], sds: tuple[float, float, float]
) -> CrossedMean:
    seeds, images = shape
    seed, image, rest = sds
    return crossed_mean(
        mean
        + seed * rng.standard_normal((seeds, 1))
        + image * rng.standard_normal(images)
        + rest * rng.standard_normal(shape)
    )


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("sds", [(0, 0.2, 0.4), (0.02, 0.2, 0.4), (0.04, 0.2, 0.4)])
def test_an_end_misses_the_mean_as_rarely_as_it_says(
    seeds: int, sds: tuple[float, float, float]
) -> None:
    rng, times, alpha = np.random.default_rng(2), 2000, 0.05
    low = sum(simulate(rng, 0, (seeds, 200), sds).bounds(alpha)[0] > 0 for _ in range(times))
    assert low / times < alpha + 3 * np.sqrt(alpha * (1 - alpha) / times)


def test_as_many_images_or_seeds_as_asked_for_decide_with_the_stated_power() -> None:
    rng, alpha, sds, mean = np.random.default_rng(3), 0.01, (0.02, 0.2, 0.4), 0.06
    expected = CrossedMean(
        mean,
        4,
        150,
        seed_square=150 * sds[0] ** 2 + sds[2] ** 2,
        image_square=4 * sds[1] ** 2 + sds[2] ** 2,
        rest_square=sds[2] ** 2,
    )
    images, seeds = expected.images_needed([mean], alpha), expected.seeds_needed([mean], alpha)
    assert images is not None
    assert seeds is not None
    for shape in ((4, images), (seeds, 150)):
        found = [simulate(rng, mean, shape, sds).bounds(alpha)[0] > 0 for _ in range(600)]
        assert 0.7 < np.mean(found) < 0.92, shape


@pytest.mark.parametrize("freedom", [1, 2, 4, 30, 20_000])
def test_the_probability_to_exclude_a_value_is_what_simulation_finds(freedom: int) -> None:
    rng, alpha, ratio, draws = np.random.default_rng(5), 0.05, 5.0, 40_000
    t = (ratio + rng.normal(size=draws)) / np.sqrt(rng.chisquare(freedom, draws) / freedom)
    simulated = (t > stats.t.ppf(1 - alpha, freedom)).mean()
    (found,) = _excluded(np.array([ratio]), np.array([float(freedom)]), alpha)
    assert found == pytest.approx(simulated, abs=0.01)


def test_what_is_to_lie_between_two_values_needs_more() -> None:
    found = CrossedMean(0.0, 5, 2000, seed_square=0.15, image_square=0.3, rest_square=0.15)
    one, both = found.images_needed([0.01], 0.01), found.images_needed([0.01, 0.01], 0.01)
    assert one is not None
    assert both is not None
    assert both > one


def test_no_number_of_images_makes_up_for_seeds_that_differ() -> None:
    seeds_differ = CrossedMean(0.02, 3, 1000, seed_square=2.0, image_square=0.2, rest_square=0.15)
    assert seeds_differ.images_needed([0.02], 0.01) is None
    assert seeds_differ.seeds_needed([0.02], 0.01) is not None


def test_no_number_of_seeds_makes_up_for_images_that_differ() -> None:
    images_differ = CrossedMean(0.01, 3, 200, seed_square=0.1, image_square=0.9, rest_square=0.1)
    assert images_differ.seeds_needed([0.01], 0.01) is None
    assert images_differ.images_needed([0.01], 0.01) is not None


def test_a_single_seed_does_not_tell_how_many_seeds_are_needed() -> None:
    assert (
        crossed_mean(np.random.default_rng(0).normal(size=(1, 30))).seeds_needed([1], 0.1) is None
    )


def test_no_number_tells_a_difference_of_zero_apart() -> None:
    found = crossed_mean(np.random.default_rng(0).normal(size=(3, 30)))
    assert found.images_needed([0], 0.1) is None
    assert found.images_needed([], 0.1) is None


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "times"), [(0.0, 1), (0.01, 1), (0.03, 4), (0.05, 5)])
def test_a_few_seeds_that_differ_much_are_missed_no_more_often_than_the_docs_say(
    shift: float, times: float
) -> None:
    """With 3 seeds and 2,000 images; the mean squares are drawn from their distributions."""
    rng, seeds, images, alpha, rest = np.random.default_rng(4), 3, 2000, 0.05 / 17, 0.15
    for image in (0.02, 0.05, 0.15, 0.5):  # variances of images
        by_seed, by_image = images * shift**2 + rest, seeds * image + rest
        error = np.sqrt((by_seed + by_image - rest) / (seeds * images))
        missed = []
        for _ in range(2000):
            drawn = CrossedMean(
                0.0,
                seeds,
                images,
                by_seed * rng.chisquare(2) / 2,
                by_image * rng.chisquare(1999) / 1999,
                rest * rng.chisquare(3998) / 3998,
            )
            missed.append(stats.norm.sf(drawn.bounds(alpha)[1] / error))
        assert np.mean(missed) < times * alpha, image
