"""Training batches: the crops of an epoch in planned order, ready for the device."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from verydeep.data.images.fast_jpeg import quick_decoder
from verydeep.data.pipeline.augment import (
    Augmentation,
    Crop,
    cut_batch,
    sample_generator,
    source_window,
)
from verydeep.data.pipeline.crop_policy import AnyCrop, Drawing, Size
from verydeep.data.pipeline.image_cache import PictureStore
from verydeep.data.pipeline.micro_batch import MicroBatch
from verydeep.data.pipeline.read_crop import CodedCrop, read_coded, read_crop
from verydeep.data.pipeline.sampling import (
    Indices,
    micro_batches,
    plan_epoch,
    steps_of_epoch,
)
from verydeep.data.pipeline.workers import Dealt, worker_count
from verydeep.data.samples import Sample, Samples
from verydeep.errors import PictureError
from verydeep.system.workers.pool import Source, Workers

Decoding = Literal["cpu", "device"]

P = TypeVar("P", bound="MicroBatch | str")


@dataclass(frozen=True, slots=True)
class Order:
    """The draws of a micro-batch; draw d is of image d modulo the number of images.

    Attributes:
        epoch: Epoch of the run.
        indices: Draw numbers of this process.
        step: Index of the update within the epoch.
        images: Images planned for that update, over all processes and micro-batches.
        last: Whether this completes the update.
    """

    epoch: int
    indices: Indices
    step: int
    images: int
    last: bool


class Batches(Protocol):
    """A training set, epoch by epoch."""

    @property
    def pictures(self) -> int:
        """Images per epoch."""

    @property
    def steps(self) -> int:
        """Updates per epoch."""

    def epoch(self, epoch: int, start: int = 0) -> Generator[MicroBatch, None, None]:
        """Yield the micro-batches of an epoch, from the update ``start`` on."""


class TrainingBatches:
    """The training set as batches of augmented crops.

    Args:
        samples: The training set; all images must be readable.
        augmentation: Augmentation settings.
        batch: Images per update, over all processes.
        micro_batch: Images per forward pass, over all processes.
        seed: Seed of order and augmentation.
        store: The decoded images; None decodes the files in each epoch.
        workers: Decoding processes, without a store; None decides.
        balanced: Draw all classes equally often, instead of each image once.
        reduced: Decode large JPEG files at a reduced size; see
            :mod:`verydeep.data.pipeline.read_crop`.
        decode: ``cpu``, or ``device`` to leave the pixels of ordinary JPEGs to
            :mod:`verydeep.data.pipeline.on_device`; without a store.
        drawing: Crop policy; None draws crops anywhere.
        rank: Rank of this process in distributed training.
        world: Number of processes.
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
        decode: Decoding = "cpu",
        drawing: Drawing | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.samples = Samples.of(samples)
        self.augmentation = augmentation
        self.batch = batch
        self.micro_batch = micro_batch
        self.seed = seed
        self.store = store
        self.workers = workers
        self.balanced = balanced
        self.reduced = reduced
        self.decode: Decoding = decode
        self.drawing = drawing or AnyCrop(augmentation)
        self.rank, self.world = rank, world

    @property
    def pictures(self) -> int:
        """Images per epoch."""
        return len(self.samples)

    @property
    def steps(self) -> int:
        """Updates per epoch."""
        return steps_of_epoch(len(self.samples), self.batch)

    def epoch(self, epoch: int, start: int = 0) -> Generator[MicroBatch, None, None]:
        """Yield the micro-batches of an epoch, from the update ``start`` on."""
        orders = list(self._orders(epoch, start))
        if self.store is not None:
            yield from map(_FromStore(self, self.store), orders)
            return
        workers = min(worker_count(self.workers, len(self.samples)), len(orders))
        yield from read_batches(Dealt(self.from_files(), orders), workers)

    def from_files(self) -> Callable[[Order], MicroBatch]:
        """Return what makes a micro-batch from files, here or in a worker."""
        return _FromFiles(self)

    def _orders(self, epoch: int, start: int) -> Iterator[Order]:
        labels = self.samples.labels if self.balanced else None
        plan = plan_epoch(len(self.samples), self.batch, self.seed, epoch, labels)
        for step, indices in list(enumerate(plan))[start:]:
            parts = list(micro_batches(indices, self.micro_batch, self.rank, self.world))
            for number, part in enumerate(parts, start=1):
                yield Order(epoch, part, step, len(indices), last=number == len(parts))


def read_batches(
    source: Source[P],
    workers: int,
    merge: Callable[[Iterator[P]], Iterator[P]] = iter,
) -> Iterator[P]:
    """Yield the parts that workers make, one from each in turn; 0 workers: make them here.

    Args:
        source: Makes the parts.
        workers: Number of processes.
        merge: Makes one part of several consecutive ones.

    Raises:
        WorkerError: A worker was killed, or none can be started.
    """
    pinned = torch.cuda.is_available()
    if not workers:
        parts = merge(source(0, 1))
        yield from map(_pinned, parts) if pinned else parts
        return
    quick_decoder()  # once, before the workers fork
    with Workers(source, workers) as made:
        parts = merge(iter(made))
        yield from _pinned_ahead(parts, made.stop) if pinned else parts


def _pinned(part: P) -> P:
    """Return a part in pinned memory; a message is unchanged."""
    return part if isinstance(part, str) else part.pin_memory()  # type: ignore[return-value]


