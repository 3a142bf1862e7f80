"""Training batches: the crops of an epoch, in the order of its plan, ready for the device."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from verydeep.data.augment import (
    Augmentation,
    Crop,
    cut_batch,
    draw_crop,
    sample_generator,
    source_window,
)
from verydeep.data.crops import read_crop
from verydeep.data.jpeg import quick_decoder
from verydeep.data.loading import (
    as_it_is,
    leave_signals_to_the_parent,
    own_generator,
    worker_count,
)
from verydeep.data.plan import Indices, micro_batches, plan_epoch, steps_of_epoch
from verydeep.data.samples import Sample
from verydeep.data.store import PictureStore
from verydeep.errors import PictureError


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Crops that go through the net at once.

    Attributes:
        pictures: uint8 (N, 3, h, w).
        labels: int64 (N,).
        shifts: float32 (N, 3), factors α of the colour shift.
        step: Number of the update within the epoch that they belong to.
        share: Their share of that update's pictures.
        last: Whether the update is complete with them.
        unreadable: Pictures that could be read once, but not now: name and reason.
    """

    pictures: Tensor
    labels: Tensor
    shifts: Tensor
    step: int
    share: float
    last: bool
    unreadable: tuple[str, ...] = ()

    def pin_memory(self) -> MicroBatch:
        """Return the same in memory that a GPU can copy from while it computes."""
        return replace(
            self,
            pictures=self.pictures.pin_memory(),
            labels=self.labels.pin_memory(),
            shifts=self.shifts.pin_memory(),
        )


@dataclass(frozen=True, slots=True)
class _Order:
    """Which draws a micro-batch is made of; draw d is of picture d modulo their number."""

    epoch: int
    indices: Indices
    step: int
    share: float
    last: bool


class TrainingBatches:
    """The training set as batches of augmented crops.

    Args:
        samples: The training set; every picture can be read.
        augmentation: What may happen to a picture.
        batch: Pictures an update.
        micro_batch: Pictures at once.
        seed: Of the order and the augmentation.
        store: The decoded pictures; None decodes the files, each epoch anew.
        workers: Decoding processes, without a store; None decides.
        balanced: Draw every class as often as any other, instead of every picture once.
        reduced: Decode large JPEG files at a reduced size; see :mod:`verydeep.data.crops`.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        augmentation: Augmentation,
        *,
        batch: int,
        micro_batch: int,
        seed: int,
        store: PictureStore | None = None,
        workers: int | None = None,
        balanced: bool = False,
        reduced: bool = True,
    ) -> None:
        self.samples = samples
        self.augmentation = augmentation
        self.batch = batch
        self.micro_batch = micro_batch
        self.seed = seed
        self.store = store
        self.workers = workers
        self.balanced = balanced
        self.reduced = reduced

    @property
    def steps(self) -> int:
        """Updates in an epoch."""
        return steps_of_epoch(len(self.samples), self.batch)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[MicroBatch]:
        """Yield the micro-batches of an epoch, from the update ``start`` on."""
        orders = list(self._orders(epoch, start))
        if self.store is not None:
            maker = _FromStore(self, self.store)
            yield from (maker[order] for order in orders)
            return
        workers = worker_count(self.workers, len(self.samples))
        if workers:
            quick_decoder()  # once for all of them
        loader = DataLoader(
            _FromFiles(self),
            sampler=orders,
            batch_size=None,
            num_workers=workers,
            collate_fn=as_it_is,
            worker_init_fn=leave_signals_to_the_parent,
            generator=own_generator(),
            pin_memory=torch.cuda.is_available(),
        )
        yield from loader

    def _orders(self, epoch: int, start: int) -> Iterator[_Order]:
        labels = [sample.label for sample in self.samples] if self.balanced else None
        plan = plan_epoch(len(self.samples), self.batch, self.seed, epoch, labels)
        for step, indices in list(enumerate(plan))[start:]:
            parts = list(micro_batches(indices, self.micro_batch))
            for number, part in enumerate(parts, start=1):
                share = len(part) / len(indices)
                yield _Order(epoch, part, step, share, last=number == len(parts))


_Crops = tuple[Tensor, list[Crop], list[int], list[str]]
"""Crops uint8 (N, 3, h, w), how they were drawn, the numbers of their pictures, and faults."""


class _Maker(Dataset[MicroBatch]):
    """Makes the micro-batch of an order, in this process or in a worker."""

    def __init__(self, batches: TrainingBatches) -> None:
        self.samples = batches.samples
        self.augmentation = batches.augmentation
        self.seed = batches.seed

    def __getitem__(self, order: _Order) -> MicroBatch:
        pictures, crops, good, faults = self.cut(order)
        return MicroBatch(
            pictures=pictures,
            labels=torch.tensor([self.sample(draw).label for draw in good], dtype=torch.long),
            shifts=torch.tensor([crop.shift for crop in crops], dtype=torch.float32).view(-1, 3),
            step=order.step,
            share=order.share,
            last=order.last,
            unreadable=tuple(faults),
        )

    def cut(self, order: _Order) -> _Crops:
        raise NotImplementedError

    def sample(self, draw: int) -> Sample:
        return self.samples[draw % len(self.samples)]

    def draw(self, order: _Order, number: int, height: int, width: int) -> Crop:
        generator = sample_generator(self.seed, order.epoch, number)
        return draw_crop(self.augmentation, height, width, generator)


class _FromFiles(_Maker):
    def __init__(self, batches: TrainingBatches) -> None:
        super().__init__(batches)
        self.reduced = batches.reduced

    def cut(self, order: _Order) -> _Crops:
        side = self.augmentation.size
        alone = get_worker_info() is not None
        batch = _room((len(order.indices), 3, side, side), shared=alone)
        crops: list[Crop] = []
        good, faults = [], []
        for index in order.indices.tolist():
            draw, path = partial(self.draw, order, index), self.sample(index).path
            try:
                pixels, crop = read_crop(path, draw, reduced=self.reduced, quick=alone)
            except PictureError as error:
                faults.append(str(error))
                continue
            batch[len(crops)] = pixels
            crops.append(crop)
            good.append(index)
        return batch[: len(crops)], crops, good, faults


def _room(shape: tuple[int, ...], *, shared: bool) -> Tensor:
    """Return an uint8 tensor to be filled; a shared one goes to another process without a copy."""
    if not shared:
        return torch.empty(shape, dtype=torch.uint8)
    # As torch's own way of making a batch does; share_memory_() would copy.
    storage = torch.UntypedStorage._new_shared(math.prod(shape))  # type: ignore[no-untyped-call]
    return torch.empty(0, dtype=torch.uint8).set_(storage).view(shape)


class _FromStore(_Maker):
    def __init__(self, batches: TrainingBatches, store: PictureStore) -> None:
        super().__init__(batches)
        self.store = store

    def cut(self, order: _Order) -> _Crops:
        draws = order.indices.tolist()
        numbers = (order.indices % len(self.samples)).tolist()
        sizes = self.store.sizes[torch.tensor(numbers)]
        crops = [
            self.draw(order, draw, height, width)
            for draw, (height, width) in zip(draws, sizes.tolist(), strict=True)
        ]
        windows = [
            source_window(crop, height, width)
            for crop, (height, width) in zip(crops, sizes.tolist(), strict=True)
        ]
        corners = torch.tensor([window[:2] for window in windows])
        parts = self.store.gather(numbers, windows)
        return cut_batch(parts, sizes, crops, corners), crops, draws, []
