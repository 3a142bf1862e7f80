"""A run as a folder, and the record of the data that it was trained on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from verydeep.data.read import DataSource, read_dataset
from verydeep.data.samples import Dataset, Samples, SamplesBuilder, relative_name
from verydeep.data.statistics import ColourStatistics, Scan
from verydeep.errors import DataError, ModelError
from verydeep.files import clear_temporaries, make_folder, write_json, write_json_lines, write_text
from verydeep.recipe import Recipe, load_recipe

BEFORE_THE_START = {"stages", "environment.json", "data.json"}
"""What may lie in the folder of a run that was stopped before it began; the recipe comes last."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of a run.

    ``recipe.yaml`` (every setting), ``environment.json``, ``data.json`` (what was trained on),
    ``log.jsonl`` (a line an epoch), ``checkpoints/``, ``model/`` (the best so far),
    ``answers.jsonl`` (a line a picture of the final test), ``metrics.json`` (its figures),
    ``report.html``.

    A line of ``answers.jsonl`` has ``file``, ``class`` and, of a classifier, ``probability`` (of
    that class), ``likeliest`` (five classes at most) and ``probabilities`` (theirs); of a box net
    ``size`` (height and width of the picture), ``boxes`` (true ones, x0 y0 x1 y1), ``found`` (the
    net's, or null) and ``iou`` (their overlap). Runs of earlier versions have no such file.
    """

    path: Path

    @property
    def model(self) -> Path:
        """The best model so far."""
        return self.path / "model"

    @property
    def checkpoints(self) -> Path:
        """What an interrupted training goes on from."""
        return self.path / "checkpoints"

    @property
    def started(self) -> bool:
        """Whether a run has begun here."""
        return (self.path / "recipe.yaml").is_file()

    @property
    def finished(self) -> bool:
        """Whether it has been trained and tested."""
        return (self.path / "metrics.json").is_file()

    def prepare(self, *, resume: bool) -> None:
        """Make the folder for a new run, or check that there is one to go on with.

        Raises:
            ModelError: A new run would write over an old one, or there is none to resume.
            InputError: Nothing can be written there.
        """
        if self.started and not resume:
            raise ModelError(
                f"{self.path} holds a run already: go on with --resume, or choose another --out"
            )
        inside = {path.name for path in self.path.iterdir()} if self.path.is_dir() else set()
        if resume and self.path.is_dir():
            clear_temporaries(self.path)
        if self.started:
            return
        if "stages" in inside and not resume:
            raise ModelError(
                f"{self.path} holds a chain of nets under way: go on with --resume, or choose "
                "another --out"
            )
        if any(name not in BEFORE_THE_START and not name.startswith(".") for name in inside):
            raise ModelError(f"{self.path} is not empty and no run: choose another --out")
        if resume and not inside:
            raise ModelError(f"{self.path}: no run to resume; leave --resume away to start one")
        make_folder(self.path)

    def write_recipe(self, recipe: Recipe) -> None:
        """Write the recipe with every setting."""
        write_text(self.path / "recipe.yaml", recipe.to_yaml())

    def read_recipe(self) -> Recipe:
        """Read the recipe back."""
        return load_recipe(self.path / "recipe.yaml")

    def unfinish(self) -> None:
        """Let a finished run count as unfinished again."""
        (self.path / "metrics.json").unlink(missing_ok=True)

    def write(self, name: str, value: Any) -> None:
        """Write a JSON file of the run."""
        write_json(self.path / name, value)

    def write_lines(self, name: str, values: Iterable[Any]) -> None:
        """Write a file of the run with a line of JSON for each value."""
        write_json_lines(self.path / name, values)

    def read(self, name: str) -> Any:
        """Read a JSON file of the run.

        Raises:
            ModelError: It is missing or broken.
        """
        path = self.path / name
        try:
            return json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{path}: cannot be read ({error})") from error

    def log(self) -> list[dict[str, Any]]:
        """Return the rows of ``log.jsonl``; none before the first epoch has ended."""
        path = self.path / "log.jsonl"
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        return [json.loads(line) for line in lines]


def record_data(data: str | Path, dataset: Dataset, scanned: Scan) -> dict[str, Any]:
    """Return what a later test or resumption must know of the data, as plain values."""
    assert scanned.colours is not None
    return {
        "data": DataSource(data, dataset.layout_name).lasting,
        "root": place if "://" in (place := dataset.place) else str(dataset.root.resolve()),
        "layout": dataset.layout,
        "layout_name": dataset.layout_name,
        "classes": list(dataset.classes),
        "titles": dict(dataset.titles),
        "stream": dataset.stream is not None,
        "counts": dataset.sizes,
        "fingerprint": fingerprint(dataset),
        "colours": {
            "mean": list(scanned.colours.mean),
            "covariance": [list(row) for row in scanned.colours.covariance],
        },
        "unreadable": list(scanned.unreadable),
        "left_out": list(scanned.left_out),
        "drawn": _names(dataset) if dataset.made_by_rule else None,
    }


def recorded_colours(record: dict[str, Any]) -> ColourStatistics:
    """Return the colours of the training set from the record."""
    colours = record["colours"]
    mean = tuple(colours["mean"])
    return ColourStatistics(mean, tuple(tuple(row) for row in colours["covariance"]))


def recorded_dataset(record: dict[str, Any]) -> Dataset:
    """Return the data set of a run, with the splits as they were then.

    Raises:
        DataError: The data are no longer there.
    """
    layout = record.get("layout_name")  # runs of earlier versions have none
    if record["drawn"] is None:
        return read_dataset(record["data"], layout=layout, stream=record.get("stream", False))
    dataset = read_dataset(record["data"], layout=layout, draw=False, stream=False)
    classes = tuple(record["classes"])
    return replace(
        dataset,
        classes=classes,
        splits=_recorded_splits(record["drawn"], dataset, classes),
        titles=record["titles"],
        made_by_rule=True,
    )


def _recorded_splits(
    drawn: dict[str, dict[str, list[str]]], dataset: Dataset, classes: Sequence[str]
) -> dict[str, Samples]:
    """Return splits as they were drawn: the pictures of those names, with their classes of then.

    Raises:
        DataError: A picture is no longer there.
    """
    there = {
        relative_name(sample.path, dataset.root): sample
        for samples in dataset.splits.values()
        for sample in samples
    }
    splits = {}
    for split, names_by_class in drawn.items():
        builder = SamplesBuilder(dataset.root)
        for label, class_name in enumerate(classes):
            for name in names_by_class.get(class_name, ()):
                if name not in there:
                    raise DataError(f"{dataset.place}: {name} of the run is no longer there")
                one = there[name]
                builder.add(one.path, label, one.box, one.others)
        splits[split] = builder.samples()
    return splits


def resumed_dataset(run: RunFolder, source: DataSource) -> Dataset:
    """Return the data set of a run that is to go on, if it is what the run began with.

    Raises:
        DataError: Other data or another layout are given, or the training pictures have changed.
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
    dataset = recorded_dataset(record)
    if fingerprint(dataset) != record["fingerprint"]:
        raise DataError(
            f"{record['data']}: the training pictures are not those that {run.path} began with; "
            "put them back, or start a new run"
        )
    return dataset


def fingerprint(dataset: Dataset) -> str:
    """Return a hash over the names and classes of the training pictures."""
    if dataset.stream is not None:
        return dataset.stream.fingerprint()
    digest = hashlib.sha256()
    for sample in dataset.split("train"):
        line = f"{dataset.classes[sample.label]}\t{relative_name(sample.path, dataset.root)}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _names(dataset: Dataset) -> dict[str, dict[str, list[str]]]:
    drawn: dict[str, dict[str, list[str]]] = {}
    for split, samples in dataset.splits.items():
        drawn[split] = {name: [] for name in dataset.classes}
        for sample in samples:
            name = relative_name(sample.path, dataset.root)
            drawn[split][dataset.classes[sample.label]].append(name)
    return drawn
