"""Checkpoints: the complete state of a training run in one file."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from verydeep.errors import ModelError
from verydeep.system.files import write_atomically

FILE = "last.pt"

_CPU = torch.device("cpu")

_BROKEN = (
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    OSError,
    pickle.UnpicklingError,
)
"""Errors raised by reading a file that is not a valid checkpoint."""


@dataclass
class EpochSums:
    """Sums over the images of the current epoch.

    Attributes:
        pictures: Number of images.
        loss: Sum of their losses.
        wrong: Number of misclassified images.
        seconds: Training time.
    """

    pictures: int = 0
    loss: float = 0.0
    wrong: int = 0
    seconds: float = 0.0

    @property
    def mean_loss(self) -> float:
        """Loss per image."""
        return self.loss / max(1, self.pictures)

    @property
    def error(self) -> float:
        """Share of wrong images, in percent."""
        return 100 * self.wrong / max(1, self.pictures)

    @property
    def images_per_second(self) -> float:
        """Speed of the training."""
        return self.pictures / max(1e-9, self.seconds)


@dataclass
class Position:
    """Progress of a training run.

    Attributes:
        epoch: Number of finished epochs; index of the current one.
        step: Number of updates in the current epoch.
        sums: Sums over the current epoch.
        best: Lowest value of the watched validation metric.
        best_epoch: Epoch of that value, counted from 1.
        history: One row per epoch, as in ``log.jsonl``.
        unreadable: Names and reasons of images that failed during training.
        stopped_because: Reason for the end of training; None if unfinished.
        ended_of: Maximum number of epochs when training ended; None if unfinished.
        kept_epoch: Epoch whose model was kept, if another than the usual rule says.
    """

    epoch: int = 0
    step: int = 0
    sums: EpochSums = field(default_factory=EpochSums)
    best: float = float("inf")
    best_epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    stopped_because: str | None = None
    ended_of: int | None = None
    kept_epoch: int | None = None

    def end(self, because: str | None, epochs: int) -> None:
        """Note why a training of at most so many epochs has ended; None if it goes on."""
        self.stopped_because = because
        self.ended_of = None if because is None else epochs


def has_checkpoint(folder: Path) -> bool:
    """Return whether a folder contains a checkpoint."""
    return (folder / FILE).is_file()


def random_state(device: torch.device = _CPU) -> dict[str, Any]:
    """Return the state of torch's random generators, which dropout uses, on CPU and device."""
    cuda = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore_random_state(state: dict[str, Any], device: torch.device = _CPU) -> None:
    """Restore the state returned by :func:`random_state`."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] and device.type == "cuda":
        # Earlier versions stored the state of every GPU.
        number = (device.index or 0) if len(state["cuda"]) > 1 else 0
        torch.cuda.set_rng_state(state["cuda"][number], device)


def seed_rank(seed: int, rank: int, epoch: int) -> None:
    """Seed torch's random generators for a rank that has no state to go on from.

    Args:
        seed: Seed of the run.
        rank: Rank of this process; each has its own random numbers.
        epoch: Epoch in which it joins the run.
    """
    torch.manual_seed(int(np.random.SeedSequence((seed, rank, epoch)).generate_state(1)[0]))


def save_checkpoint(
    folder: Path,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: dict[str, Any],
    position: Position,
    others: Sequence[dict[str, Any]] = (),
) -> None:
    """Write ``last.pt`` atomically; the previous one stays until the new one is complete.

    Args:
        folder: Folder of the checkpoint.
        net: Net.
        optimizer: Its optimizer.
        schedule: State of the schedule.
        position: Progress of the run.
        others: Random states of the processes after the first.
    """
    content = {
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule,
        "position": asdict(position),
        "random": random_state(_device_of(net)),
        "random_of_others": list(others),
    }
    write_atomically(folder / FILE, lambda path: torch.save(content, path))


def load_checkpoint(
    folder: Path,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    rank: int = 0,
    seed: int = 0,
) -> tuple[dict[str, Any], Position] | None:
    """Restore net, optimizer and random state; return the schedule's state and the position.

    Args:
        folder: Folder of the checkpoint.
        net: Net.
        optimizer: Its optimizer.
        rank: Rank of this process; one that was not there before gets new random numbers.
        seed: Seed of the run, for these.

    Returns:
        None if there is no checkpoint.

    Raises:
        ModelError: The file is damaged or belongs to another net.
    """
    if not has_checkpoint(folder):
        return None
    path = folder / FILE
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        stored = content["position"]
        position = Position(**{**stored, "sums": EpochSums(**stored["sums"])})
        schedule: dict[str, Any] = content["schedule"]
        net.load_state_dict(content["net"])
        optimizer.load_state_dict(content["optimizer"])
        # Earlier versions trained in one process.
        states = [content["random"], *content.get("random_of_others", ())]
        if rank < len(states):
            restore_random_state(states[rank], _device_of(net))
        else:
            seed_rank(seed, rank, position.epoch)
    except _BROKEN as error:
        raise ModelError(f"{path}: cannot resume from this checkpoint ({error!r})") from error
    return schedule, position


def _device_of(net: nn.Module) -> torch.device:
    return next((parameter.device for parameter in net.parameters()), _CPU)
