"""Balanced draws: equal numbers per class and per image, no duplicate draws."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from progresses import Listening
from sklearn.utils.class_weight import compute_class_weight
from tiny import COLOURS, recipe, write_class_folders
from torch.nn import functional as F

import verydeep
from verydeep.data.pipeline.augment import Augmentation
from verydeep.data.pipeline.balance import balanced_draws, class_weights
from verydeep.data.pipeline.batches import TrainingBatches
from verydeep.data.pipeline.micro_batch import MicroBatch
from verydeep.data.pipeline.sampling import plan_epoch
from verydeep.data.read import read_dataset
from verydeep.training.objective import Classification

some_labels = st.lists(st.integers(0, 4), min_size=1, max_size=60)


@given(labels=some_labels)
def test_weights_are_those_of_scikit_learn(labels: list[int]) -> None:
    present = np.unique(labels)
    theirs = compute_class_weight("balanced", classes=present, y=labels)
    ours = np.array(class_weights(labels, 5))[present] * 5 / len(present)
    np.testing.assert_allclose(ours, theirs)


@given(labels=some_labels, seed=st.integers(0, 5))
def test_draws_are_those_of_one_class_after_the_other(labels: list[int], seed: int) -> None:
    generator, truth = np.random.default_rng(seed), np.array(labels)
    present = sorted(set(labels))
    quota = dict.fromkeys(present, len(labels) // len(present))
    for more in generator.permutation(len(present))[: len(labels) % len(present)]:
        quota[present[more]] += 1
    expected: list[int] = []
    for label in present:
        mine = np.array([place for place, one in enumerate(labels) if one == label])
        rounds = -(-quota[label] // len(mine))
        each = [generator.permutation(mine) + len(truth) * t for t in range(rounds)]
        expected += [number for one in each for number in one.tolist()][: quota[label]]
    assert balanced_draws(labels, np.random.default_rng(seed)).tolist() == expected


def test_weights_average_to_one_over_the_pictures() -> None:
    labels = [0] * 7 + [1] * 2 + [2]
    weights = class_weights(labels, 3)
    assert np.mean([weights[label] for label in labels]) == pytest.approx(1)


@given(labels=some_labels, seed=st.integers(0, 9))
def test_classes_and_the_pictures_of_a_class_are_drawn_as_often_up_to_one(
    labels: list[int], seed: int
) -> None:
    draws = balanced_draws(labels, np.random.default_rng(seed))
    count = len(labels)
    assert len(draws) == len(set(draws.tolist())) == count
    pictures = Counter((draws % count).tolist())
    by_class = Counter(labels[picture] for picture in (draws % count).tolist())
    assert max(by_class.values()) - min(by_class[k] for k in set(labels)) <= 1
    for label in set(labels):
        times = [pictures[p] for p in range(count) if labels[p] == label]
        assert max(times) - min(times) <= 1


@given(labels=some_labels, seed=st.integers(0, 9), epoch=st.integers(0, 3))
def test_a_balanced_epoch_is_shuffled_and_repeatable(
    labels: list[int], seed: int, epoch: int
) -> None:
    once, again = (np.concatenate(plan_epoch(len(labels), 7, seed, epoch, labels)) for _ in "ab")
    assert once.tolist() == again.tolist()
    assert len(once) == len(labels)


@pytest.fixture
def unequal(tmp_path: Path) -> Path:
    """A folder with twelve images of one class and three of each other."""
    root = write_class_folders(tmp_path / "data" / "train", 12)
    write_class_folders(tmp_path / "data" / "val", 3, seed=1)
    for name in [*COLOURS][1:]:
        for path in sorted((root / name).iterdir())[3:]:
            path.unlink()
    return tmp_path / "data"


def test_repeated_pictures_are_cut_differently(unequal: Path) -> None:
    samples = read_dataset(unequal).split("train")
    batches = TrainingBatches(
        samples,
        Augmentation(size=32, scale=(32, 40)),
        batch=18,
        micro_batch=18,
        seed=0,
        workers=0,
        balanced=True,
    )
    (part,) = batches.epoch(0)
    assert Counter(part.labels.tolist()) == {0: 6, 1: 6, 2: 6}
    crops = {picture.numpy().tobytes() for picture in part.pictures}
    assert len(crops) == 18


@pytest.mark.parametrize("cache", ["none", "ram"])
def test_files_and_memory_agree_on_a_balanced_epoch(cache: str, unequal: Path) -> None:
    chosen = recipe("data.balance=sampling", f"data.cache={cache}", "training.epochs=1")
    out = unequal.parent / cache
    heard = Listening()
    metrics = verydeep.train(unequal, chosen, out, progress=heard)
    assert metrics["images"] == 9
    assert any("from 3 to 12 training images: every class is drawn" in line for line in heard.lines)


def test_a_weighted_loss_is_the_mean_of_weighted_losses(unequal: Path) -> None:
    objective = Classification(3, 0.1, torch.tensor([0.5, 2.0, 2.0]))
    scores, labels = torch.randn(10, 3).double(), torch.tensor([0, 0, 1, 2, 0, 0, 1, 0, 0, 2])
    each = [
        F.cross_entropy(s[None], y[None], label_smoothing=0.1).item() * [0.5, 2, 2][y]
        for s, y in zip(scores, labels, strict=True)
    ]
    part = MicroBatch(torch.empty(10), labels, torch.empty(10), step=0, images=10, last=True)
    assert objective.losses(scores, part).mean().item() == pytest.approx(np.mean(each))


def test_weights_train(unequal: Path) -> None:
    plain = verydeep.train(unequal, recipe("training.epochs=1"), unequal.parent / "plain")
    weighted = verydeep.train(
        unequal, recipe("data.balance=weights", "training.epochs=1"), unequal.parent / "weighted"
    )
    assert plain["loss"] != weighted["loss"]
