"""A part of a training batch: crops with their targets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verydeep.data.pipeline.read_crop import CodedCrop


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Crops for one forward and backward pass.

    Attributes:
        pictures: Crops, uint8 (N, 3, h, w); or stored maps of a net, (N, C, h, w).
        labels: Class indices, int64 (N,).
        shifts: Factors α of the colour shift, float32 (N, 3).
        step: Index of the update within the epoch.
        images: Images planned for that update, over all processes and micro-batches.
        last: Whether this completes the update.
        unreadable: Images that were readable before but are not now: name and reason.
        boxes: Boxes relative to the crop (centre x, centre y, width, height), float32 (N, 4);
            None if they are not learned.
        draws: Draw numbers of the crops, N; draw d is of image d modulo the number of images.
        coded: Crops that are still to be decoded: their rows of ``pictures`` are empty until
            :func:`verydeep.data.pipeline.on_device.on_device` fills them.
    """

    pictures: Tensor
    labels: Tensor
    shifts: Tensor
    step: int
    images: int
    last: bool
    unreadable: tuple[str, ...] = ()
    boxes: Tensor | None = None
    draws: tuple[int, ...] = ()
    coded: tuple[CodedCrop, ...] = ()

    def pin_memory(self) -> MicroBatch:
        """Return a copy in pinned memory, for asynchronous transfer to a GPU."""
        return self._with(Tensor.pin_memory)

    def to(self, device: torch.device) -> MicroBatch:
        """Return a copy on a device."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=True))

    def _with(self, change: Callable[[Tensor], Tensor]) -> MicroBatch:
        return replace(
            self,
            pictures=change(self.pictures),
            labels=change(self.labels),
            shifts=change(self.shifts),
            boxes=None if self.boxes is None else change(self.boxes),
        )

    def without(self, places: Collection[int], faults: Sequence[str]) -> MicroBatch:
        """Return the batch without some images, which could not be read for these reasons."""
        kept = [place for place in range(len(self.labels)) if place not in places]
        index = torch.tensor(kept, device=self.labels.device).long()
        part = self._with(lambda tensor: tensor[index])
        draws = tuple(self.draws[place] for place in kept) if self.draws else ()
        return replace(part, draws=draws, unreadable=(*self.unreadable, *faults))
