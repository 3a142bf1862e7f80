"""Distances of features, against scikit-learn's nearest neighbours and by their properties."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from verydeep.evaluation import familiarity
from verydeep.evaluation.familiarity import MOST_KEPT, NEIGHBOURS, Familiarity, fit_familiarity


def features(seed: int, count: int, size: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).normal(1, 1, (count, size)).astype(np.float32)


def test_the_distance_is_that_of_the_neighbours_of_scikit_learn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(familiarity, "AT_ONCE", 7)
    train, new = features(0, 200), features(1, 30)
    found = fit_familiarity(train)
    vectors = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (train, new)]
    neighbours = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(vectors[0])
    wanted = neighbours.kneighbors(vectors[1])[0][:, -1]
    np.testing.assert_allclose(found.distances(new), wanted, atol=2e-3)  # kept in float16


def test_the_length_of_features_says_nothing() -> None:
    found, new = fit_familiarity(features(0, 50)), features(1, 5)
    np.testing.assert_allclose(found.distances(1000 * new), found.distances(new), atol=1e-5)


def test_no_more_is_kept_than_the_bound() -> None:
    found = fit_familiarity(features(0, MOST_KEPT + 500, 4))
    assert found.bank.shape == (MOST_KEPT, 4)
    assert found.bank.dtype == np.float16
    few = fit_familiarity(features(0, 3))
    assert (few.images, few.neighbours) == (3, 3)
    assert fit_familiarity(features(0, 3)).distances(features(1, 0)).shape == (0,)


def test_what_is_kept_is_read_back() -> None:
    found = fit_familiarity(features(0, 40))
    again = Familiarity.from_arrays(found.arrays(), 12)
    assert np.array_equal(again.distances(features(1, 9)), found.distances(features(1, 9)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bank": None}, "bank and neighbours"),
        ({"bank": np.zeros((40, 11), np.float16)}, "a bank of 12 features"),
        ({"bank": np.zeros((40, 12), np.float32)}, "float16"),
        ({"neighbours": np.array([41])}, "fewer images than neighbours"),
        ({"neighbours": np.array([1, 2])}, "bank and neighbours"),
    ],
)
def test_damaged_arrays_are_refused(change: dict[str, np.ndarray | None], message: str) -> None:
    arrays = {**fit_familiarity(features(0, 40)).arrays(), **change}
    with pytest.raises(ValueError, match=message):
        Familiarity.from_arrays({k: v for k, v in arrays.items() if v is not None}, 12)
