"""Checkpoints contain the complete state; damaged ones are rejected."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from verydeep.errors import ModelError
from verydeep.training.checkpoint import (
    EpochSums,
    Position,
    has_checkpoint,
    load_checkpoint,
    random_state,
    save_checkpoint,
)

POSITION = Position(
    epoch=3,
    step=2,
    sums=EpochSums(pictures=24, loss=1 / 3, wrong=5, seconds=0.1),
    best=0.1 + 0.2,
    best_epoch=2,
    history=[{"epoch": 1, "val_loss": 0.1}, {"epoch": 2, "val_loss": float("inf")}],
    unreadable=["ä.png: broken"],
)
SCHEDULE = {"best": float("inf"), "waited": 1, "drops": 2, "ended": False}


def training(seed: int, hidden: int = 7) -> tuple[nn.Module, torch.optim.SGD]:
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(5, hidden), nn.BatchNorm1d(hidden), nn.Dropout(0.5), nn.Linear(hidden, 2)
    )
    return net, torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)


def steps(net: nn.Module, optimizer: torch.optim.SGD, count: int) -> None:
    """Take steps on random inputs with dropout, both from torch's generator."""
    net.train()
    for _ in range(count):
        optimizer.zero_grad()
        net(torch.randn(8, 5)).square().mean().backward()
        optimizer.step()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    net, optimizer = training(0)
    steps(net, optimizer, 3)
    save_checkpoint(tmp_path, net, optimizer, SCHEDULE, POSITION)
    return tmp_path


def test_training_goes_on_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    net, optimizer = training(0)
    steps(net, optimizer, 3)
    save_checkpoint(tmp_path, net, optimizer, SCHEDULE, POSITION)
    steps(net, optimizer, 3)
    other, its_optimizer = training(1)
    found = load_checkpoint(tmp_path, other, its_optimizer)
    assert found == (SCHEDULE, POSITION)
    steps(other, its_optimizer, 3)
    for key, tensor in net.state_dict().items():
        assert torch.equal(other.state_dict()[key], tensor), key
    assert torch.isfinite(other[0].weight).all()


def test_positions_share_nothing(saved: Path) -> None:
    _, first = load_checkpoint(saved, *training(0))
    _, second = load_checkpoint(saved, *training(0))
    first.history.append({})
    first.sums.pictures += 1
    assert second == POSITION
    assert dataclasses.asdict(Position()) == dataclasses.asdict(Position(history=[]))


def test_without_a_checkpoint_there_is_nothing_to_load(tmp_path: Path) -> None:
    assert not has_checkpoint(tmp_path)
    assert load_checkpoint(tmp_path / "nowhere", *training(0)) is None


def test_a_new_checkpoint_replaces_the_old_one(saved: Path) -> None:
    net, optimizer = training(3)
    save_checkpoint(saved, net, optimizer, {}, Position(epoch=9))
    assert load_checkpoint(saved, *training(0)) == ({}, Position(epoch=9))
    assert len(list(saved.iterdir())) == 1
    assert has_checkpoint(saved)


def refused(folder: Path, hidden: int = 7) -> None:
    with pytest.raises(ModelError, match=r"last\.pt: cannot resume from this checkpoint"):
        load_checkpoint(folder, *training(0, hidden))


@pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_cut_file_is_refused(share: float, saved: Path) -> None:
    content = (saved / "last.pt").read_bytes()
    (saved / "last.pt").write_bytes(content[: int(share * len(content))])
    refused(saved)


@pytest.mark.parametrize("content", [b"noise" * 100, b"\x80\x02N."])
def test_another_file_is_refused(content: bytes, saved: Path) -> None:
    (saved / "last.pt").write_bytes(content)
    refused(saved)


def test_the_checkpoint_of_another_net_is_refused(saved: Path) -> None:
    refused(saved, hidden=8)


@pytest.mark.parametrize("missing", ["net", "optimizer", "position", "random", "schedule"])
def test_an_incomplete_checkpoint_is_refused(missing: str, saved: Path) -> None:
    content = torch.load(saved / "last.pt", weights_only=True)
    del content[missing]
    torch.save(content, saved / "last.pt")
    refused(saved)


def test_a_file_that_holds_something_else_is_refused(saved: Path) -> None:
    torch.save([1, 2, 3], saved / "last.pt")
    refused(saved)


def test_a_checkpoint_from_a_stranger_executes_nothing(saved: Path, tmp_path: Path) -> None:
    trap = tmp_path / "executed"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (trap,)

    torch.save({"net": Trap()}, saved / "last.pt")
    refused(saved)
    (saved / "last.pt").write_bytes(pickle.dumps(Trap(), protocol=2))
    refused(saved)
    assert not trap.exists()


# ---- several processes ----


def drawn() -> list[float]:
    return [float(value) for value in torch.rand(3)]


def test_every_rank_goes_on_with_its_own_random_numbers(tmp_path: Path) -> None:
    net, optimizer = training(0)
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append(random_state())
    torch.manual_seed(0)
    save_checkpoint(tmp_path, net, optimizer, SCHEDULE, POSITION, states)
    for rank in range(3):
        torch.manual_seed(99)
        assert load_checkpoint(tmp_path, *training(9), rank=rank, seed=5) == (SCHEDULE, POSITION)
        found = drawn()
        torch.manual_seed(rank)
        assert found == drawn()


def test_a_new_rank_draws_numbers_of_its_own(saved: Path) -> None:
    """A checkpoint of an earlier version or of fewer processes has no state for it."""
    content = torch.load(saved / "last.pt", weights_only=True)
    del content["random_of_others"]
    torch.save(content, saved / "last.pt")
    streams = []
    for rank, seed in ((0, 5), (1, 5), (2, 5), (1, 6)):
        load_checkpoint(saved, *training(9), rank=rank, seed=seed)
        streams.append(drawn())
    torch.manual_seed(1)
    load_checkpoint(saved, *training(9), rank=1, seed=5)
    assert drawn() == streams[1]
    assert len({tuple(stream) for stream in streams}) == 4
