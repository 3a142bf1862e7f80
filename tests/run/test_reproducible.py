"""Whole runs repeated: the same seed gives the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny import recipe
from whole_runs import QUICK, log, weights

from verydeep import train


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    pictures: Path, tmp_path: Path
) -> None:
    for name, seed in {"a": 1, "b": 1, "c": 2}.items():
        torch.manual_seed(len(name) + seed)  # what others draw must not matter
        torch.rand(len(str(tmp_path)) + ord(name))
        train(pictures, recipe(*QUICK, f"training.seed={seed}"), tmp_path / name)
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert a == b
    assert a != c
    assert [row["train_loss"] for row in log(tmp_path / "a")] == [
        row["train_loss"] for row in log(tmp_path / "b")
    ]


@pytest.mark.parametrize(
    ("switch", "random"),
    [
        ("net.dropout=0", False),
        ("data.crop=random", True),
        ("data.flip=true", True),
        ("data.colour_shift=0.1", True),
        ("data.train_scale=[32, 48]", True),
    ],
)
def test_the_seed_is_that_of_the_augmentation_which_can_be_switched_off(
    switch: str, random: bool, trained_run: Path, pictures: Path, tmp_path: Path
) -> None:
    """All runs begin with the same net and show it all images in one update."""
    settings = (
        *("net.norm=batch", "net.dropout=0", "training.batch=24", "training.micro_batch=24"),
        *("data.train_scale=40", "data.crop=center", "data.flip=false", "data.colour_shift=null"),
        *(f"initialize.source={trained_run}", "initialize.layers=all", switch),
    )
    losses = []
    for seed in (1, 2):
        out = tmp_path / str(seed)
        train(pictures, recipe(*QUICK, *settings, f"training.seed={seed}"), out)
        losses.append(log(out)[0]["train_loss"])
    assert (losses[0] != pytest.approx(losses[1], rel=1e-5)) == random


def test_training_leaves_the_callers_random_numbers_alone(pictures: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    train(pictures, recipe(*QUICK), tmp_path / "run")
    assert torch.equal(torch.rand(3), wanted)


def test_workers_do_not_change_a_run_and_caches_only_round(pictures: Path, tmp_path: Path) -> None:
    names = ("data.workers=0", "data.workers=2", "data.cache=ram", "data.cache=device")
    for name in names:
        train(pictures, recipe(*QUICK, name), tmp_path / name)
    files, workers, ram, device = (tmp_path / name for name in names)
    assert weights(files) == weights(workers)
    losses = [log(run)[0]["train_loss"] for run in (files, ram, device)]
    assert losses == pytest.approx([losses[0]] * 3, abs=0.01)


def test_large_jpegs_are_decoded_at_a_reduced_size_if_wanted(
    photographs: list[Image.Image], tmp_path: Path
) -> None:
    for number, photograph in enumerate(photographs * 2):
        for split in ("train", "val"):
            folder = tmp_path / "data" / split / f"{number % 2}"
            folder.mkdir(parents=True, exist_ok=True)
            photograph.rotate(90 * (number // 2)).save(folder / f"{number}.jpg")
    found = []
    for wanted in ("true", "false", "false"):
        out = tmp_path / f"{len(found)}"
        train(tmp_path / "data", recipe(*QUICK, f"data.reduced_decoding={wanted}"), out)
        found.append(weights(out))
    assert found[1] == found[2]
    assert found[0] != found[1]
