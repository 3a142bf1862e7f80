"""Random access to the samples of shards by their offsets."""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from verydeep.data.class_names import unknown_class
from verydeep.data.geometry import Box
from verydeep.data.images.limits import MAX_BYTES
from verydeep.data.images.member import Member
from verydeep.data.images.regular_file import open_regular
from verydeep.data.name_forms import nfc
from verydeep.data.pipeline.workers import WORTH_A_PROCESS, in_parallel, worker_count
from verydeep.data.samples import Samples
from verydeep.data.shards.manifest import DIGITS
from verydeep.data.shards.paths import open_shard
from verydeep.data.shards.tar import pictures_in_shard
from verydeep.data.string_array import Names
from verydeep.errors import DataError, PictureError
from verydeep.system.object_stores import is_remote, read_remote
from verydeep.system.progress import Progress

WORTH_PROCESSES = 16
"""Shards below which starting processes takes longer than scanning."""


@dataclass(frozen=True, slots=True)
class TarMember(Member):
    """An image in a shard.

    Attributes:
        shard: Path or URL of the shard.
        name: Printable name of shard and image.
        offset: Offset of the first byte.
        size: Size in bytes.
    """

    shard: str
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return self.name

    def read(self) -> bytes:
        """Return the bytes of the image file."""
        if self.size > MAX_BYTES:
            raise PictureError(f"{self.size:,} bytes, more than the allowed {MAX_BYTES:,}")
        if is_remote(self.shard):
            return read_remote(self.shard, self.offset, self.offset + self.size)
        with open_regular(self.shard) as file:
            return os.pread(file.fileno(), self.size, self.offset)


@dataclass
class ShardIndex:
    """The content of one shard, as arrays that are cheap to send between processes.

    Attributes:
        boxed: Sample index of each box; a sample's main box comes first.
        corners: Four numbers per box.
        incomplete: Number of images without a class, and of keys without an image.
        fault: Why the shard cannot be read; the rest is then meaningless.
    """

    names: Names = field(default_factory=Names)
    offsets: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    labels: array[int] = field(default_factory=lambda: array("i"))
    classes: dict[str, int] = field(default_factory=dict)
    boxed: array[int] = field(default_factory=lambda: array("q"))
    corners: array[float] = field(default_factory=lambda: array("d"))
    incomplete: int = 0
    fault: str | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def counts(self) -> Counter[str]:
        """Return the number of samples per class."""
        numbers = Counter(self.labels)
        return Counter({name: numbers[number] for name, number in self.classes.items()})


def index_shard(place: str) -> ShardIndex:
    """Scan a shard without raising."""
    found = ShardIndex()
    try:
        with open_shard(place) as stream:
            for picture in pictures_in_shard(stream, place):
                if picture is None:
                    found.incomplete += 1
                    continue
                for box in picture.boxes:
                    found.boxed.append(len(found))
                    found.corners.extend(box)
                found.names.append(picture.name)
                found.offsets.append(picture.offset)
                found.sizes.append(picture.size)
                found.labels.append(found.classes.setdefault(picture.label, len(found.classes)))
    except (DataError, OSError) as error:
        return ShardIndex(fault=str(error) if isinstance(error, DataError) else f"{place}: {error}")
    return found


def index_shards(
    places: Sequence[str], workers: int | None = None, progress: Progress | None = None
) -> list[ShardIndex]:
    """Scan shards.

    Raises:
        DataError: A shard cannot be read.
    """
    if workers is None and len(places) >= WORTH_PROCESSES and not any(map(is_remote, places)):
        workers = worker_count(None, WORTH_A_PROCESS)
    found = []
    with (
        (progress or Progress()).task("scanning the shards", len(places)) as task,
        closing(in_parallel(index_shard, places, workers=workers, chunk=1)) as indexes,
    ):
        for one in indexes:
            if one.fault:
                raise DataError(one.fault)
            found.append(one)
            task.update(len(found))
    return found


def samples_of(
    places: Sequence[str],
    names: Sequence[str],
    indexes: Sequence[ShardIndex],
    labels: Mapping[str, int],
    *,
    by_name: bool,
) -> Samples:
    """Return the samples of shards.

    Args:
        places: Paths or URLs of the shards.
        names: Printable names of the shards.
        indexes: Their content.
        labels: Class index of every allowed label.
        by_name: Sort by image name; else keep the order in the shards.

    Raises:
        DataError: A class is unknown.
    """
    for name, one in zip(names, indexes, strict=True):
        unknown = next((label for label in one.classes if nfc(label) not in labels), None)
        if unknown is not None:
            raise unknown_class(unknown, labels, name)
    numbers = [
        np.array([labels[nfc(name)] for name in one.classes], np.int32)[np.asarray(one.labels)]
        for one in indexes
    ]
    all_names = Names.joined(one.names for one in indexes)
    order = order_by_name(all_names) if by_name else None
    return Samples(
        TarPlaces(
            tuple(places),
            tuple(names),
            np.repeat(np.arange(len(places), dtype=np.int32), [len(one) for one in indexes]),
            np.concatenate([np.asarray(one.offsets) for one in indexes]),
            np.concatenate([np.asarray(one.sizes) for one in indexes]),
            all_names,
        ),
        np.concatenate(numbers),
        *_boxes(indexes),
        order,
    )


def order_by_name(names: Sequence[str]) -> NDArray[np.int64]:
    """Return the indices that sort names.

    Ours begin with numbers of equal length, so only these are compared: a million texts would take
    more memory than everything else.
    """
    numbers = array("q")
    for name in names:
        digits, dash, _ = name.partition("-")
        if not (dash and len(digits) == DIGITS and digits.isascii() and digits.isdigit()):
            break
        numbers.append(int(digits))
    order = np.argsort(np.asarray(numbers), kind="stable")
    if len(order) < len(names) or (np.diff(np.asarray(numbers)[order]) == 0).any():
        return np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)
    return order


def _boxes(
    indexes: Sequence[ShardIndex],
) -> tuple[NDArray[np.float64] | None, dict[int, tuple[Box, ...]]]:
    """Return the main boxes as an array, and further boxes by sample index."""
    if not any(one.boxed for one in indexes):
        return None, {}
    mains = np.full((sum(map(len, indexes)), 4), np.nan)
    others: dict[int, tuple[Box, ...]] = {}
    first = 0
    for one in indexes:
        numbers = first + np.asarray(one.boxed)
        corners = np.asarray(one.corners).reshape(-1, 4)
        main = np.diff(numbers, prepend=-1) != 0
        mains[numbers[main]] = corners[main]
        for number, box in zip(numbers[~main].tolist(), corners[~main].tolist(), strict=True):
            others[number] = (*others.get(number, ()), Box(*box))
        first += len(one)
    return mains, others


@dataclass(frozen=True, slots=True)
class TarPlaces:
    """Locations of images in shards, by index."""

    shards: tuple[str, ...]
    names: tuple[str, ...]
    shard: NDArray[np.int32]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    pictures: Names

    def __len__(self) -> int:
        return len(self.shard)

    def __getitem__(self, index: int) -> TarMember:
        shard = int(self.shard[index])
        name = f"{self.names[shard]}/{self.pictures[index]}"
        return TarMember(self.shards[shard], name, int(self.offsets[index]), int(self.sizes[index]))
