"""Sets of classes, against the definition and against the exact law of their coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from verydeep.evaluation.abstention.conformal import (
    class_coverage,
    conformal_limit,
    coverage_range,
    fewest_images,
    fit_class_sets,
    sets_above,
)

DRAWS = 4000


def posteriors(
    generator: np.random.Generator, images: int, classes: int = 5
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return posteriors of an overconfident net, float32, and true classes."""
    true = generator.dirichlet(np.full(classes, 0.6), images)
    labels = (generator.random((images, 1)) > true.cumsum(1)).sum(1).clip(max=classes - 1)
    sharp = true**2
    return (sharp / sharp.sum(1, keepdims=True)).astype(np.float32), labels


@given(st.lists(st.integers(0, 9), max_size=60), st.sampled_from([1.0, 5.0, 10.0, 33.0]))
def test_the_limit_is_the_order_statistic_of_the_definition(
    scores: list[int], exceeded: float
) -> None:
    # In hundredths, so that the rank is exact.
    rank = -(-(len(scores) + 1) * (100 - round(exceeded)) // 100)
    wanted = sorted(scores)[rank - 1] if rank <= len(scores) else None
    assert conformal_limit(scores, exceeded) == wanted
    assert (wanted is None) == (len(scores) < fewest_images(exceeded))


@pytest.mark.parametrize(("images", "exceeded"), [(99, 1.0), (60, 10.0), (19, 5.0)])
def test_a_new_score_exceeds_the_limit_as_often_as_promised(images: int, exceeded: float) -> None:
    generator = np.random.default_rng(images)
    scores = generator.random((DRAWS, images + 1))
    limits = np.array([conformal_limit(row[:-1], exceeded) for row in scores])
    # The score is uniform, so the true probability of exceeding a limit is known: 1 − limit.
    law = stats.beta(images + 1 - (beyond := math.floor((images + 1) * exceeded / 100)), beyond)
    assert stats.kstest(limits, law.cdf).pvalue > 1e-3
    rate = float((scores[:, -1] > limits).mean())
    spread = math.sqrt(exceeded / 100 / DRAWS)
    assert rate <= exceeded / 100 + 4 * spread


def test_sets_cover_new_images_on_average() -> None:
    generator = np.random.default_rng(0)
    covered, images = [], 80
    for _ in range(600):
        likely, labels = posteriors(generator, images + 50)
        sets = fit_class_sets(likely[:images], labels[:images], 80.0)
        assert sets is not None
        covered.append(sets.of(likely[images:])[np.arange(50), labels[images:]].mean())
    mean, error = np.mean(covered), np.std(covered) / 600**0.5
    assert mean >= 0.8 - 3 * error
    assert mean <= 0.8 + 1 / 81 + 0.05  # and they are not much larger than needed


def test_the_range_of_the_coverage_is_found_in_simulated_calibrations() -> None:
    generator = np.random.default_rng(2)
    low, high = coverage_range(200, 90.0)
    scores = generator.random((2000, 200))
    true = 100 * np.array([conformal_limit(row, 10.0) for row in scores])
    assert 0.88 < ((true > low) & (true < high)).mean() < 0.92


def test_a_set_is_never_empty_and_holds_the_likeliest_class() -> None:
    likely = np.array([[0.3, 0.3, 0.4], [1.0, 0.0, 0.0], [0.45, 0.5, 0.05]], np.float32)
    assert sets_above(likely, 0.95).tolist() == [
        [False, False, True],
        [True, False, False],
        [False, True, False],
    ]
    assert sets_above(likely, 0.0).all()
    assert sets_above(likely[:0], 0.5).shape == (0, 3)


def test_too_few_images_give_no_sets() -> None:
    likely, labels = posteriors(np.random.default_rng(0), 9)
    assert fit_class_sets(likely[:8], labels[:8], 90.0) is None
    found = fit_class_sets(likely, labels, 90.0)
    assert found is not None
    # Nine images just suffice: every one of them must be covered.
    assert found.least == likely[np.arange(9), labels].min()
    assert found.of(likely)[np.arange(9), labels].all()


def test_coverage_by_class_counts_the_images_of_the_class() -> None:
    found = class_coverage([True, False, True, True], [0, 0, 0, 2], 3)
    assert found[[0, 2]].tolist() == pytest.approx([200 / 3, 100])
    assert np.isnan(found[1])
