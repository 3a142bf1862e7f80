"""Training batches out of a stream: every sample once an epoch, whoever reads it."""

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
    """The training set as batches of augmented crops, out of shards that are read once an epoch.

    Every update takes from each reader an equal share, up to one image.

    Attributes:
        stream: The training set.
        augmentation: What may happen to an image.
        batch: Images an update, of all ranks together.
        micro_batch: Images at once.
        seed: Of the order and the augmentation.
        buffer: Images that a reader holds to shuffle them.
        workers: Reading processes of each rank; the order depends on their number.
        reduced: Decode large JPEGs at a reduced size.
        rank: Which of the processes that train together this is.
        world: How many they are.
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
        """Images in an epoch."""
        return len(self.stream)

    @property
    def steps(self) -> int:
        """Updates in an epoch."""
        return steps_of_epoch(self.pictures, self.batch)

    @property
    def processes(self) -> int:
        """Reading processes of this rank; 0 reads in this one."""
        # A number that was settled holds on every machine: the order depends on it.
        return worker_count(None, self.pictures) if self.workers is None else self.workers

    def epoch(self, epoch: int, start: int = 0) -> Generator[MicroBatch, None, None]:
        """Yield this rank's micro-batches of an epoch, from the update ``start`` on.

        Raises:
            DataError: A shard cannot be read.
        """
        # Workers are asked in turn. Each has the same number of parts of every update,
        # so the parts of an update come one after the other.
        for part in read_batches(Reading(self, epoch, start), self.processes):
            if isinstance(part, str):
                raise DataError(part)
            yield part


@dataclass
class Reading:
    """One pass of a reader; a fault ends it, as a text."""

    batches: StreamBatches
    epoch: int
    start: int

    def __call__(self, worker: int, workers: int) -> Iterator[MicroBatch | str]:
        """Yield what one of the processes of this rank reads."""
        try:
            yield from self.parts(worker, workers)
        except VeryDeepError as error:
            yield str(error)
        except OSError as error:
            yield f"{error.filename or 'a shard'}: {error.strerror or error}"

    def parts(self, worker: int, workers: int) -> Iterator[MicroBatch]:
        """Yield what one of the processes of this rank reads."""
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
                    # The mean over ranks of what each adds up is then the mean over all images.
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
