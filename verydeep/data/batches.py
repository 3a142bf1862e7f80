"""Training batches: the crops of an epoch, in the order of its plan, ready for the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from verydeep.data.augment import (
    Augmentation,
    Crop,
    cut,
    cut_batch,
    sample_generator,
    source_window,
)
from verydeep.data.decode import decode, to_tensor
from verydeep.data.drawing import AnyCrop, Drawing, Size
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
        boxes: float32 (N, 4), where on the crops the objects are: centre x, centre y, width,
            height, relative to the crop; None if that is not to be learned.
    """

    pictures: Tensor
    labels: Tensor
    shifts: Tensor
    step: int
    share: float
    last: bool
    unreadable: tuple[str, ...] = ()
    boxes: Tensor | None = None

    def pin_memory(self) -> MicroBatch:
        """Return the same in memory that a GPU can copy from while it computes."""
        return self._with(Tensor.pin_memory)

    def to(self, device: torch.device) -> MicroBatch:
        """Return the same on a device."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=True))

    def _with(self, change: Callable[[Tensor], Tensor]) -> MicroBatch:
        return replace(
            self,
            pictures=change(self.pictures),
            labels=change(self.labels),
            shifts=change(self.shifts),
            boxes=None if self.boxes is None else change(self.boxes),
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
        drawing: How crops are drawn; None takes any.
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
        drawing: Drawing | None = None,
    ) -> None:
        self.samples = samples
        self.augmentation = augmentation
        self.batch = batch
        self.micro_batch = micro_batch
        self.seed = seed
        self.store = store
        self.workers = workers
        self.balanced = balanced
        self.drawing = drawing or AnyCrop(augmentation)

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
        loader = DataLoader(
            _FromFiles(self),
            sampler=orders,
            batch_size=None,
            num_workers=worker_count(self.workers, len(self.samples)),
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


class _Cut(NamedTuple):
    """Crops uint8 (N, 3, h, w), how and from which pictures they were drawn, and faults."""

    pictures: Tensor
    crops: list[Crop]
    draws: list[int]
    originals: list[Size]
    faults: list[str]


class _Maker(Dataset[MicroBatch]):
    """Makes the micro-batch of an order, in this process or in a worker."""

    def __init__(self, batches: TrainingBatches) -> None:
        self.samples = batches.samples
        self.augmentation = batches.augmentation
        self.drawing = batches.drawing
        self.seed = batches.seed

    def __getitem__(self, order: _Order) -> MicroBatch:
        made = self.cut(order)
        samples = [self.sample(draw) for draw in made.draws]
        shifts = [crop.shift for crop in made.crops]
        return MicroBatch(
            pictures=made.pictures,
            labels=torch.tensor([sample.label for sample in samples], dtype=torch.long),
            shifts=torch.tensor(shifts, dtype=torch.float32).view(-1, 3),
            step=order.step,
            share=order.share,
            last=order.last,
            unreadable=tuple(made.faults),
            boxes=self.drawing.boxes(samples, made.originals, made.crops),
        )

    def cut(self, order: _Order) -> _Cut:
        raise NotImplementedError

    def sample(self, draw: int) -> Sample:
        return self.samples[draw % len(self.samples)]

    def draw(self, order: _Order, number: int, size: Size, original: Size) -> Crop:
        generator = sample_generator(self.seed, order.epoch, number)
        return self.drawing.crop(self.sample(number), size, original, generator)


class _FromFiles(_Maker):
    def cut(self, order: _Order) -> _Cut:
        pictures: list[Tensor] = []
        side = self.augmentation.size
        made = _Cut(torch.empty(0, 3, side, side).byte(), [], [], [], [])
        for index in order.indices.tolist():
            try:
                picture = decode(self.sample(index).path)
            except PictureError as error:
                made.faults.append(str(error))
                continue
            size = (picture.height, picture.width)
            crop = self.draw(order, index, size, size)
            pictures.append(to_tensor(cut(picture, crop)))
            made.crops.append(crop)
            made.draws.append(index)
            made.originals.append(size)
        return made._replace(pictures=torch.stack(pictures)) if pictures else made


class _FromStore(_Maker):
    def __init__(self, batches: TrainingBatches, store: PictureStore) -> None:
        super().__init__(batches)
        self.store = store

    def cut(self, order: _Order) -> _Cut:
        draws = order.indices.tolist()
        numbers = (order.indices % len(self.samples)).tolist()
        sizes = self.store.sizes[torch.tensor(numbers)]
        originals = [(h, w) for h, w in self.store.originals[torch.tensor(numbers)].tolist()]
        crops = [
            self.draw(order, draw, (height, width), original)
            for draw, (height, width), original in zip(
                draws, sizes.tolist(), originals, strict=True
            )
        ]
        windows = [
            source_window(crop, height, width)
            for crop, (height, width) in zip(crops, sizes.tolist(), strict=True)
        ]
        corners = torch.tensor([window[:2] for window in windows])
        parts = self.store.gather(numbers, windows)
        return _Cut(cut_batch(parts, sizes, crops, corners), crops, draws, originals, [])
