"""Everything a training needs to go on as if it had never stopped, in one file."""

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from verydeep.errors import ModelError
from verydeep.system.files import write_atomically

FILE = "last.pt"

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
"""What reading a file that is no checkpoint can raise."""


@dataclass
class EpochSums:
    """Sums over the images of the current epoch.

    Attributes:
        pictures: Images so far.
        loss: Sum of their losses.
        wrong: Those whose likeliest class was another one.
        seconds: Time spent training on them.
    """

    pictures: int = 0
    loss: float = 0.0
    wrong: int = 0
    seconds: float = 0.0


@dataclass
class Position:
    """Where a training stands.

    Attributes:
        epoch: Epochs done; number of the current one.
        step: Updates done in the current epoch.
        sums: Over the current epoch.
        best: Lowest value of the watched validation figure.
        best_epoch: Epoch in which it was reached, counted from one.
        history: A row an epoch, as in ``log.jsonl``.
        unreadable: Images that failed during training, by name and reason.
        stopped_because: Why the training is over; None while it is not.
    """

    epoch: int = 0
    step: int = 0
    sums: EpochSums = field(default_factory=EpochSums)
    best: float = float("inf")
    best_epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    stopped_because: str | None = None


def has_checkpoint(folder: Path) -> bool:
    """Return whether there is something to go on from."""
    return (folder / FILE).is_file()


def random_state() -> dict[str, Any]:
    """Return the state of torch's random generators, which dropout draws from."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore_random_state(state: dict[str, Any]) -> None:
    """Go on drawing where :func:`random_state` stood."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def save_checkpoint(
    folder: Path,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: dict[str, Any],
    position: Position,
) -> None:
    """Write ``last.pt``, whole or not at all; the one before stays until the new one is safe."""
    content = {
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule,
        "position": asdict(position),
        "random": random_state(),
    }
    write_atomically(folder / FILE, lambda path: torch.save(content, path))


def load_checkpoint(
    folder: Path, net: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Any], Position] | None:
    """Restore net, optimizer and random state; return the schedule's state and the position.

    Returns:
        None if there is no checkpoint yet.

    Raises:
        ModelError: The file is broken, or of another net.
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
        restore_random_state(content["random"])
    except _BROKEN as error:
        raise ModelError(f"{path}: cannot go on from this checkpoint ({error!r})") from error
    return schedule, position
