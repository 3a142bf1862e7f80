"""The training split of shards as a stream, read sequentially without an index.

Memory holds only a few numbers per shard and the shuffle buffers. The order of the samples is that
of :mod:`verydeep.data.shards.sampling`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from verydeep.data.class_names import unknown_class
from verydeep.data.images.member import Member
from verydeep.data.name_forms import nfc
from verydeep.data.pipeline.colour_statistics import ColourStatistics
from verydeep.data.shards.paths import open_shard
from verydeep.data.shards.sampling import SECTION, Numbers, draws, located, shard_order
from verydeep.data.shards.tar import TarPicture, pictures_in_shard
from verydeep.errors import DataError


@dataclass(frozen=True, slots=True)
class Held(Member):
    """An image of a stream, in memory until it is yielded.

    Attributes:
        name: Name of shard and image.
        number: Index over all shards in order; the same in every epoch.
        label: Class index.
        data: Bytes of the image file.
    """

    name: str
    number: int
    label: int
    data: bytes = field(repr=False)

    def __str__(self) -> str:
        return self.name

    def read(self) -> bytes:
        """Return the bytes of the image file."""
        return self.data


@dataclass(frozen=True)
class ShardStream:
    """The shards of a split and their content.

    Attributes:
        places: Paths or URLs of the shards.
        names: Printable names of the shards.
        lengths: Number of samples in each.
        labels: Class index of every allowed label.
        counts: Samples per class.
        colours: Colour statistics of the split, if measured.
    """

    places: tuple[str, ...]
    names: tuple[str, ...]
    lengths: tuple[int, ...]
    labels: Mapping[str, int]
    counts: tuple[int, ...]
    colours: ColourStatistics | None = None
    firsts: Numbers = field(init=False, repr=False, compare=False)
    """Index of every shard's first sample, and the total."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "firsts", np.concatenate([[0], np.cumsum(self.lengths)]))

    def __len__(self) -> int:
        return int(self.firsts[-1])

    def fingerprint(self) -> str:
        """Return a hash of the names and lengths of the shards."""
        digest = hashlib.sha256()
        for name, length in zip(self.names, self.lengths, strict=True):
            digest.update(f"{name}\t{length}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def read(
        self, stretch: range, *, buffer: int, seed: int, epoch: int, start: int = 0
    ) -> Iterator[Held]:
        """Yield the samples of a stretch of an epoch's line, in shuffled order.

        Args:
            stretch: Positions on the line; see :mod:`verydeep.data.shards.sampling`.
            buffer: Size of the shuffle buffer.
            seed: Seed of the run.
            epoch: Epoch number.
            start: Number of samples of the stretch already yielded, which are not read again.

        Raises:
            DataError: A shard cannot be read, or has the wrong number of samples.
        """
        begun = start // SECTION * SECTION
        order = draws(stretch, buffer, seed, epoch, begun)
        gone = set(islice(order, start - begun))
        first = stretch.start + begun
        line = self._line(range(first, stretch.stop), seed, epoch, lambda place: place not in gone)
        held: dict[int, Held] = {}
        for place in order:
            while place not in held:
                nearest, picture = next(line)
                held[nearest] = picture
            yield held.pop(place)

    def _line(
        self, stretch: range, seed: int, epoch: int, wanted: Callable[[int], bool]
    ) -> Iterator[tuple[int, Held]]:
        """Yield the wanted samples of a stretch with their positions on the line."""
        if not stretch:
            return
        order = shard_order(len(self.places), seed, epoch)
        ends = np.cumsum(np.asarray(self.lengths)[order])
        turn, number = located(ends, stretch.start)
        place = stretch.start - number
        while place < stretch.stop:
            shard = int(order[turn])
            within = range(max(stretch.start, place) - place, stretch.stop - place)
            for number, picture in self._read_shard(shard, place, within, wanted):
                yield place + number, picture
            place += self.lengths[shard]
            turn += 1

    def _read_shard(
        self, shard: int, place: int, within: range, wanted: Callable[[int], bool]
    ) -> Iterator[tuple[int, Held]]:
        """Yield the wanted samples of a shard with their indices in it."""
        found = 0
        with open_shard(self.places[shard]) as stream:
            pictures = pictures_in_shard(
                stream, self.names[shard], lambda n: n in within and wanted(place + n)
            )
            for picture in pictures:
                if picture is None:
                    continue
                if picture.data is not None:
                    yield found, self._hold(shard, found, picture)
                found += 1
                if found == within.stop:
                    return
        if found != self.lengths[shard]:
            raise DataError(
                f"{self.places[shard]}: holds {found:,} samples instead of "
                f"{self.lengths[shard]:,}; write or download it again"
            )

    def _hold(self, shard: int, number: int, picture: TarPicture) -> Held:
        name = f"{self.names[shard]}/{picture.name}"
        class_name = nfc(picture.label)
        if class_name not in self.labels:
            raise unknown_class(class_name, self.labels, name)
        assert picture.data is not None
        label = self.labels[class_name]
        return Held(name, int(self.firsts[shard]) + number, label, picture.data)
