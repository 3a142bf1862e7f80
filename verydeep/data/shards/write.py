"""Writing of a data set as shards, with the unchanged bytes of the images.

The training samples are shuffled once, so that neighbours in a shard are unrelated. The key of a
sample begins with its index in the data set: read by index, the shards keep the order of the
original data set.
"""

from __future__ import annotations

import contextlib
import io
import re
import tarfile
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from verydeep.data.dataset import Dataset, relative_name
from verydeep.data.geometry import Box
from verydeep.data.images.decode import decode, reason_of
from verydeep.data.images.formats import SUFFIXES
from verydeep.data.images.limits import open_metered
from verydeep.data.pipeline.colour_statistics import (
    MOST_LISTED,
    ColourSum,
    Measure,
    Moments,
    check_unreadable,
)
from verydeep.data.pipeline.workers import in_parallel
from verydeep.data.samples import Sample, Samples
from verydeep.data.shards.manifest import (
    DIGITS,
    NAME,
    UNFINISHED,
    Colours,
    Manifest,
    ShardEntry,
    SplitEntry,
    fault_of_splits,
)
from verydeep.data.shards.tar import BLOCK
from verydeep.errors import DataError, PictureError, printable
from verydeep.system.files import explained_write_errors, make_output_folder, sync, write_json
from verydeep.system.locks import NAME as LOCK
from verydeep.system.locks import hold
from verydeep.system.progress import Progress

LONGEST_SLUG = 60

_IMAGES = {
    "train": "training images",
    "val": "validation images",
    "test": "test images",
    "all": "images",
}
"""Names of the images of each split."""


@dataclass(frozen=True)
class Written:
    """The result of writing shards.

    Attributes:
        folder: Output folder.
        manifest: Manifest of the shards.
        bytes: Total size of the shards.
        unreadable: Images left out: name and reason.
    """

    folder: Path
    manifest: Manifest
    bytes: int
    unreadable: tuple[str, ...]

    @property
    def samples(self) -> dict[str, int]:
        """Number of samples per split."""
        splits = self.manifest.splits
        return {name: entry.samples for name, entry in splits.items()}


@dataclass(frozen=True, slots=True)
class _Read:
    """The bytes and colour moments of an image, or why it cannot be used."""

    data: bytes = b""
    moments: Moments | None = None
    fault: str | None = None


@dataclass(frozen=True)
class _ReadAndMeasure:
    samples: Samples
    colours: bool

    def __call__(self, number: int) -> _Read:
        source = self.samples[number].path
        try:
            with open_metered(source) as stream:
                stream.end_of_header()
                data = stream.read()
            picture = decode(data)
        except PictureError as error:
            return _Read(fault=f"{printable(source)}: {str(error).removeprefix('<bytes>: ')}")
        except OSError as error:
            return _Read(fault=f"{printable(source)}: {reason_of(error)}")
        measure = Measure(keep=False, largest_scale=None)
        return _Read(data, measure(picture)[0] if self.colours else None)


