"""A record of every image of a data set, to detect changes later.

It keeps the name, size in bytes and class of each image, a hash of its boxes and, in data sets of
up to :data:`HASHED` bytes, a hash of its content. Modification times are ignored, as copying
changes them. In larger data sets, an image replaced by one of the same name, size and class goes
unnoticed.

N images, K classes.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from verydeep.data.dataset import Dataset, relative_name
from verydeep.data.geometry import Box
from verydeep.data.images.member import ImageSource, Member
from verydeep.data.images.regular_file import open_regular
from verydeep.data.pipeline.workers import in_parallel
from verydeep.data.samples import Sample, Samples
from verydeep.data.shards.index import TarMember
from verydeep.data.shards.stream import ShardStream
from verydeep.data.string_array import Names
from verydeep.errors import DataError, PictureError
from verydeep.system.files import write_atomically
from verydeep.system.object_stores import is_remote

HASHED = 2**30
"""Contents are hashed if all images together have at most this many bytes."""

HASHED_ROWS = 20_000
"""Contents are hashed if the size of at most this many images is unknown before reading."""

UNKNOWN = -1
"""Size of an image that is unknown without reading it."""

_COLUMNS = ("labels", "sizes", "boxes", "contents")


class Row(NamedTuple):
    """The record of one image; ``label`` is the class name."""

    label: str
    size: int
    boxes: int
    content: int


@dataclass(frozen=True)
class SplitRecord:
    """The images of a split.

    Attributes:
        names: N names within the data set; for a stream, the names of its shards.
        classes: Names of the K classes; of a multi-label data set, the texts of its label sets
            (:meth:`verydeep.data.dataset.Dataset.label_text`).
        labels: Indices into ``classes``, int32 (N,).
        sizes: Bytes, int64 (N,); :data:`UNKNOWN` where only reading would tell.
        boxes: Hashes, uint64 (N,); 0 without a box.
        contents: Hashes, uint64 (N,); 0 where not read. For shards, their number of samples.
        stream: Whether the rows are shards.
    """

    names: Names
    classes: tuple[str, ...]
    labels: NDArray[np.int32]
    sizes: NDArray[np.int64]
    boxes: NDArray[np.uint64]
    contents: NDArray[np.uint64]
    stream: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    def digest(self) -> str:
        """Return one hash of everything but the contents."""
        digest = hashlib.sha256("\0".join(self.classes).encode("utf-8", "surrogateescape"))
        for values in (*self.names.packed(), self.labels, self.sizes, self.boxes):
            digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()

    @property
    def hashed(self) -> bool:
        """Whether contents were hashed."""
        return bool(self.contents.any()) and not self.stream

    def rows(self) -> Iterator[tuple[str, Row]]:
        """Yield each name with its row."""
        columns = (self.labels, self.sizes, self.boxes, self.contents)
        for name, label, size, boxes, content in zip(
            self.names, *(column.tolist() for column in columns), strict=True
        ):
            yield name, Row("" if self.stream else self.classes[label], size, boxes, content)


def record_splits(dataset: Dataset, *, hashed: bool | None = None) -> dict[str, SplitRecord]:
    """Return the record of every split of a data set.

    Args:
        dataset: The data set.
        hashed: Whether to hash contents; None decides by size.
    """
    sizes = {name: sizes_of(samples) for name, samples in dataset.splits.items()}
    if hashed is None:
        hashed = _worth_hashing(sizes.values())
    records = {
        name: _record(samples, dataset, sizes[name], hashed=hashed)
        for name, samples in dataset.splits.items()
    }
    if dataset.stream is not None:
        records["train"] = _record_stream(dataset.stream)
    return records


def record_samples(samples: Samples, dataset: Dataset, *, hashed: bool) -> SplitRecord:
    """Return the record of some images of a data set, with or without content hashes."""
    return _record(samples, dataset, sizes_of(samples), hashed=hashed)


def _record(
    samples: Samples, dataset: Dataset, sizes: NDArray[np.int64], *, hashed: bool
) -> SplitRecord:
    names, boxes = Names(), np.zeros(len(samples), np.uint64)
    for number, sample in enumerate(samples):
        names.append(relative_name(sample.path, dataset.root))
        if sample.box is not None:
            boxes[number] = _hash_boxes(sample)
    contents = hash_contents(samples.paths) if hashed else np.zeros(len(samples), np.uint64)
    return SplitRecord(names, dataset.label_texts, samples.labels, sizes, boxes, contents)


def _record_stream(stream: ShardStream) -> SplitRecord:
    count = len(stream.names)
    sizes = [UNKNOWN if is_remote(place) else _size(Path(place)) for place in stream.places]
    return SplitRecord(
        Names(stream.names),
        (),
        np.zeros(count, np.int32),
        np.array(sizes, np.int64),
        np.zeros(count, np.uint64),
        np.array(stream.lengths, np.uint64),
        stream=True,
    )


def _worth_hashing(sizes: Iterable[NDArray[np.int64]]) -> bool:
    whole = np.concatenate([*sizes, np.zeros(0, np.int64)])
    known = whole[whole != UNKNOWN]
    return int(known.sum()) <= HASHED and len(whole) - len(known) <= HASHED_ROWS


def sizes_of(samples: Samples) -> NDArray[np.int64]:
    """Return the bytes of every image, int64 (N,); see :class:`SplitRecord`."""
    return np.array([*in_parallel(_size, samples.paths, workers=0, chunk=256)], np.int64)


def _size(source: ImageSource) -> int:
    """Return the bytes of an image; 0 for a missing file."""
    if isinstance(source, TarMember):
        return source.size
    if isinstance(source, Member):
        return UNKNOWN
    try:
        return source.stat().st_size
    except OSError:
        return 0


def hash_contents(sources: Sequence[ImageSource]) -> NDArray[np.uint64]:
    """Return a hash of each image's content, uint64 (N,); 0 where it cannot be read."""
    return np.array([*in_parallel(_hash_content, sources, workers=0, chunk=64)], np.uint64)


