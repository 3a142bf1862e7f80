"""Record of a run's data, and its comparison with the data found later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from verydeep.data.arrays import MEMORY
from verydeep.data.changes import Changes, changes, compare_rows
from verydeep.data.dataset import Dataset, relative_name
from verydeep.data.fingerprint import (
    SplitRecord,
    read_records,
    record_samples,
    record_splits,
)
from verydeep.data.label_sets import LabelSets
from verydeep.data.pipeline.colour_statistics import ColourStatistics, Scan
from verydeep.data.read import Data, DataSource
from verydeep.data.samples import Sample, Samples, SamplesBuilder
from verydeep.errors import DataError, plural
from verydeep.system.option_names import option
from verydeep.system.progress import Progress
from verydeep.training.run_folder import PICTURES, RunFolder

Drawn = Mapping[str, Mapping[str, Sequence[str]]]
"""Names of the images by split and class (or text of a label set), for splits drawn by rule."""


def record_data(
    data: Data, dataset: Dataset, scanned: Scan, records: Mapping[str, SplitRecord]
) -> dict[str, Any]:
    """Return the facts about the data that later tests and resumed runs need, as plain values."""
    assert scanned.colours is not None
    return {
        "data": DataSource(data, dataset.layout_name).lasting,
        "root": place if "://" in (place := dataset.place) else str(dataset.root.resolve()),
        "layout": dataset.layout,
        "layout_name": dataset.layout_name,
        "classes": list(dataset.classes),
        "task": "multi-label" if dataset.multi_label else "classification",
        "titles": dict(dataset.titles),
        "stream": dataset.stream is not None,
        "counts": dataset.sizes,
        "fingerprint": fingerprint(dataset),
        "fingerprints": {split: record.digest() for split, record in records.items()},
        "colours": {
            "mean": list(scanned.colours.mean),
            "covariance": [list(row) for row in scanned.colours.covariance],
        },
        "unreadable": list(scanned.unreadable),
        "left_out": list(scanned.left_out),
        "drawn": _names(dataset) if dataset.made_by_rule else None,
    }


def recorded_colours(record: dict[str, Any]) -> ColourStatistics:
    """Return the recorded colour statistics of the training set."""
    colours = record["colours"]
    mean = tuple(colours["mean"])
    return ColourStatistics(mean, tuple(tuple(row) for row in colours["covariance"]))


@dataclass(frozen=True)
class OwnData:
    """Current data of a run.

    Attributes:
        dataset: Data set with its current images; splits drawn by rule hold the recorded images
            that still exist.
        changes: Changes since the run began, by split.
        new: Number of images added later, which splits drawn by rule do not contain.
        known: Whether the run recorded individual images; runs of earlier versions did not.
    """

    dataset: Dataset
    changes: tuple[Changes, ...] = ()
    new: int = 0
    known: bool = True

    def lines(self) -> str:
        """Return the changes, one per line."""
        return "".join(f"\n  {one}" for one in self.changes)


def own_data(
    run: RunFolder, splits: Iterable[str] | None = None, given: DataSource | None = None
) -> OwnData:
    """Read the data of a run and compare them with the record.

    Args:
        run: Run folder.
        splits: Splits to compare; None compares all. Comparison looks up the size of every file,
            and reads it in data sets of up to :data:`verydeep.data.fingerprint.HASHED` bytes.
        given: Data in memory that replace the recorded place.

    Raises:
        DataError: The data no longer exist, or were in memory and are not given.
        ModelError: The record is damaged.
    """
    record = run.read("data.json")
    recorded = read_records(run.path / PICTURES)
    source = given if given and given.in_memory else _recorded_source(run, record)
    if record["drawn"] is not None:
        return _Drawn(source, record, recorded, splits).own()
    dataset = source.read(stream=record.get("stream", False))
    if recorded is None:
        return OwnData(dataset, known=False)
    asked = None if splits is None else set(splits)
    hashed = any(one.hashed for one in recorded.values())
    now = record_splits(_only(dataset, asked), hashed=hashed)
    names = [name for name in dict.fromkeys((*recorded, *now)) if asked is None or name in asked]
    found = (changes(name, recorded.get(name), now.get(name)) for name in names)
    return OwnData(dataset, tuple(one for one in found if one))


def _recorded_source(run: RunFolder, record: Mapping[str, Any]) -> DataSource:
    if record["data"] == MEMORY:
        raise DataError(
            f"{run.path} was trained on images in memory: give them with {option('data')}"
        )
    # Earlier versions have no layout and no task.
    task = record.get("task", "classification")
    return DataSource(record["data"], record.get("layout_name"), task)


def is_own(run: RunFolder, data: Data, layout: str | None) -> bool:
    """Return whether data are those of a run whose splits were drawn by rule.

    Another path to the same file or folder also matches.
    """
    record = run.read("data.json")
    if DataSource(data).in_memory:
        return False
    if record["drawn"] is None or layout not in (None, record.get("layout_name")):
        return False
    given = DataSource(data, layout).lasting
    if given == record["data"]:
        return True
    try:
        return Path(given).samefile(record["data"])
    except OSError:
        return False


def recorded_dataset(
    run: RunFolder, progress: Progress | None = None, split: str | None = None
) -> Dataset:
    """Return the data set of a run for testing, with the splits of the run.

    Changes are reported but do not prevent a test.

    Args:
        run: Run folder.
        progress: Receives the changes; None skips the comparison.
        split: Split to compare; None for those used to test or fit.

    Raises:
        DataError: The data no longer exist.
    """
    if progress is None:
        return own_data(run, splits=()).dataset
    own = own_data(run, splits=[split] if split else ["val", "test"])
    if own.changes:
        progress.log(
            f"{own.dataset.place}: the data are no longer those that {run.path} began with, so "
            f"errors measured now and then differ in their images:{own.lines()}"
        )
    return own.dataset


def resumed_dataset(run: RunFolder, source: DataSource, progress: Progress) -> Dataset:
    """Return the data set of a run to resume, provided it is unchanged.

    Raises:
        DataError: The data or the layout differ, or images of any split have changed.
    """
    record = run.read("data.json")
    layout = record.get("layout_name")
    given = DataSource(source.data, source.layout or layout).lasting
    if given != record["data"]:
        raise DataError(f"{run.path} was trained on {record['data']}, not on {given}")
    if source.layout not in (None, layout):
        raise DataError(
            f"{run.path} was trained on {given} in the layout {layout}, not {source.layout}"
        )
    own = own_data(run, given=source)
    same_training = fingerprint(own.dataset) == record["fingerprint"]
    if own.changes or not same_training:
        detail = own.lines() or (
            "\n  the same training images, in another order" if own.known else ""
        )
        only_training = all(one.split == "train" for one in own.changes)
        what = "training images" if only_training else "images"
        raise DataError(
            f"{record['data']}: the {what} are not those that {run.path} began with; put them "
            f"back, or start a new run{':' if detail else ''}{detail}"
        )
    if own.new:
        progress.log(
            f"{plural(own.new, 'image')} came to {record['data']} after {run.path} began; it "
            "goes on without them"
        )
    return own.dataset


def fingerprint(dataset: Dataset) -> str:
    """Return a hash of the names and classes of the training images."""
    if dataset.stream is not None:
        return dataset.stream.fingerprint()
    digest = hashlib.sha256()
    for sample in dataset.split("train"):
        line = f"{dataset.label_text(sample.label)}\t{relative_name(sample.path, dataset.root)}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


@dataclass(frozen=True)
class _Drawn:
    """Data with splits drawn by rule: the recorded splits hold, whatever was added later."""

    source: DataSource
    record: Mapping[str, Any]
    recorded: Mapping[str, SplitRecord] | None
    splits: Iterable[str] | None

    def own(self) -> OwnData:
        record = self.record
        whole = self.source.read(draw=False, stream=False)
        there = {relative_name(sample.path, whole.root): sample for sample in _all(whole)}
        classes = tuple(record["classes"])
        dataset = replace(
            whole,
            classes=classes,
            splits=_recorded_splits(record, there, whole.root),
            titles=record["titles"],
            made_by_rule=True,
        )
        known = {
            name
            for by_class in record["drawn"].values()
            for names in by_class.values()
            for name in names
        }
        strange = [there[name] for name in there if name not in known]
        found = tuple(self._changes(whole, there, strange))
        return OwnData(dataset, found, len(strange), self.recorded is not None)

    def _changes(
        self, whole: Dataset, there: Mapping[str, Sample], strange: Sequence[Sample]
    ) -> Iterator[Changes]:
        drawn = self.record["drawn"]
        for split in drawn if self.splits is None else [s for s in self.splits if s in drawn]:
            names = [name for by_class in drawn[split].values() for name in by_class]
            recorded = (self.recorded or {}).get(split)
            if recorded is None:
                gone = tuple(name for name in names if name not in there)
                yield from [Changes(split, removed=gone)] if gone else []
                continue
            # Images added later are not in the split, but one of its images may have been moved.
            held = [*(there[name] for name in names if name in there)]
            gone = tuple(name for name in names if name not in there)
            candidates = strange if gone else []
            now = record_samples(Samples.of([*held, *candidates]), whole, hashed=recorded.hashed)
            one = compare_rows(split, dict(recorded.rows()), dict(now.rows()))
            one = replace(one, added=())
            if one:
                yield one


def _only(dataset: Dataset, asked: set[str] | None) -> Dataset:
    if asked is None:
        return dataset
    kept = {name: samples for name, samples in dataset.splits.items() if name in asked}
    return replace(dataset, splits=kept, stream=dataset.stream if "train" in asked else None)


def _all(dataset: Dataset) -> Iterator[Sample]:
    for samples in dataset.splits.values():
        yield from samples


def _recorded_splits(
    record: Mapping[str, Any], there: Mapping[str, Sample], root: Path
) -> dict[str, Samples]:
    """Return splits as drawn: the recorded images with their recorded classes."""
    drawn: Drawn = record["drawn"]
    several = record.get("task") == "multi-label"
    if several:
        labels = sorted({text for by_label in drawn.values() for text in by_label})
    else:
        labels = record["classes"]
    splits = {}
    for split, names_by_label in drawn.items():
        builder = SamplesBuilder(root)
        for label, text in enumerate(labels):
            for name in names_by_label.get(text, ()):
                if name in there:
                    one = there[name]
                    builder.add(one.path, label, one.box, one.others)
        samples = builder.samples()
        if several:
            samples = samples.with_sets(_sets(labels, record["classes"]), samples.labels)
        splits[split] = samples
    return splits


def _sets(texts: Iterable[str], classes: Sequence[str]) -> LabelSets:
    """Return the label sets of their texts."""
    numbers = {name: label for label, name in enumerate(classes)}
    return LabelSets.of([numbers[name] for name in json.loads(text)] for text in texts)


def _names(dataset: Dataset) -> dict[str, dict[str, list[str]]]:
    drawn: dict[str, dict[str, list[str]]] = {}
    for split, samples in dataset.splits.items():
        drawn[split] = {} if dataset.multi_label else {name: [] for name in dataset.classes}
        for sample in samples:
            name = relative_name(sample.path, dataset.root)
            drawn[split].setdefault(dataset.label_text(sample.label), []).append(name)
    return drawn