def write_shards(
    dataset: Dataset,
    out: str | Path,
    *,
    samples: int = 10_000,
    mebibytes: int = 1024,
    seed: int = 0,
    limit: float = 0.01,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Written:
    """Write a data set as tar shards with a manifest.

    Args:
        dataset: The data set; every split is written.
        out: Output folder, empty or new.
        samples: Maximum samples per shard.
        mebibytes: Approximate maximum size of a shard.
        seed: Seed of the order of the training samples.
        limit: Maximum share of broken images per split; these are left out.
        workers: Decoding processes; None decides.
        progress: Progress reporting; None is silent.

    Raises:
        DataError: The folder is not empty, too many images are broken, there are no training
            images, images have several labels, or the data are volumes.
        InputError: The folder is inside the data set or not writable.
        DiskError: The disk is full; what was written is removed.
        WorkerError: A reading process was killed.
    """
    dataset.check_single_label("a shard")
    dataset.check_images("a shard")
    if fault := fault_of_splits(dataset.splits):
        raise DataError(f"{dataset.place}: {fault}; shards are written for training")
    folder = make_output_folder(Path(out), dataset.root)
    writing = _Writing(dataset, folder, samples, mebibytes * 2**20, seed, limit, workers)
    with hold(folder):
        _check_empty(folder)
        return _write(writing, progress or Progress())


def _write(writing: _Writing, progress: Progress) -> Written:
    dataset, folder = writing.dataset, writing.folder
    try:
        with explained_write_errors(folder):
            (folder / UNFINISHED).touch()
            for split in dataset.splits:
                writing.write(split, progress)
            sync(folder)  # a manifest names no shard that a power failure could take away
        manifest = _manifest(writing)
        write_json(folder / NAME, manifest.model_dump(mode="json"))
    except BaseException:
        for path in _inside(folder):  # it was empty before
            with contextlib.suppress(OSError):
                path.unlink()
        raise
    (folder / UNFINISHED).unlink()
    return Written(folder, manifest, writing.bytes, tuple(writing.faults))


def _manifest(writing: _Writing) -> Manifest:
    dataset = writing.dataset
    colours = writing.colours.statistics() if writing.colours.count else None
    return Manifest(
        classes=dataset.classes,
        titles=dict(dataset.titles),
        splits=writing.splits,
        colours=colours and Colours(mean=colours.mean, covariance=colours.covariance),
        boxes=any(part.has_boxes for part in dataset.splits.values()),
    )


def _check_empty(out: Path) -> None:
    if _inside(out):
        raise DataError(f"{out} is not empty: choose another folder, or empty it")


def _inside(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name != LOCK]


@dataclass
class _Writing:
    """The state of writing shards."""

    dataset: Dataset
    folder: Path
    samples: int
    bytes_each: int
    seed: int
    limit: float
    workers: int | None
    splits: dict[str, SplitEntry] = field(default_factory=dict)
    colours: ColourSum = field(default_factory=ColourSum)
    faults: list[str] = field(default_factory=list)
    bytes: int = 0

    def write(self, split: str, progress: Progress) -> None:
        """Write a split."""
        samples = self.dataset.split(split)
        order = np.arange(len(samples))
        if split == "train":
            order = np.random.Generator(np.random.Philox(self.seed)).permutation(len(samples))
        faults: list[str] = []
        check = partial(
            check_unreadable,
            total=len(samples),
            limit=self.limit,
            images=_IMAGES[split],
            named="limit",
        )
        counts = [0] * len(self.dataset.classes)
        shards = _Shards(self.folder, split, self.samples, self.bytes_each)
        work = _ReadAndMeasure(samples, colours=split in ("train", "all"))
        with (
            progress.task(f"writing {split}", len(samples)) as task,
            closing(in_parallel(work, order.tolist(), workers=self.workers)) as read,
            shards,
        ):
            for done, (number, one) in enumerate(zip(order.tolist(), read, strict=True), start=1):
                if one.fault is not None:
                    faults.append(one.fault)
                    if len(faults) > MOST_LISTED:  # more would not be listed anyway
                        check(faults, finished=False)
                else:
                    self._add(shards, number, samples[number], one)
                    counts[samples[number].label] += 1
                task.update(done)
        check(faults)
        self.faults += faults
        self.bytes += shards.bytes
        self.splits[split] = SplitEntry(shards=tuple(shards.written), counts=tuple(counts))

    def _add(self, shards: _Shards, number: int, sample: Sample, read: _Read) -> None:
        if read.moments is not None:
            self.colours.add(read.moments)
        name = relative_name(sample.path, self.dataset.root)
        parts = {_suffix(name): read.data, ".cls": str(sample.label).encode()}
        if sample.boxes:
            parts[".box"] = "\n".join(map(_box_text, sample.boxes)).encode()
        shards.add(f"{number:0{DIGITS}}-{_slug(name)}", parts)


def _suffix(name: str) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    return suffix if suffix in SUFFIXES else ".jpg"


def _slug(name: str) -> str:
    """Return a name without characters that a key cannot have.

    >>> _slug("cat/my photo.1.jpg")
    'cat_my_photo_1'
    """
    stem = str(PurePosixPath(name).with_suffix(""))
    return re.sub("[^0-9A-Za-z_-]+", "_", stem)[-LONGEST_SLUG:]


def _box_text(box: Box) -> str:
    return " ".join(map(repr, box))


class _Shards:
    """The shards of a split; each gets its final name when it is complete."""

    def __init__(self, folder: Path, split: str, samples: int, size: int) -> None:
        self.folder, self.split, self.samples, self.size = folder, split, samples, size
        self.written: list[ShardEntry] = []
        self.bytes = 0
        self._open: tuple[tarfile.TarFile, Path] | None = None
        self._held = 0

    def __enter__(self) -> _Shards:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if error is None:
            self._close()
        elif self._open is not None:
            with contextlib.suppress(OSError):  # such as a full disk; the first error counts
                self._open[0].close()

    def add(self, key: str, parts: dict[str, bytes]) -> None:
        """Add a sample, in a new shard if the current one is full."""
        needed = sum(BLOCK + -(-len(data) // BLOCK) * BLOCK for data in parts.values())
        if self._open is not None:
            archive = self._open[0]
            if self._held >= self.samples or archive.offset + needed > self.size:
                self._close()
        if self._open is None:
            path = self.folder / f".{self.split}-{len(self.written):06}.tar.part"
            self._open = tarfile.open(path, "w", format=tarfile.PAX_FORMAT), path  # noqa: SIM115
            self._held = 0
        for suffix, data in parts.items():
            info = tarfile.TarInfo(key + suffix)
            info.size = len(data)
            self._open[0].addfile(info, io.BytesIO(data))
        self._held += 1

    def _close(self) -> None:
        if self._open is None:
            return
        archive, path = self._open
        archive.close()
        sync(path)
        final = self.folder / f"{self.split}-{len(self.written):06}.tar"
        path.rename(final)
        self.bytes += final.stat().st_size
        self.written.append(ShardEntry(file=final.name, samples=self._held))
        self._open = None
