"""Checks that stop a training before anything useless is saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from verydeep.errors import TrainingStopped
from verydeep.system.group.distributed import Group
from verydeep.training.checkpoint import has_checkpoint
from verydeep.training.remedies import Remedies
from verydeep.training.same_weights import find_difference
from verydeep.training.schedule import Schedule


@dataclass(frozen=True)
class Moment:
    """A point of a training, for messages.

    Attributes:
        epoch: Epoch, from 1.
        update: Update in it, from 1.
        rate: Learning rate.
    """

    epoch: int
    update: int
    rate: float

    def __str__(self) -> str:
        return f"epoch {self.epoch}, update {self.update}, at a learning rate of {self.rate:g}"


@dataclass(frozen=True)
class Health:
    """Checks of a net in training.

    Attributes:
        net: The net.
        schedule: Learning-rate schedule.
        group: Processes that train the net together.
        checkpoints: Folder of the checkpoints.
        remedies: Available remedies.
    """

    net: nn.Module
    schedule: Schedule
    group: Group
    checkpoints: Path
    remedies: Remedies

    def not_finite(self, what: str, when: Moment) -> TrainingStopped:
        """Return the error for a number that is not finite."""
        remedy = self.remedies.when_not_finite(self.schedule.highest)
        return TrainingStopped(f"{what} in {when}. {self._kept}. {remedy}")

    def check_weights(self, when: Moment) -> None:
        """Raise a TrainingStopped if an update has made weights infinite."""
        # Squares, as in the L2 penalty: they also overflow for huge finite weights.
        squares = [weight.detach().square().sum() for weight in self.net.parameters()]
        if not bool(torch.stack(squares).isfinite().all()):
            raise self.not_finite("the weights became infinite", when)

    def check_same(self, when: Moment) -> None:
        """Raise a TrainingStopped if the processes no longer train the same net."""
        difference = find_difference(self.group, self.net, self.schedule.state())
        if difference is not None:
            raise TrainingStopped(
                f"the processes no longer train the same net in {when}: {difference}. "
                f"{self._kept}. All machines need the same software; if they have it, test "
                "their memory"
            )

    @property
    def _kept(self) -> str:
        if has_checkpoint(self.checkpoints):
            return f"The last good checkpoint is kept in {self.checkpoints}"
        return "There is no checkpoint yet"
