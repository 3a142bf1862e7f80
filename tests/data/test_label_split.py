"""Splits of multi-label images: shares of every class, repeatable, and against plain counts."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_label_sets import dataset_of

from verydeep.data.label_split import stratify
from verydeep.data.read import draw_splits
from verydeep.errors import DataError

SHARES = {"val": 0.2, "test": 0.1}


@given(st.lists(st.sets(st.integers(0, 4)), min_size=1, max_size=80))
def test_every_image_gets_a_split(sets: list[set[int]]) -> None:
    found = stratify([tuple(sorted(one)) for one in sets], SHARES)
    assert len(found) == len(sets)
    assert set(found) <= {"train", *SHARES}


def test_classes_are_divided_by_the_shares() -> None:
    generator = np.random.default_rng(1)
    rates = np.array([0.5, 0.3, 0.1, 0.05, 0.02])
    drawn = generator.random((1000, 5)) < rates
    sets = [tuple(np.flatnonzero(row).tolist()) for row in drawn]
    found = stratify(sets, SHARES)
    whole = Counter(label for one in sets for label in one)
    for split, share in {"train": 0.7, **SHARES}.items():
        assert abs(found.count(split) - 1000 * share) <= 10
        mine = [one for one, where in zip(sets, found, strict=True) if where == split]
        own = Counter(label for one in mine for label in one)
        for label, count in whole.items():
            assert abs(own[label] - share * count) <= max(2, 0.05 * count)


def test_a_rare_class_is_divided_better_than_at_random() -> None:
    sets = [(0,)] * 990 + [(0, 1)] * 10
    found = stratify(sets, SHARES)
    rare = Counter(found[990:])
    assert (rare["train"], rare["val"], rare["test"]) == (7, 2, 1)


def test_drawn_splits_do_not_depend_on_the_order_of_the_images() -> None:
    sets = [[0], [1], [0, 1], [], [2], [1, 2]] * 10
    data = dataset_of(all=sets)
    one = draw_splits(data, 0.2, 0.1, 0)
    samples = data.split("all")
    turned = {"all": samples.take(np.arange(len(samples))[::-1])}
    other = draw_splits(type(data)(data.root, data.layout, data.classes, turned), 0.2, 0.1, 0)
    for split in one.splits:
        assert {s.path for s in one.split(split)} == {s.path for s in other.split(split)}
    assert one.made_by_rule
    assert sum(one.sizes.values()) == 60
    assert draw_splits(data, 0.2, 0.1, 1).split("val").paths != one.split("val").paths


def test_a_class_without_training_images_is_refused() -> None:
    with pytest.raises(DataError, match="class c has too few images"):
        draw_splits(dataset_of(all=[[2], *[[0, 1]] * 20]), 0.45, 0.45, 0)