def _pinned_ahead(made: Iterator[P], stop: Callable[[], None]) -> Iterator[P]:
    """Fetch and pin parts in a thread while the caller works on an earlier one."""
    parts = map(_pinned, made)
    device = torch.cuda.current_device()
    pool = ThreadPoolExecutor(1, "verydeep-pin", torch.cuda.set_device, (device,))

    def fetch() -> list[P]:
        return list(islice(parts, 1))

    try:
        under_way: Future[list[P]] = pool.submit(fetch)
        while found := under_way.result():
            under_way = pool.submit(fetch)
            yield from found
    finally:
        stop()
        pool.shutdown(cancel_futures=True)


class Crops(NamedTuple):
    """Crops of images.

    Attributes:
        pictures: Pixels, uint8 (N, 3, h, w).
        crops: The choices made for each.
        draws: Draw numbers.
        originals: Sizes of the upright images.
        faults: Images that could not be read, with reasons.
        coded: Crops whose pixels are still to be decoded.
    """

    pictures: Tensor
    crops: list[Crop]
    draws: list[int]
    originals: list[Size]
    faults: list[str]
    coded: list[CodedCrop]


class _Maker:
    """Makes a micro-batch, in this process or in a worker."""

    def __init__(self, batches: TrainingBatches) -> None:
        self.samples = batches.samples
        self.augmentation = batches.augmentation
        self.drawing = batches.drawing
        self.seed = batches.seed

    def __call__(self, order: Order) -> MicroBatch:
        crops = self.cut(order)
        samples = [self.sample(draw) for draw in crops.draws]
        made = micro_batch_of(crops, samples, self.drawing, order.step)
        return replace(made, images=order.images, last=order.last, draws=tuple(crops.draws))

    def cut(self, order: Order) -> Crops:
        raise NotImplementedError

    def sample(self, draw: int) -> Sample:
        return self.samples[draw % len(self.samples)]


def micro_batch_of(
    crops: Crops, samples: Sequence[Sample], drawing: Drawing, step: int
) -> MicroBatch:
    """Return crops with their targets as a micro-batch that is a whole update."""
    return MicroBatch(
        pictures=crops.pictures,
        labels=torch.tensor([sample.label for sample in samples], dtype=torch.long),
        shifts=torch.tensor([c.shift for c in crops.crops], dtype=torch.float32).view(-1, 3),
        step=step,
        images=len(samples) + len(crops.faults),
        last=True,
        unreadable=tuple(crops.faults),
        boxes=drawing.boxes(samples, crops.originals, crops.crops),
        coded=tuple(crops.coded),
    )


def cut_sources(
    sources: Sequence[tuple[int, Sample]],
    drawing: Drawing,
    side: int,
    seed: int,
    epoch: int,
    *,
    reduced: bool = True,
    decode: Decoding = "cpu",
) -> Crops:
    """Decode images and cut one crop from each, determined by the draw number.

    Args:
        sources: Draw numbers and samples.
        drawing: Crop policy.
        side: Side of a crop in pixels.
        seed: Seed of the run.
        epoch: Epoch of the run.
        reduced: Decode large JPEGs at a reduced size; see
            :func:`~verydeep.data.pipeline.read_crop.read_crop`.
        decode: ``device`` leaves the pixels of ordinary JPEGs to be decoded.
    """
    batch = torch.zeros((len(sources), 3, side, side), dtype=torch.uint8)
    made = Crops(batch, [], [], [], [], [])
    for number, sample in sources:
        draw = _Draw(drawing, sample, sample_generator(seed, epoch, number))
        place = len(made.crops)
        try:
            coded = read_coded(sample.path, draw, place) if decode == "device" else None
            if coded is not None:
                made.coded.append(coded)
                made.crops.append(coded.crop)
            else:
                batch[place], crop = read_crop(sample.path, draw, reduced=reduced)
                made.crops.append(crop)
        except PictureError as error:
            made.faults.append(str(error))
            continue
        made.draws.append(number)
        made.originals.append(draw.size)
    return made._replace(pictures=batch[: len(made.crops)])


@dataclass
class _Draw:
    """Draws the crop of one image once its size is known."""

    drawing: Drawing
    sample: Sample
    generator: np.random.Generator
    size: Size = (0, 0)

    def __call__(self, height: int, width: int) -> Crop:
        self.size = (height, width)
        return self.drawing.crop(self.sample, self.size, self.size, self.generator)


class _FromFiles(_Maker):
    def __init__(self, batches: TrainingBatches) -> None:
        super().__init__(batches)
        self.reduced = batches.reduced
        self.decode = batches.decode

    def cut(self, order: Order) -> Crops:
        sources = [(draw, self.sample(draw)) for draw in order.indices.tolist()]
        side = self.augmentation.size
        return cut_sources(
            sources,
            self.drawing,
            side,
            self.seed,
            order.epoch,
            reduced=self.reduced,
            decode=self.decode,
        )


class _FromStore(_Maker):
    def __init__(self, batches: TrainingBatches, store: PictureStore) -> None:
        super().__init__(batches)
        self.store = store

    def cut(self, order: Order) -> Crops:
        draws = order.indices.tolist()
        if not draws:  # the update has fewer images than there are processes
            side = self.augmentation.size
            return Crops(self.store.block.new_empty((0, 3, side, side)), [], [], [], [], [])
        numbers = (order.indices % len(self.samples)).tolist()
        sizes = self.store.sizes[torch.tensor(numbers)]
        originals = [(h, w) for h, w in self.store.originals[torch.tensor(numbers)].tolist()]
        crops = [
            self.drawing.crop(
                self.sample(draw),
                (height, width),
                original,
                sample_generator(self.seed, order.epoch, draw),
            )
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
        return Crops(cut_batch(parts, sizes, crops, corners), crops, draws, originals, [], [])
