"""Splits and folds by group: nothing straddles, classes stay balanced, the seed repeats."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from tiny import counts, plant

from verydeep import read_dataset
from verydeep.data.dataset import relative_name
from verydeep.data.fold import Fold
from verydeep.data.group_split import divide_groups, lacking
from verydeep.data.samples import Sample
from verydeep.data.split import cut, deal_folds
from verydeep.errors import DataError, InputError

ROOT = Path("scans")


def made(seed: int, groups: int, images: int, classes: int) -> tuple[np.ndarray, list[str]]:
    """Return labels and groups, each group with its own mixture of classes."""
    drawn = np.random.default_rng(seed)
    members = drawn.integers(0, groups, images)
    mixtures = drawn.dirichlet(np.full(classes, 0.5), groups)
    labels = np.array([drawn.choice(classes, p=mixtures[one]) for one in members])
    return labels, [f"patient{one}" for one in members]


def unevenness(labels: np.ndarray, parts: np.ndarray, shares: Sequence[float]) -> float:
    """Return the largest gap between a class's share in a part and the share wanted."""
    totals = np.bincount(labels)
    found = [np.bincount(labels[parts == n], minlength=len(totals)) for n in range(len(shares))]
    gaps = [np.abs(own / totals - share).max() for own, share in zip(found, shares, strict=True)]
    return float(max(gaps))


def straddling(groups: Sequence[str], parts: Sequence[int]) -> int:
    return len(set(zip(groups, parts, strict=True))) - len(set(groups))


@given(st.integers(0, 99), st.integers(4, 40), st.integers(2, 4), st.integers(2, 5))
@settings(max_examples=25)
def test_no_group_is_in_two_folds(seed: int, groups: int, classes: int, folds: int) -> None:
    labels, names = made(seed, groups, 200, classes)
    parts = divide_groups(labels, names, [1 / folds] * folds, seed)
    assert straddling(names, parts.tolist()) == 0
    assert set(parts.tolist()) <= set(range(folds))


@pytest.mark.parametrize("seed", range(5))
def test_folds_are_as_even_as_those_of_scikit_learn(seed: int) -> None:
    labels, names = made(seed, 60, 1500, 4)
    ours = divide_groups(labels, names, [0.2] * 5, seed)
    theirs = np.empty(len(labels), int)
    cutter = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    for number, (_, held) in enumerate(cutter.split(names, labels, names)):
        theirs[held] = number
    assert straddling(names, theirs.tolist()) == 0
    assert unevenness(labels, ours, [0.2] * 5) <= unevenness(labels, theirs, [0.2] * 5) + 0.02


@given(st.lists(st.integers(3, 9), min_size=2, max_size=5), st.integers(0, 99))
@settings(max_examples=40)
def test_groups_of_one_class_leave_no_split_without_it(many: list[int], seed: int) -> None:
    drawn = random.Random(seed)
    samples, groups = [], []
    for label, count in enumerate(many):
        for group in range(count):
            for image in range(drawn.randint(1, 6)):
                samples.append(Sample(ROOT / f"{label}/g{group}_{image}.png", label))
                groups.append(f"{label}-{group}")
    splits = cut(samples, ROOT, {"val": 0.1, "test": 0.2}, seed, groups=groups)
    assert all(set(own.labels.tolist()) == set(range(len(many))) for own in splits.values())
    home = dict(zip([sample.path for sample in samples], groups, strict=True))
    found = [{home[path] for path in own.paths} for own in splits.values()]
    assert sum(map(len, found)) == len(set(groups))
    assert sum(map(len, splits.values())) == len(samples)


def test_order_of_listing_does_not_matter_and_the_seed_does() -> None:
    labels, names = made(0, 30, 300, 3)
    paths = [ROOT / f"{number}.png" for number in range(300)]
    shuffled = random.Random(1).sample(range(300), 300)

    def split(order: Sequence[int], seed: int) -> set[str]:
        samples = [Sample(paths[n], int(labels[n])) for n in order]
        groups = [names[n] for n in order]
        chosen = cut(samples, ROOT, {"val": 0.3}, seed, groups=groups)["val"]
        return {relative_name(path, ROOT) for path in chosen.paths}

    assert split(range(300), 0) == split(shuffled, 0)
    assert len({frozenset(split(range(300), seed)) for seed in range(6)}) > 1


def test_too_few_groups_are_one_message() -> None:
    samples = [Sample(ROOT / f"{n}.png", n % 2) for n in range(20)]
    groups = [f"p{n % 2}{n // 14}" for n in range(20)]  # two groups a class
    with pytest.raises(DataError) as caught:
        cut(samples, ROOT, {"val": 0.1, "test": 0.1}, 0, names=("cat", "dog"), groups=groups)
    message = str(caught.value)
    assert "too few groups to split into train, val, test" in message
    assert "cat (2 groups, like 'p00')" in message
    assert "dog (2 groups" in message
    assert cut(samples, ROOT, {"val": 0.1}, 0, groups=groups).keys() == {"train", "val"}


