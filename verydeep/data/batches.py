"""Training batches: the crops of an epoch, in the order of its plan, ready for the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from verydeep.data.augment import (
    Augmentation,
    Crop,
    cut_batch,
    sample_generator,
    source_window,
)
from verydeep.data.crops import Draw, read_crop
from verydeep.data.drawing import AnyCrop, Drawing, Size
from verydeep.data.jpeg import quick_decoder
from verydeep.data.loading import (
    as_it_is,
    leave_signals_to_the_parent,
    own_generator,
    worker_count,
)
from verydeep.data.members import Source
from verydeep.data.plan import Indices, micro_batches, plan_epoch, steps_of_epoch
from verydeep.data.samples import Sample, Samples
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


class Batches(Protocol):
    """A training set, epoch by epoch."""

    @property
    def pictures(self) -> int:
        """Pictures in an epoch."""

    @property
    def steps(self) -> int:
        """Updates in an epoch."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[MicroBatch]:
        """Yield the micro-batches of an epoch, from the update ``start`` on."""


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
        drawing: Drawing | None = None,
        reduced: bool = True,
    ) -> None:
        self.samples = Samples.of(samples)
        self.augmentation = augmentation
        self.batch = batch
        self.micro_batch = micro_batch
        self.seed = seed
        self.store = store
        self.workers = workers
        self.balanced = balanced
        self.drawing = drawing or AnyCrop(augmentation)
        self.reduced = reduced

    @property
    def pictures(self) -> int:
        """Pictures in an epoch."""
        return len(self.samples)

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
        yield from batch_loader(
            _FromFiles(self), worker_count(self.workers, len(self.samples)), orders
        )

    def _orders(self, epoch: int, start: int) -> Iterator[_Order]:
        labels = self.samples.labels if self.balanced else None
        plan = plan_epoch(len(self.samples), self.batch, self.seed, epoch, labels)
        for step, indices in list(enumerate(plan))[start:]:
            parts = list(micro_batches(indices, self.micro_batch))
            for number, part in enumerate(parts, start=1):
                share = len(part) / len(indices)
                yield _Order(epoch, part, step, share, last=number == len(parts))


def batch_loader(
    batches: Dataset[Any], workers: int, orders: Sequence[_Order] | None = None
) -> DataLoader[Any]:
    """Return what reads batches in other processes, in order."""
    if workers:
        quick_decoder()  # once for all of them
    return DataLoader(
        batches,
        sampler=orders,
        batch_size=None,
        num_workers=workers,
        collate_fn=as_it_is,
        worker_init_fn=leave_signals_to_the_parent,
        generator=own_generator(),
        pin_memory=torch.cuda.is_available(),
    )


class Crops(NamedTuple):
    """Crops of pictures, and how they came to be.

    Attributes:
        pictures: uint8 (N, 3, h, w).
        drawn: How they were drawn, N.
        numbers: Of their pictures, N.
        originals: Height and width of their whole pictures, N.
        faults: Why others could not be read.
    """

    pictures: Tensor
    drawn: list[Crop]
    numbers: list[int]
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
        crops = self.cut(order)
        samples = [self.sample(draw) for draw in crops.numbers]
        made = micro_batch_of(crops, [sample.label for sample in samples], order.step)
        boxes = self.drawing.boxes(samples, crops.originals, crops.drawn)
        return replace(made, share=order.share, last=order.last, boxes=boxes)

    def cut(self, order: _Order) -> Crops:
        raise NotImplementedError

    def sample(self, draw: int) -> Sample:
        return self.samples[draw % len(self.samples)]

    def draw(self, order: _Order, number: int, size: Size, original: Size) -> Crop:
        generator = sample_generator(self.seed, order.epoch, number)
        return self.drawing.crop(self.sample(number), size, original, generator)


def micro_batch_of(crops: Crops, labels: Sequence[int], step: int) -> MicroBatch:
    """Return crops and the classes of their pictures as the whole of an update."""
    shifts = [crop.shift for crop in crops.drawn]
    return MicroBatch(
        pictures=crops.pictures,
        labels=torch.tensor(labels, dtype=torch.long),
        shifts=torch.tensor(shifts, dtype=torch.float32).view(-1, 3),
        step=step,
        share=1.0,
        last=True,
        unreadable=tuple(crops.faults),
    )


def cut_sources(
    sources: Sequence[tuple[int, Source]],
    side: int,
    draw: Callable[[int, int, int], Crop],
    *,
    reduced: bool = True,
) -> Crops:
    """Decode pictures and cut a crop of each; the number of a picture decides which.

    Args:
        sources: Numbers and places of the pictures.
        side: Of the crops, in pixels.
        draw: From number, height and width of a picture to what is cut from it.
        reduced: Decode large JPEGs at a reduced size; see :func:`~verydeep.data.crops.read_crop`.
    """
    batch = torch.empty(len(sources), 3, side, side, dtype=torch.uint8)
    crops = Crops(batch, [], [], [], [])
    alone = get_worker_info() is not None
    for number, source in sources:
        noted = _Noted(partial(draw, number))
        try:
            pixels, crop = read_crop(source, noted, reduced=reduced, quick=alone)
        except PictureError as error:
            crops.faults.append(str(error))
            continue
        batch[len(crops.drawn)] = pixels
        crops.drawn.append(crop)
        crops.numbers.append(number)
        crops.originals.append(noted.size)
    return crops._replace(pictures=batch[: len(crops.drawn)])


class _Noted:
    """Draws a crop, and remembers the size of the picture that it was asked with."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.size: Size = (0, 0)

    def __call__(self, height: int, width: int) -> Crop:
        self.size = (height, width)
        return self.draw(height, width)


class _FromFiles(_Maker):
    def __init__(self, batches: TrainingBatches) -> None:
        super().__init__(batches)
        self.reduced = batches.reduced

    def cut(self, order: _Order) -> Crops:
        def draw(number: int, height: int, width: int) -> Crop:
            return self.draw(order, number, (height, width), (height, width))

        sources = [(index, self.sample(index).path) for index in order.indices.tolist()]
        return cut_sources(sources, self.augmentation.size, draw, reduced=self.reduced)


class _FromStore(_Maker):
    def __init__(self, batches: TrainingBatches, store: PictureStore) -> None:
        super().__init__(batches)
        self.store = store

    def cut(self, order: _Order) -> Crops:
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
        return Crops(cut_batch(parts, sizes, crops, corners), crops, draws, originals, [])
