"""Drawn splits: exact shares of every class, independent of the disk."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from verydeep.data.geometry import Box
from verydeep.data.samples import Sample
from verydeep.data.split import cut
from verydeep.errors import DataError

ROOT = Path("pets")
SHARES = st.sampled_from([0.0, 0.01, 0.1, 0.25, 1 / 3, 0.5])


def samples_of(counts: list[int], root: Path = ROOT) -> list[Sample]:
    return [
        Sample(root / f"class{label}" / f"{number}.jpg", label)
        for label, count in enumerate(counts)
        for number in range(count)
    ]


def names(samples: tuple[Sample, ...], root: Path = ROOT) -> list[str]:
    return [sample.path.relative_to(root).as_posix() for sample in samples]


@given(st.lists(st.integers(1, 40), min_size=2, max_size=4), SHARES, SHARES, st.integers(0, 99))
def test_every_class_gives_its_share_to_every_split(
    counts: list[int], val: float, test: float, seed: int
) -> None:
    samples = samples_of(counts)
    expected = {
        name: [max(1, round(share * count)) if share else 0 for count in counts]
        for name, share in (("val", val), ("test", test))
    }
    left = [n - v - t for n, v, t in zip(counts, *expected.values(), strict=True)]
    if min(left) < 1:
        with pytest.raises(DataError):
            cut(samples, ROOT, {"val": val, "test": test}, seed)
        return
    splits = cut(samples, ROOT, {"val": val, "test": test}, seed)
    found = {
        name: [sum(sample.label == label for sample in chosen) for label in range(len(counts))]
        for name, chosen in splits.items()
    }
    assert found == {
        name: numbers for name, numbers in {"train": left, **expected}.items() if any(numbers)
    }
    # Disjoint and complete: put together they are the samples, each once.
    together = sorted(sample.path for chosen in splits.values() for sample in chosen)
    assert together == sorted(sample.path for sample in samples)


@given(st.randoms(use_true_random=False), st.integers(0, 2**40))
@settings(max_examples=30)
def test_neither_the_order_of_listing_nor_the_place_on_disk_matters(
    shuffler: random.Random, seed: int
) -> None:
    shares = {"val": 0.2, "test": 0.3}
    elsewhere = Path("/mnt/other disk/pets")
    moved = samples_of([9, 14], elsewhere)
    shuffler.shuffle(moved)
    here = cut(samples_of([9, 14]), ROOT, shares, seed)
    there = cut(moved, elsewhere, shares, seed)
    assert {name: names(chosen) for name, chosen in here.items()} == {
        name: names(chosen, elsewhere) for name, chosen in there.items()
    }


def test_the_first_pictures_by_the_hash_of_seed_and_name_are_cut_off() -> None:
    """The split of a data set must outlive versions of this package and of everything else."""
    ordered = sorted(
        names(tuple(samples_of([20]))),
        key=lambda name: hashlib.sha256(f"7:{name}".encode()).digest(),
    )
    splits = cut(samples_of([20, 4]), ROOT, {"val": 0.1, "test": 0.2}, seed=7)
    of_first = {name: {x for x in names(s) if "class0" in x} for name, s in splits.items()}
    assert of_first == {
        "val": set(ordered[:2]),
        "test": set(ordered[2:6]),
        "train": set(ordered[6:]),
    }


def test_another_class_changes_nothing() -> None:
    alone = cut(samples_of([12, 12]), ROOT, {"val": 0.25}, seed=0)
    more = cut(samples_of([12, 12, 30]), ROOT, {"val": 0.25}, seed=0)
    assert names(alone["val"]) == [x for x in names(more["val"]) if "class2" not in x]


def test_seeds_draw_every_picture_equally_often() -> None:
    counts = dict.fromkeys(names(tuple(samples_of([10]))), 0)
    for seed in range(1500):
        for name in names(cut(samples_of([10, 5]), ROOT, {"val": 0.3}, seed)["val"]):
            if name in counts:
                counts[name] += 1
    assert sum(counts.values()) == 1500 * 3
    # Three of ten are drawn without putting back, which varies less than chi-square supposes.
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_samples_keep_their_boxes_and_lie_in_order() -> None:
    samples = [Sample(s.path, s.label, Box(0, 0, n, 1)) for n, s in enumerate(samples_of([5, 5]))]
    splits = cut(samples, ROOT, {"val": 0.4}, seed=0)
    assert set(splits["val"]) | set(splits["train"]) == set(samples)
    for chosen in splits.values():
        assert list(chosen) == sorted(chosen, key=lambda sample: (sample.label, sample.path))


def test_a_name_that_is_no_text_can_be_split() -> None:
    strange = [Sample(ROOT / os.fsdecode(b"a/\xff%d.png" % n), 0) for n in range(4)]
    splits = cut([*strange, *samples_of([0, 4])], ROOT, {"val": 0.25}, seed=0)
    assert {name: len(chosen) for name, chosen in splits.items()} == {"train": 6, "val": 2}


def test_a_class_with_too_few_pictures_is_named() -> None:
    with pytest.raises(DataError, match=r"class1 has 2 images.*train, val, test"):
        cut(samples_of([9, 2]), ROOT, {"val": 0.1, "test": 0.1}, seed=0)
    assert cut(samples_of([9, 3]), ROOT, {"val": 0.1, "test": 0.1}, seed=0)


def test_a_class_of_absolute_and_relative_paths_with_too_few_pictures_is_named() -> None:
    mixed = [Sample(Path("1.jpg"), 0), Sample(Path("/2.jpg"), 0)]
    with pytest.raises(DataError, match="memory: class cat has 2 images: too few to split"):
        cut(mixed, Path("memory"), {"val": 0.1, "test": 0.1}, seed=0, names=["cat"])


def test_a_class_with_too_few_pictures_in_nested_folders_is_named() -> None:
    nested = [Sample(ROOT / "cat" / year / "1.jpg", 0) for year in ("2020", "2021")]
    with pytest.raises(DataError, match=r"cat has 2 images"):
        cut([*nested, *samples_of([0, 9])], ROOT, {"val": 0.1, "test": 0.1}, seed=0)