def _hash_content(source: ImageSource) -> int:
    if isinstance(source, TarMember) and is_remote(source.shard):
        return 0
    try:
        if isinstance(source, Member):
            return _hash(source.read())
        with open_regular(source) as file:
            digest = hashlib.blake2b(digest_size=8)
            while part := file.read(2**20):
                digest.update(part)
            return int.from_bytes(digest.digest())
    except (OSError, PictureError):
        return 0


def _hash_boxes(sample: Sample) -> int:
    corners = [edge for box in sample.boxes for edge in Box(*box)]
    return _hash(struct.pack(f"{len(corners)}d", *corners))


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest())


# ---- on disk ----


def write_records(path: Path, records: Mapping[str, SplitRecord]) -> None:
    """Write the records of all splits as a compressed ``.npz``."""
    arrays: dict[str, NDArray[Any]] = {}
    for split, record in records.items():
        text, ends = record.names.packed()
        classes, class_ends = Names(record.classes).packed()
        arrays |= {
            f"{split}.names": text,
            f"{split}.ends": ends,
            f"{split}.classes": classes,
            f"{split}.class_ends": class_ends,
            f"{split}.stream": np.array(record.stream),
            **{f"{split}.{column}": getattr(record, column) for column in _COLUMNS},
        }

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    write_atomically(path, write)


def read_records(path: Path) -> dict[str, SplitRecord] | None:
    """Read records; None if there are none, as for runs of earlier versions.

    Raises:
        DataError: The file is damaged.
    """
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            splits = [name.removesuffix(".names") for name in arrays if name.endswith(".names")]
            return {split: _read_split(arrays, split) for split in splits}
    except Exception as error:  # a damaged file can make numpy and zipfile raise almost anything
        raise DataError(f"{path}: cannot be read ({error})") from error


def _read_split(arrays: Any, split: str) -> SplitRecord:
    columns = {column: arrays[f"{split}.{column}"] for column in _COLUMNS}
    return SplitRecord(
        names=Names.unpacked(arrays[f"{split}.names"], arrays[f"{split}.ends"]),
        classes=tuple(Names.unpacked(arrays[f"{split}.classes"], arrays[f"{split}.class_ends"])),
        stream=bool(arrays[f"{split}.stream"]),
        **columns,
    )
