"""Sums of updates that are read one update late."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from loop_parts import make_loop, prepare
from torch import Tensor

from verydeep.errors import TrainingStopped
from verydeep.training import loop as loop_module
from verydeep.training.late_sums import LateSums, lag_of


def test_the_newest_stay_until_all_are_asked_for() -> None:
    late = LateSums(lag=1)
    taken = []
    for number in range(1, 4):
        late.add(number, 0.1, 10, torch.tensor([float(number), 2.0]))
        taken.append([(one.update, one.loss, one.wrong, one.images) for one in late.take()])
    assert taken == [[], [(1, 1.0, 2, 10)], [(2, 2.0, 2, 10)]]
    assert [one.update for one in late.take(whole=True)] == [3]
    assert len(late) == 0
    assert late.take() == []


def test_only_a_device_with_a_queue_is_read_late() -> None:
    assert lag_of(torch.device("cpu")) == 0
    assert lag_of(torch.device("cuda")) == 1


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Read the CPU late, too, as if it worked off a queue."""
    monkeypatch.setattr(loop_module, "lag_of", lambda device: 1)
    return iter([None])


def test_a_loop_that_looks_late_counts_all_the_same(tmp_path: Path, late: object) -> None:
    ours = make_loop(tmp_path / "late", epochs=2)
    assert ours._late.lag == 1
    rows = ours.run().history
    ours._late.lag = 0
    theirs = make_loop(tmp_path / "at once", epochs=2)
    theirs._late.lag = 0
    for row, other in zip(rows, theirs.run().history, strict=True):
        for name in ("train_loss", "train_top1_error", "val_loss"):
            assert row[name] == other[name]


@pytest.mark.parametrize("poisoned", [1, 2, 3, 4])
def test_the_message_names_the_update_and_nothing_bad_is_saved(
    poisoned: int, tmp_path: Path, late: object
) -> None:
    calls = []

    def poison(pictures: Tensor, factors: Tensor) -> Tensor:
        calls.append(len(pictures))
        x = prepare(pictures, factors)
        return x * math.nan if len(calls) == poisoned else x

    loop = make_loop(tmp_path, prepare=poison, checkpoint_minutes=1e-9)
    epoch, update = divmod(poisoned - 1, loop.batches.steps)
    with pytest.raises(TrainingStopped, match=f"epoch {epoch + 1}, update {update + 1},"):
        loop.run()
    assert (tmp_path / "checkpoints").exists() == (poisoned > 1)
    other = make_loop(tmp_path)
    assert other.resume() == (poisoned > 1)
    assert all(bool(w.isfinite().all()) for w in other.net.parameters())
    assert math.isfinite(other.position.sums.loss)