@pytest.mark.parametrize("sizes", [[25, 40], [5, 5, 61]])
def test_folds_without_groups_are_as_even_as_can_be(sizes: list[int]) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    samples = [Sample(ROOT / f"{n}.png", int(label)) for n, label in enumerate(labels)]
    parts = deal_folds(samples, ROOT, 5, seed=3)
    for label in range(len(sizes)):
        own = np.bincount(parts[labels == label], minlength=5)
        assert own.max() - own.min() <= 1
    assert np.ptp(np.bincount(parts)) <= 1
    theirs = StratifiedKFold(5).split(labels, labels)
    assert sorted(len(held) for _, held in theirs) == sorted(np.bincount(parts))
    with pytest.raises(DataError, match=r"class 0 has .* too few to make 30 folds"):
        deal_folds(samples, ROOT, 30, seed=3)


def test_patients_in_names_folders_and_columns_give_the_same_splits(tmp_path: Path) -> None:
    rows = ["file,label,Patient ID"]
    for number in range(60):
        kind, patient = ("cat", "dog")[number % 2], f"patient{number // 4}"
        plant(tmp_path, f"names/{kind}/{patient}_{number}.jpg")
        plant(tmp_path, f"folders/{kind}/{patient}/{number}.jpg")
        plant(tmp_path, f"table/{number}.jpg")
        rows.append(f"table/{number}.jpg,{kind},{patient}")
    (tmp_path / "pets.csv").write_text("\n".join(rows) + "\n")
    found = {}
    for data, layout, rule in (
        ("names", None, r"name:(patient\d+)_"),
        ("folders", "class-folders", "folder"),
        ("pets.csv", None, "column:patient id"),
    ):
        dataset = read_dataset(tmp_path / data, layout=layout, group_by=rule, seed=5)
        splits = dataset.splits
        assert "(drawn by rule, 15 groups)" in dataset.describe()
        found[data] = {
            name: sorted(path.stem.rpartition("_")[2] for path in own.paths)
            for name, own in splits.items()
        }
        assert {name: len(own) for name, own in found[data].items()} == {
            "train": 48,
            "val": 4 if len(found[data]["val"]) == 4 else 8,
            "test": len(found[data]["test"]),
        }
        patients = [{int(number) // 4 for number in own} for own in found[data].values()]
        assert sum(map(len, patients)) == 15
    assert found["names"] == found["folders"] == found["pets.csv"]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("patient", "must be column:NAME"),
        ("name:", "must be column:NAME"),
        ("name:(a", "not a regular expression"),
        ("column:patient", "needs a table"),
        (r"name:(\d+)_", "12 of 12 images without a match (cat/0.jpg, cat/1.jpg, cat/2.jpg, …)"),
        ("folder", "too few groups to split into train, val, test"),
    ],
)
def test_rules_that_cannot_be_used_are_explained(rule: str, words: str, tmp_path: Path) -> None:
    plant(tmp_path, *(f"{kind}/{number}.jpg" for kind in ("cat", "dog") for number in range(6)))
    with pytest.raises(InputError) as caught:
        read_dataset(tmp_path, group_by=rule)
    assert words in str(caught.value)


def test_a_column_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    table = tmp_path / "pets.csv"
    table.write_text("file,label,patient\n" + "".join(f"{n}.jpg,{n % 2},\n" for n in range(9)))
    with pytest.raises(DataError, match=r"has no column 'pateint'.*did you mean 'patient'"):
        read_dataset(table, group_by="column:pateint")
    with pytest.raises(DataError, match="9 of 9 images with no value in that column"):
        read_dataset(table, group_by="column:patient")


def test_a_fold_is_the_test_and_all_folds_together_are_the_images(tmp_path: Path) -> None:
    plant(tmp_path, *(f"{kind}/{number}.jpg" for kind in ("cat", "dog") for number in range(20)))
    tested: list[str] = []
    for number in range(1, 5):
        dataset = read_dataset(tmp_path, fold=Fold(number, 4), seed=7)
        assert counts(dataset) == {"train": (13, 13), "val": (2, 2), "test": (5, 5)}
        assert dataset.made_by_rule
        tested += [str(path) for path in dataset.split("test").paths]
    assert len(set(tested)) == len(tested) == 40


def test_a_fold_keeps_a_validation_split_and_refuses_a_test_split(tmp_path: Path) -> None:
    plant(tmp_path, *(f"train/{k}/{n}.jpg" for k in ("cat", "dog") for n in range(9)))
    plant(tmp_path, *(f"val/{k}/{n}.jpg" for k in ("cat", "dog") for n in range(2)))
    assert counts(read_dataset(tmp_path, fold="1/3")) == {
        "train": (6, 6),
        "val": (2, 2),
        "test": (3, 3),
    }
    plant(tmp_path, "test/cat/1.jpg", "test/dog/1.jpg")
    with pytest.raises(DataError, match="has a test split of its own"):
        read_dataset(tmp_path, fold="1/3")


@pytest.mark.parametrize("text", ["0/5", "6/5", "1/1", "2", "a/b", "1/1000"])
def test_a_fold_out_of_range_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a fold must be like 2/5"):
        read_dataset(tmp_path, fold=text)


def test_a_class_that_one_part_lacks_is_found() -> None:
    labels, parts = np.array([0, 0, 1, 1, 4]), np.array([0, 1, 0, 0, 1])
    assert lacking(labels, parts, 2).tolist() == [1, 4]
