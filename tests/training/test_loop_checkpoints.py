"""Checkpoints of the training loop, and going on from them bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from loop_parts import (
    Heard,
    Validation,
    batches,
    make_loop,
    make_net,
)

from verydeep.training.loop import Loop


def test_a_checkpoint_is_written_within_an_epoch_when_it_is_time(tmp_path: Path) -> None:
    found = []

    def look(title: str, done: float) -> None:
        file = tmp_path / "checkpoints" / "last.pt"
        if title.startswith("epoch") and file.exists():
            position = torch.load(file, weights_only=True)["position"]
            found.append((position["epoch"], position["step"], done))

    loop = make_loop(
        tmp_path, batches=batches(4, 4), epochs=1, checkpoint_minutes=1e-9, progress=Heard(look)
    )
    loop.run()
    # Before the update `done` is reported, the one before it is safe.
    assert found == [(0, step - 1, step) for step in (2, 3, 4, 5)]


def test_otherwise_an_epoch_ends_with_one(tmp_path: Path) -> None:
    existed = []

    def look(title: str, done: float) -> None:
        existed.append((tmp_path / "checkpoints" / "last.pt").exists())

    make_loop(tmp_path, epochs=2, progress=Heard(look)).run()
    assert existed == [False] * 4 + [True] * 4


class Stop(Exception):
    """Simulated power failure."""


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("schedule", ["plateau", "one-cycle"])
def test_a_loop_goes_on_bit_for_bit(cut: int, schedule: str, tmp_path: Path) -> None:
    settings = (f"training.schedule={schedule}", "plateau.patience=1")
    losses = (1.0, 2.0, 0.5)
    whole = make_loop(
        tmp_path / "whole", *settings, net=make_net(0.5, "batch"), validate=Validation(*losses)
    )
    torch.manual_seed(1)
    whole.run()

    updates = iter(range(1, 100))

    def stop(title: str, done: float) -> None:
        if title.startswith("epoch") and next(updates) == cut:
            raise Stop

    loop = make_loop(
        tmp_path / "cut",
        *settings,
        net=make_net(0.5, "batch"),
        validate=Validation(*losses),
        checkpoint_minutes=1e-9,
        progress=Heard(stop),
    )
    torch.manual_seed(1)
    with pytest.raises(Stop):
        loop.run()
    torch.manual_seed(2)
    resumed = make_loop(tmp_path / "cut", *settings, net=make_net(0.5, "batch"))
    there = resumed.resume()
    assert there == (cut > 1)
    if not there:
        torch.manual_seed(1)
    resumed.validate = Validation(*losses[resumed.position.epoch :])
    resumed.run()
    for key, tensor in whole.net.state_dict().items():
        assert torch.equal(resumed.net.state_dict()[key], tensor), key
    for ours, theirs in zip(resumed.position.history, whole.position.history, strict=True):
        for row in (ours, theirs):
            del row["seconds"], row["images_per_second"]
        assert ours == theirs
    log = (tmp_path / "cut" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["train_loss"] for line in log] == [
        row["train_loss"] for row in whole.position.history
    ]


def ended(folder: Path, *losses: float, epochs: int) -> Loop:
    """Return a loop of a plateau schedule that has run to its end."""
    loop = make_loop(folder, *PLATEAU, validate=Validation(*losses), epochs=epochs)
    loop.run()
    return loop


PLATEAU = ("plateau.patience=3", "plateau.drops=1", "training.learning_rate=1e-6")


def test_more_epochs_after_a_ceiling_are_those_of_a_longer_training(tmp_path: Path) -> None:
    losses = (1.0, 2.0, 2.0, 2.0, 0.5, 2.0, 2.0)
    whole = ended(tmp_path / "whole", *losses, epochs=7)
    ended(tmp_path / "run", *losses, epochs=3)  # one epoch before a drop
    more = make_loop(tmp_path / "run", *PLATEAU, validate=Validation(*losses[3:]), epochs=7)
    assert more.resume(go_on=True)
    more.run()
    assert more.schedule.state() == whole.schedule.state()
    ours, theirs = (loop.position.history for loop in (more, whole))
    assert [row["learning_rate"] for row in ours] == [row["learning_rate"] for row in theirs]
    assert [row["train_loss"] for row in ours] == [row["train_loss"] for row in theirs]


def test_an_ended_loop_of_more_epochs_goes_on_without_being_told_to(tmp_path: Path) -> None:
    # The word to go on is lost if the program is killed before it has saved a checkpoint.
    first = ended(tmp_path, 1.0, epochs=9)
    assert first.position.epoch == 7  # three epochs, a drop, three epochs more
    again = make_loop(tmp_path, *PLATEAU, validate=Validation(2.0), epochs=9)
    assert again.resume()
    again.run()
    assert again.position.epoch == 7
    more = make_loop(tmp_path, *PLATEAU, validate=Validation(2.0), epochs=20)
    assert more.resume()
    more.run()
    assert more.position.epoch == 10
    assert more.position.stopped_because == first.position.stopped_because
    last = make_loop(tmp_path, *PLATEAU, validate=Validation(2.0), epochs=20)
    assert last.resume()
    last.run()
    assert last.position.epoch == 10
