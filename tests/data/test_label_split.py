"""Splits of multi-label images: shares of every class, repeatable, and against plain counts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_label_sets import dataset_of

from verydeep import read_dataset
from verydeep.data.dataset import Dataset
from verydeep.data.fold import Fold
from verydeep.data.group_rule import GroupRule
from verydeep.data.label_split import deal_sets
from verydeep.data.read import draw_splits
from verydeep.errors import DataError

SHARES = (0.7, 0.2, 0.1)


@given(st.lists(st.sets(st.integers(0, 4)), min_size=1, max_size=80))
def test_every_image_gets_a_part(sets: list[set[int]]) -> None:
    found = deal_sets([tuple(sorted(one)) for one in sets], SHARES)
    assert len(found) == len(sets)
    assert set(found) <= {0, 1, 2}


def test_classes_are_divided_by_the_shares() -> None:
    generator = np.random.default_rng(1)
    rates = np.array([0.5, 0.3, 0.1, 0.05, 0.02])
    drawn = generator.random((1000, 5)) < rates
    sets = [tuple(np.flatnonzero(row).tolist()) for row in drawn]
    found = deal_sets(sets, SHARES)
    whole = Counter(label for one in sets for label in one)
    for part, share in enumerate(SHARES):
        assert abs(found.count(part) - 1000 * share) <= 10
        mine = [one for one, where in zip(sets, found, strict=True) if where == part]
        own = Counter(label for one in mine for label in one)
        for label, count in whole.items():
            assert abs(own[label] - share * count) <= max(2, 0.05 * count)


def test_a_rare_class_is_divided_better_than_at_random() -> None:
    sets = [(0,)] * 990 + [(0, 1)] * 10
    rare = Counter(deal_sets(sets, SHARES)[990:])
    assert (rare[0], rare[1], rare[2]) == (7, 2, 1)


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


def test_folds_hold_every_image_once_and_every_class_evenly() -> None:
    generator = np.random.default_rng(2)
    drawn = generator.random((300, 3)) < (0.5, 0.2, 0.04)
    data = dataset_of(all=[np.flatnonzero(row).tolist() for row in drawn])
    folds = [draw_splits(data, 0.1, 0.1, 0, fold=Fold(k, 5)) for k in range(1, 6)]
    held = [str(one.path) for fold in folds for one in fold.split("test")]
    assert sorted(held) == sorted(str(one.path) for one in data.split("all"))
    for label, count in enumerate(drawn.sum(0)):
        own = [fold.count("test")[label] for fold in folds]
        assert max(own) - min(own) <= max(1, 0.1 * count)
    assert max(len(fold.split("test")) for fold in folds) <= 62
    for fold in folds:
        assert min(fold.count("train")) > 0
        assert len(fold.split("val")) == pytest.approx(24, abs=2)


def test_groups_are_not_divided(tmp_path: Path) -> None:
    """Each patient has images of all kinds, and images of none of the classes."""
    generator = np.random.default_rng(4)
    rows = ["file,labels,patient"]
    for number in range(240):
        names = [
            name
            for name, rate in zip("abc", (0.5, 0.3, 0.1), strict=True)
            if generator.random() < rate
        ]
        rows.append(f"{number}.png,{';'.join(names)},p{generator.integers(30)}")
        (tmp_path / f"{number}.png").touch()
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(rows) + "\n")
    patients = {row.split(",")[0]: row.split(",")[2] for row in rows[1:]}
    how = {"group_by": "column:patient", "progress": False}
    splits = read_dataset(table, **how)
    folds = [read_dataset(table, fold=f"{k}/4", **how) for k in range(1, 5)]
    for data in (splits, *folds):
        where: dict[str, set[str]] = {}
        for split, samples in data.splits.items():
            for one in samples:
                where.setdefault(patients[str(one.path).rpartition("/")[2]], set()).add(split)
        assert all(len(some) == 1 for some in where.values())
        assert sum(data.sizes.values()) == 240
    totals = np.array(read_dataset(table, draw=False, progress=False).count("all"))
    for fold in folds:
        np.testing.assert_allclose(fold.count("test") / totals, 0.25, atol=0.08)
        unlabelled = sum(not data_labels for data_labels in sets_of(fold, "test"))
        assert unlabelled == pytest.approx(sum(not one for one in sets_of(splits)) / 4, rel=0.35)


def sets_of(data: Dataset, *splits: str) -> list[tuple[int, ...]]:
    names = splits or tuple(data.splits)
    return [data.classes_of(one.label) for name in names for one in data.split(name)]


def test_a_class_in_one_group_or_fold_alone_is_refused() -> None:
    data = dataset_of(all=[[2], *[[0, 1]] * 20])
    with pytest.raises(DataError, match="class c has too few images to make 3 folds"):
        draw_splits(data, 0.1, 0.1, 0, fold=Fold(1, 3))
    twice = dataset_of(all=[[2], [2], *[[0, 1]] * 20])
    rule = GroupRule.parse(r"name:^(al)l[01]\.png|.+")  # both images of c, and each of the others
    with pytest.raises(
        DataError, match=r"too few groups to make 3 folds .* class c \(1 group, like 'al'\)"
    ):
        draw_splits(twice, 0.1, 0.1, 0, rule, Fold(1, 3))
