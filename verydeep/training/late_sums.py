"""Loss and errors of updates, read from the device without waiting for it.

A GPU works off a queue. Reading the loss of the newest update would wait until the queue is empty,
and the device would then wait for new work. So that of the update before is read.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class UpdateSums:
    """Sums over the images that one process has added to an update.

    Attributes:
        update: Number of the update in its epoch, from 1.
        rate: Its learning rate.
        images: Number of images.
        loss: Sum of their losses.
        wrong: Number of misclassified images.
    """

    update: int
    rate: float
    images: int
    loss: float
    wrong: int


@dataclass(frozen=True, slots=True)
class _Pending:
    update: int
    rate: float
    images: int
    values: Tensor
    copied: Any


class LateSums:
    """The sums of recent updates, in order.

    Args:
        lag: Updates that stay on the device when a new one is added.
    """

    def __init__(self, lag: int) -> None:
        self.lag = lag
        self._pending: deque[_Pending] = deque()

    def add(self, update: int, rate: float, images: int, values: Tensor) -> None:
        """Add an update.

        Args:
            update: Its number.
            rate: Its learning rate.
            images: Number of images.
            values: Sum of their losses and number of misclassified ones, float32 (2,).
        """
        copied = None
        if values.device.type == "cuda":
            host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            host.copy_(values, non_blocking=True)
            values, copied = host, torch.cuda.Event()  # type: ignore[no-untyped-call]
            copied.record()
        self._pending.append(_Pending(update, rate, images, values, copied))

    def take(self, *, whole: bool = False) -> list[UpdateSums]:
        """Return the sums that have not been taken yet, without the last ``lag`` or all."""
        lag = 0 if whole else self.lag
        return [self._read(self._pending.popleft()) for _ in range(len(self._pending) - lag)]

    def __len__(self) -> int:
        """Return the number of updates that have not been taken."""
        return len(self._pending)

    def _read(self, one: _Pending) -> UpdateSums:
        if one.copied is not None:
            one.copied.synchronize()
        loss, wrong = one.values.tolist()
        return UpdateSums(one.update, one.rate, one.images, loss, round(wrong))


def lag_of(device: torch.device) -> int:
    """Return the number of updates by which a device's sums are read late."""
    return 0 if device.type == "cpu" else 1
