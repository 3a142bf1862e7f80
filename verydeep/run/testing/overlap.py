"""Overlap of test images with training images, on which the error is too low.

The run folder of a net records its training images. Where contents were recorded, an image is
recognized by its content, whatever its path. In larger data sets it is recognized by its size and
its name within the data, compared from the end as far as both names go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from verydeep.data.dataset import relative_name
from verydeep.data.fingerprint import UNKNOWN, SplitRecord, hash_contents, read_records, sizes_of
from verydeep.data.samples import Samples
from verydeep.errors import DataError, plural
from verydeep.models.file_names import CONFIG
from verydeep.models.folder import read_config
from verydeep.models.path import find_model
from verydeep.system.files import expanded
from verydeep.system.progress import Progress
from verydeep.training.run_folder import PICTURES, RunFolder


@dataclass(frozen=True)
class Overlap:
    """Number of test images that the nets have seen before.

    Attributes:
        trained_on: Images that any of the nets was trained on; None if unknown.
        validated_on: Images that selected the epoch of any of the nets; None if unknown.
    """

    trained_on: int | None = None
    validated_on: int | None = None


def run_of(model: object) -> RunFolder | None:
    """Return the run of a model or run folder; None if there is none."""
    if not isinstance(model, str | Path):
        return None
    path = expanded(model)
    found = (folder for folder in (path, path.parent) if (folder / "data.json").is_file())
    folder = next(found, None)
    return None if folder is None else RunFolder(folder)


def find_overlap(
    models: Iterable[object], samples: Samples, root: Path, progress: Progress
) -> Overlap:
    """Count the images that nets were trained or selected on; warn about training images.

    Args:
        models: Model or run folders; other models are ignored.
        samples: Images to test on.
        root: Folder that the names of the images are relative to.
        progress: Receives the warning.
    """
    pictures = _Pictures(samples, root)
    trained = validated = None
    for model in models:
        run = run_of(model)
        records = run and _records(run)
        if not run or not records:
            continue
        known = pictures.within(_learned_from(run, records["train"]))
        if known is not None:
            _warn(run, int(known.sum()), len(samples), progress)
            trained = known if trained is None else trained | known
        chosen = pictures.within(records["val"]) if "val" in records else None
        if chosen is not None:
            chosen &= _chose_epoch(run)
            validated = chosen if validated is None else validated | chosen
    return Overlap(
        None if trained is None else int(trained.sum()),
        None if validated is None else int(validated.sum()),
    )


def seen_by(run: RunFolder, samples: Samples, root: Path) -> NDArray[np.bool_] | None:
    """Return which images a run's net was trained on, bool (N,); None if that is unknown.

    Args:
        run: The run.
        samples: The N images.
        root: Folder that the names of the images are relative to.
    """
    records = _records(run)
    if not records or "train" not in records:
        return None
    return _Pictures(samples, root).within(_learned_from(run, records["train"]))


def _chose_epoch(run: RunFolder) -> bool:
    """Return whether a run chose the kept epoch by its validation images."""
    return not run.started or run.read_recipe().training.keep != "last"


def _records(run: RunFolder) -> dict[str, SplitRecord] | None:
    with suppress(DataError):
        return read_records(run.path / PICTURES)
    return None


def _learned_from(run: RunFolder, record: SplitRecord) -> SplitRecord:
    """Return the images that a run's net learns from; for a box regressor, those with a box."""
    if not (run.model / CONFIG).is_file():
        return record
    if read_config(find_model(run.path)).task != "localization":
        return record
    return _taken(record, record.boxes != 0)


def _taken(record: SplitRecord, which: NDArray[np.bool_]) -> SplitRecord:
    numbers = np.flatnonzero(which).tolist()
    names = type(record.names)(record.names[number] for number in numbers)
    columns = ("labels", "sizes", "boxes", "contents")
    return replace(record, names=names, **{name: getattr(record, name)[which] for name in columns})


def _warn(run: RunFolder, known: int, tested: int, progress: Progress) -> None:
    if known:
        progress.log(
            f"{run.path} was trained on {known:,} of {plural(tested, 'image')} to test on: the "
            "error on them is too low; test on images that it has not seen"
        )


class _Pictures:
    """Images of a test; each file is read at most once."""

    def __init__(self, samples: Samples, root: Path) -> None:
        self.samples = samples
        self.root = root
        self.sizes = sizes_of(samples)
        self.contents: dict[int, int] = {}

    def within(self, record: SplitRecord) -> NDArray[np.bool_] | None:
        """Return a mask of the images in a record, bool (N,); None if unknown."""
        if record.stream or not len(record):
            return None
        candidates = np.flatnonzero(np.isin(self.sizes, record.sizes))
        found = np.zeros(len(self.samples), np.bool_)
        if record.hashed:
            contents = self._contents(candidates.tolist())
            known = record.contents[record.contents != 0]
            found[candidates] = np.isin(contents, known)
        elif (record.sizes == UNKNOWN).all():
            return None
        else:
            by_name = _ByName(record, self.sizes)
            found[candidates] = [*self._named(candidates.tolist(), by_name)]
        return found

    def _contents(self, numbers: Sequence[int]) -> NDArray[np.uint64]:
        new = [number for number in numbers if number not in self.contents]
        hashes = hash_contents(self.samples.take(new).paths).tolist()
        self.contents |= dict(zip(new, hashes, strict=True))
        return np.array([self.contents[number] for number in numbers], np.uint64)

    def _named(self, numbers: Sequence[int], known: _ByName) -> Iterator[bool]:
        for number in numbers:
            name = relative_name(self.samples[number].path, self.root)
            yield known.has(name, int(self.sizes[number]))


class _ByName:
    """Names in a record by file name and size, limited to given sizes."""

    def __init__(self, record: SplitRecord, sizes: NDArray[np.int64]) -> None:
        asked = np.isin(record.sizes, sizes[sizes != UNKNOWN])
        self.names: dict[tuple[str, int], list[str]] = {}
        for number in np.flatnonzero(asked).tolist():
            name = record.names[number]
            key = (PurePosixPath(name).name, int(record.sizes[number]))
            self.names.setdefault(key, []).append(name)

    def has(self, name: str, size: int) -> bool:
        """Return whether an image of that size has this name, or one ends with the other."""
        there = self.names.get((PurePosixPath(name).name, size), ())
        return any(
            f"/{one}".endswith(f"/{name}") or f"/{name}".endswith(f"/{one}") for one in there
        )
