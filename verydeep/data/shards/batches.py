"""Training batches from a stream: every sample once per epoch, for any number of readers."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from verydeep.data.pipeline.augment import Augmentation
from verydeep.data.pipeline.batches import MicroBatch, cut_sources, micro_batch_of, read_batches
from verydeep.data.pipeline.crop_policy import AnyCrop
from verydeep.data.pipeline.sampling import steps_of_epoch
from verydeep.data.pipeline.workers import worker_count
from verydeep.data.samples import Sample
from verydeep.data.shards.sampling import given, given_before, stretch
from verydeep.data.shards.stream import Held, ShardStream
from verydeep.errors import DataError, VeryDeepError


@dataclass(frozen=True)
class StreamBatches:
    """Batches of augmented crops from shards that are read once per epoch.

    Every update takes equally many images, up to one, from each reader.

    Attributes:
        stream: The training set.
        augmentation: Augmentation settings.
        batch: Images per update, of all ranks together.
        micro_batch: Images per forward pass.
        seed: Seed of order and augmentation.
        buffer: Size of each reader's shuffle buffer.
        workers: Reading processes per rank; the order depends on their number.
        reduced: Decode large JPEGs at a reduced size.
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
    def processes(self) -> int:
        """Reading processes of this rank; 0 reads in this one."""
        # A given number holds on every machine, as the order depends on it.
        return worker_count(None, self.pictures) if self.workers is None else self.workers

    def epoch(self, epoch: int, start: int = 0) -> Generator[MicroBatch, None, None]:
        """Yield this rank's micro-batches of an epoch, from the update ``start`` on.

        Raises:
            DataError: A shard cannot be read.
        """
        # Workers take turns, each with the same number of parts per update, so the parts of an
        # update are consecutive.
        for part in read_batches(Reading(self, epoch, start), self.processes):
            if isinstance(part, str):
                raise DataError(part)
            yield part


@dataclass
class Reading:
    """One pass of a reader; a fault ends it and is yielded as text."""

    batches: StreamBatches
    epoch: int
    start: int

    def __call__(self, worker: int, workers: int) -> Iterator[MicroBatch | str]:
        """Yield the micro-batches of one process of this rank."""
        try:
            yield from self.parts(worker, workers)
        except VeryDeepError as error:
            yield str(error)
        except OSError as error:
            yield f"{error.filename or 'a shard'}: {error.strerror or error}"

    def parts(self, worker: int, workers: int) -> Iterator[MicroBatch]:
        """Yield the micro-batches of one process of this rank, or raise."""
        batches, own = self.batches, self.batches.rank * workers
        total, steps, readers = batches.pictures, batches.steps, batches.world * workers
        mine = stretch(total, readers, own + worker)
        done = int(given_before(total, readers, steps, self.start)[own + worker])
        pictures = batches.stream.read(
            mine, buffer=batches.buffer, seed=batches.seed, epoch=self.epoch, start=done
        )
        for step in range(self.start, steps):
            shares = given(total, readers, steps, step).tolist()
            parts = max(1, -(-max(shares[own : own + workers]) // batches.micro_batch))
            for number, part in enumerate(np.array_split(np.empty(shares[own + worker]), parts)):
                made = self._made(list(islice(pictures, len(part))), step)
                yield dataclasses.replace(
                    made,
                    # The mean over ranks of each sum is then the mean over all images.
                    share=len(part) * batches.world / sum(shares),
                    last=number == parts - 1 and worker == workers - 1,
                )

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
        )
        return micro_batch_of(crops, [samples[draw] for draw in crops.draws], drawing, step)
