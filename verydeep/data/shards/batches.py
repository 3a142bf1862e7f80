"""Training batches from a stream: every sample once per epoch, for any number of readers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch

from verydeep.data.pipeline.augment import Augmentation
from verydeep.data.pipeline.batches import Decoding, cut_sources, micro_batch_of, read_batches
from verydeep.data.pipeline.crop_policy import AnyCrop
from verydeep.data.pipeline.micro_batch import MicroBatch
from verydeep.data.pipeline.read_crop import CodedCrop
from verydeep.data.pipeline.sampling import steps_of_epoch
from verydeep.data.pipeline.workers import worker_count
from verydeep.data.samples import Sample
from verydeep.data.shards.sampling import given, given_before, stretch
from verydeep.data.shards.stream import Held, ShardStream
from verydeep.errors import DataError, VeryDeepError


class Turn(NamedTuple):
    """The part of a process in the work of a reader.

    Attributes:
        reader: Index of the reader.
        place: Index of the process among those that share the reader.
        sharers: Number of processes that share it; each decodes its slice of every micro-batch.
    """

    reader: int
    place: int = 0
    sharers: int = 1


def turns_of(readers: int, rank: int, world: int) -> list[Turn]:
    """Return the readers of a process.

    With more processes than readers, several read the same samples, and each decodes a part.

    >>> [turn.reader for turn in turns_of(5, 0, 2)], turns_of(2, 2, 3)
    ([0, 2, 4], [Turn(reader=0, place=1, sharers=2)])
    """
    if world <= readers:
        return [Turn(reader) for reader in range(rank, readers, world)]
    reader = rank % readers
    return [Turn(reader, rank // readers, len(range(reader, world, readers)))]


@dataclass(frozen=True)
class StreamBatches:
    """Batches of augmented crops from shards that are read once per epoch.

    Every update, and every micro-batch of it, takes equally many images, up to one, from each
    reader. So the batches depend on the number of readers, and not on that of the processes among
    which the readers are shared out.

    Attributes:
        stream: The training set.
        augmentation: Augmentation settings.
        batch: Images per update, over all processes.
        micro_batch: Images per forward pass, over all processes.
        seed: Seed of order and augmentation.
        buffer: Size of each reader's shuffle buffer.
        workers: Reading processes of all ranks together, each with one reader; 0 is one reader
            without a process of its own. None decides.
        reduced: Decode large JPEGs at a reduced size.
        decode: As for :class:`~verydeep.data.pipeline.batches.TrainingBatches`.
        rank: Rank of this process in distributed training.
        world: Number of processes.
    """

    stream: ShardStream
    augmentation: Augmentation
    batch: int
    micro_batch: int
    seed: int
    buffer: int = 1000
    workers: int | None = None
    reduced: bool = True
    decode: Decoding = "cpu"
    rank: int = 0
    world: int = 1

    @property
    def pictures(self) -> int:
        """Images per epoch."""
        return len(self.stream)

    @property
    def steps(self) -> int:
        """Updates per epoch."""
        return steps_of_epoch(self.pictures, self.batch)

    @property
    def parts(self) -> int:
        """Micro-batches per update."""
        largest = math.ceil(self.pictures / self.steps)
        return max(1, math.ceil(largest / self.micro_batch))

    @property
    def processes(self) -> int:
        """Reading processes of all ranks together; 0 reads in the ranks themselves."""
        # A given number holds on every machine, as the order depends on it.
        return all_readers(self.pictures, self.world) if self.workers is None else self.workers

    @property
    def readers(self) -> int:
        """Number of readers."""
        return max(1, self.processes)

    @property
    def turns(self) -> list[Turn]:
        """Readers of this rank."""
        return turns_of(self.readers, self.rank, self.world)

    def epoch(self, epoch: int, start: int = 0) -> Generator[MicroBatch, None, None]:
        """Yield this rank's slices of the micro-batches of an epoch, from the update ``start`` on.

        Raises:
            DataError: A shard cannot be read.
        """
        own = len(self.turns)
        workers = own if self.processes else 0
        reading = Reading(self, epoch, start)
        for part in read_batches(reading, workers, lambda parts: merged(parts, own)):
            if isinstance(part, str):
                raise DataError(part)
            yield part


def all_readers(pictures: int, world: int) -> int:
    """Return the number of reading processes of all ranks that suits this machine."""
    return worker_count(None, pictures) * world


def merged(parts: Iterator[MicroBatch | str], count: int) -> Iterator[MicroBatch | str]:
    """Yield one part for the parts of every ``count`` readers; a message ends them."""
    while several := list(islice(parts, count)):
        messages = [part for part in several if isinstance(part, str)]
        whole = [part for part in several if not isinstance(part, str)]
        yield messages[0] if messages else _merge(whole)


def _merge(parts: list[MicroBatch]) -> MicroBatch:
    if len(parts) == 1:
        return parts[0]
    return dataclasses.replace(
        parts[0],
        pictures=torch.cat([part.pictures for part in parts]),
        labels=torch.cat([part.labels for part in parts]),
        shifts=torch.cat([part.shifts for part in parts]),
        unreadable=tuple(fault for part in parts for fault in part.unreadable),
        coded=tuple(_moved_on(parts)),
    )


def _moved_on(parts: list[MicroBatch]) -> Iterator[CodedCrop]:
    """Yield the crops that are still to be decoded, with their places in the whole."""
    before = 0
    for part in parts:
        for crop in part.coded:
            yield dataclasses.replace(crop, place=before + crop.place)
        before += len(part.labels)


@dataclass
class Reading:
    """One pass of a rank's readers; a fault ends it and is yielded as text."""

    batches: StreamBatches
    epoch: int
    start: int

    def __call__(self, worker: int, workers: int) -> Iterator[MicroBatch | str]:
        """Yield the slices of one of this rank's readers."""
        try:
            yield from self.slices(self.batches.turns[worker])
        except VeryDeepError as error:
            yield str(error)
        except OSError as error:
            yield f"{error.filename or 'a shard'}: {error.strerror or error}"

    def slices(self, turn: Turn) -> Iterator[MicroBatch]:
        """Yield what one process decodes of a reader's samples, or raise."""
        batches = self.batches
        total, readers, parts = batches.pictures, batches.readers, batches.parts
        finer = batches.steps * parts
        done = given_before(total, readers, batches.steps, self.start)[turn.reader]
        pictures = batches.stream.read(
            stretch(total, readers, turn.reader),
            buffer=batches.buffer,
            seed=batches.seed,
            epoch=self.epoch,
            start=int(done),
        )
        for number in range(self.start * parts, finer):
            step, part = divmod(number, parts)
            wanted = int(given(total, readers, finer, number)[turn.reader])
            mine = np.array_split(np.arange(wanted), turn.sharers)[turn.place].tolist()
            held = list(islice(pictures, wanted))
            made = self._made([held[index] for index in mine], step)
            images = int(given(total, readers, batches.steps, step).sum())
            yield dataclasses.replace(made, images=images, last=part == parts - 1)

    def _made(self, pictures: list[Held], step: int) -> MicroBatch:
        batches = self.batches
        samples = {picture.number: Sample(picture, picture.label) for picture in pictures}
        drawing = AnyCrop(batches.augmentation)
        crops = cut_sources(
            [*samples.items()],
            drawing,
            batches.augmentation.size,
            batches.seed,
            self.epoch,
            reduced=batches.reduced,
            decode=batches.decode,
        )
        return micro_batch_of(crops, [samples[draw] for draw in crops.draws], drawing, step)
