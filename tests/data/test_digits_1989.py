"""The digits of 1989: as many as published, no original in two splits, the same each time."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice

import numpy as np
import pytest
from sklearn.datasets import load_digits

from verydeep.data.builtin.digits_1989 import COUNTS, divide, draw, make_digits_1989


@pytest.fixture(scope="module")
def made() -> list[tuple[str, int, int, np.ndarray]]:
    return [*make_digits_1989()]


def test_there_are_as_many_as_published(made: list) -> None:
    counts = {split: sum(one[0] == split for one in made) for split in COUNTS}
    assert counts == {"train": 7291, "val": 600, "test": 2007}
    assert {pixels.shape for *_, pixels in made} == {(16, 16)}


def test_no_original_is_in_two_splits(made: list) -> None:
    used = defaultdict(set)
    for split, label, original, _ in made:
        used[split].add(original)
        assert load_digits().target[original] == label if len(used[split]) < 30 else True
    assert not used["train"] & used["test"]
    assert not used["train"] & used["val"]
    assert not used["val"] & used["test"]
    assert sum(map(len, used.values())) > 1700  # nearly all of 1,797


def test_all_originals_are_divided() -> None:
    labels = load_digits().target
    splits = divide(labels)
    every = np.concatenate([own for split in splits.values() for own in split])
    assert sorted(every) == [*range(len(labels))]


def test_the_same_images_are_made_each_time(made: list) -> None:
    for one, other in zip(islice(make_digits_1989(), 20), made, strict=False):
        assert one[:3] == other[:3]
        np.testing.assert_array_equal(one[3], other[3])


def test_an_unchanged_digit_is_its_original_enlarged() -> None:
    class Middle:
        """A generator that draws the value of no change."""

        def uniform(self, low: float, high: float, size: int | None = None) -> object:
            value = 1.0 if low > 0 else 0.0
            return value if size is None else np.zeros(size)

    digit = np.zeros((10, 10), np.uint8)
    digit[4:6, 3:8] = 255
    drawn = draw(digit, Middle())  # type: ignore[arg-type]
    # Enlarged to twice its size, 20 pixels, of which the central 16 are taken.
    assert drawn[7:9, 5:13].min() > 200
    assert drawn[:4].max() == drawn[12:].max() == 0
