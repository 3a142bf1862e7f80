"""Distances of features, against scikit-learn's and by their properties."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_distances
from sklearn.preprocessing import normalize

from verydeep.evaluation.abstention.familiarity import Familiarity, fit_familiarity


def features(seed: int, count: int, size: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).normal(1, 1, (count, size)).astype(np.float32)


def fitted() -> Familiarity:
    return fit_familiarity(features(0, 40), np.arange(40) % 4 * 2)


def test_the_distance_is_that_to_the_nearest_class_mean() -> None:
    train, new, labels = features(0, 200), features(1, 30), np.arange(200) % 5
    means = np.stack([normalize(train[labels == k]).mean(0) for k in range(5)])
    wanted = cosine_distances(new, means).min(1)
    found = fit_familiarity(train, labels).distances(new)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_the_length_of_features_says_nothing() -> None:
    new = features(1, 5)
    np.testing.assert_allclose(fitted().distances(1000 * new), fitted().distances(new), atol=1e-6)


def test_no_more_is_kept_than_a_mean_for_each_class_with_images() -> None:
    assert (fitted().means.shape, fitted().images) == ((4, 12), 40)
    assert fitted().distances(features(1, 0)).shape == (0,)
    # An image without any activation is like none.
    assert fitted().distances(np.zeros((1, 12)))[0] == 1


def test_what_is_kept_is_read_back() -> None:
    again = Familiarity.from_arrays(fitted().arrays(), 12)
    assert np.array_equal(again.distances(features(1, 9)), fitted().distances(features(1, 9)))
    assert again.images == 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"means": None}, "means and images"),
        ({"means": np.zeros((4, 11), np.float32)}, "means of 12 features"),
        ({"means": np.zeros((4, 12))}, "float32"),
        ({"means": np.zeros((0, 12), np.float32)}, "at least one class"),
        ({"means": np.full((4, 12), np.nan, np.float32)}, "all finite"),
        ({"images": np.array([1, 2])}, "means and images"),
    ],
)
def test_damaged_arrays_are_refused(change: dict[str, np.ndarray | None], message: str) -> None:
    arrays = {**fitted().arrays(), **change}
    with pytest.raises(ValueError, match=message):
        Familiarity.from_arrays({k: v for k, v in arrays.items() if v is not None}, 12)
