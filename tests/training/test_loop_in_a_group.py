"""The training loop in several processes: images that fail, and the loop's own figures."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from groups import together
from loop_parts import Heard, Validation, make_loop, weights
from PIL import Image

from verydeep.data.pipeline.augment import Augmentation
from verydeep.data.pipeline.batches import TrainingBatches
from verydeep.data.samples import Sample
from verydeep.errors import DataError
from verydeep.system.group.distributed import Group, joined
from verydeep.training.loop import Loop

COUNT = 14


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of images, three of which cannot be read."""
    generator = np.random.default_rng(0)
    for number in range(COUNT):
        pixels = generator.integers(0, 256, (40, 40, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number:02}.png")
    for number in (3, 4, 11):
        (tmp_path / f"{number:02}.png").write_bytes(b"no image")
    return tmp_path


def loop_of(folder: Path, group: Group, limit: float = 1.0) -> Loop:
    batches = TrainingBatches(
        [Sample(folder / f"{number:02}.png", number % 3) for number in range(COUNT)],
        Augmentation(size=32, scale=(32, 40)),
        batch=5,
        micro_batch=3,
        seed=0,
        workers=0,
        rank=group.rank,
        world=group.size,
    )
    return make_loop(
        folder / f"run-{group.size}",
        batches=batches,
        group=group,
        epochs=2,
        unreadable_limit=limit,
        validate=Validation(1.0, 1.0 + group.rank),  # rank 0 alone decides
    )


def train_in(folder: str) -> Any:
    with joined() as group:
        loop = loop_of(Path(folder), group)
        position = loop.run()
        rows = [
            {key: value for key, value in row.items() if "seconds" not in key and "per" not in key}
            for row in position.history
        ]
        return [sorted(position.unreadable), rows, weights(loop.net).tolist(), position.unreadable]


@pytest.mark.parametrize("size", [2, 3])
def test_images_that_fail_are_left_out_whoever_reads_them(size: int, folder: Path) -> None:
    names, rows, alone, _ = train_in(str(folder))
    assert len(names) == 3
    assert [row["val_loss"] for row in rows] == [1.0, 1.0]
    ranks = together(partial(train_in, str(folder)), size, folder)
    for found, its_rows, its_weights, its_order in ranks:
        assert found == names
        assert its_order == ranks[0][3]
        assert its_weights == ranks[0][2]
        for row, other in zip(its_rows, rows, strict=True):
            assert row == pytest.approx(other, rel=1e-5)
        moved = torch.tensor(its_weights) - torch.tensor(alone)
        assert moved.norm() < 1e-5 * torch.tensor(alone).norm()


def fail_in(folder: str) -> Any:
    with joined() as group:
        with pytest.raises(DataError) as error:
            loop_of(Path(folder), group, limit=0.1).run()
        return str(error.value)


def test_too_many_of_them_end_all_ranks_alike(folder: Path) -> None:
    first, second = together(partial(fail_in, str(folder)), 2, folder)
    assert first == second
    assert "unreadable" in first or "cannot be read" in first


# ---- stopped within an epoch ----


class Cut(Exception):
    """Stands for a power cut."""


def cut_in(folder: str) -> Any:
    """Train in a group, with a checkpoint after every update, until the lights go out."""
    updates = iter(range(1, 100))

    def cut(title: str, done: float) -> None:
        if title.startswith("epoch") and next(updates) == 5:  # of 3 in an epoch
            raise Cut

    with joined() as group:
        loop = loop_of(Path(folder), group)
        loop.checkpoint_minutes, loop.progress = 1e-9, Heard(cut)
        with pytest.raises(Cut):
            loop.run()
        return loop.position.step


def test_an_epoch_begun_by_two_is_ended_by_one(folder: Path) -> None:
    _, rows, alone, _ = train_in(str(folder))
    assert together(partial(cut_in, str(folder)), 2, folder) == [2, 2]
    loop = loop_of(folder, Group())
    loop.folder = folder / "run-2"
    assert loop.resume()
    assert (loop.position.epoch, loop.position.step) == (1, 1)
    position = loop.run()
    for row, other in zip(position.history, rows, strict=True):
        for name in ("train_loss", "train_top1_error", "learning_rate", "epoch"):
            assert row[name] == pytest.approx(other[name], rel=1e-5)
    moved = weights(loop.net) - torch.tensor(alone)
    assert moved.norm() < 1e-5 * torch.tensor(alone).norm()
