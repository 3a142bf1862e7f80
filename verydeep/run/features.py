"""Features of a data set from a trained model, in memory or streamed to a file."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from verydeep.data.dataset import Dataset
from verydeep.data.read import Data, DataSource
from verydeep.errors import DataError
from verydeep.evaluation.workload import pixels_to_see, shapes_vary
from verydeep.models.classifier import Classifier, loaded_classifier, name_of
from verydeep.system.csv_text import write_csv
from verydeep.system.files import write_json
from verydeep.system.group.distributed import joined
from verydeep.system.group.launch import in_several
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.system.settings import Compute
from verydeep.transfer.descriptor import Descriptor
from verydeep.transfer.extract import FeaturePart, describe_dataset
from verydeep.transfer.features import FORMAT, LABELS_FORMAT, About, Features
from verydeep.transfer.label_probe import LabelProbeResult
from verydeep.transfer.probe import ProbeResult
from verydeep.transfer.storage import check_target, write_features


@dataclass(frozen=True)
class WrittenFeatures:
    """Summary of a written feature file.

    Attributes:
        path: Path of the file.
        splits: Number of images by split.
        about: Origin of the features: model, data and settings.
        seconds: Duration.
    """

    path: Path
    splits: dict[str, int]
    about: About
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        about = self.about.to_dict()
        about["classes"] = len(self.about.classes)
        counted = {"file": str(self.path), "images": sum(self.splits.values())}
        return counted | {"splits": self.splits} | about | {"seconds": self.seconds}


@in_several
def features(
    model: str | Path | Classifier,
    data: Data,
    descriptor: Descriptor | None = None,
    *,
    seed: int = 0,
    layout: str | None = None,
    compute: Compute | str | None = None,
    progress: ProgressWish = None,
) -> Features:
    """Extract a feature vector for every image of a data set (appendix B).

    The net is applied densely. Activations of one layer are averaged over positions, mirror image
    and scales, and the vector is L2-normalized. All vectors are kept in memory.

    Args:
        model: Model or run folder of a classifier, a VGG net of torchvision like
            ``torchvision/vgg16``, or a loaded one.
        data: As for :func:`verydeep.read_dataset`. Missing splits are drawn by rule.
        descriptor: Layer, scales, mirror image and aggregation; None takes the
            deepest layer at the model's test scales.
        seed: Random seed for drawing splits.
        layout: Folder layout of ``data``; None detects it.
        compute: Device, precision, decoding processes, and processes that share the images; a
            string names the device.
        progress: Progress reporting; None enables it in notebooks and terminals, True everywhere,
            False nowhere.

    Raises:
        InputError: The model, the data or a setting cannot be used.
        DataError: No image can be read.
    """
    source, progress = DataSource(data, layout), choose_progress(progress)
    with _parts(model, source, descriptor, seed, Compute.of(compute), progress) as (about, parts):
        return _together(about, parts)


@in_several
def extract_features(
    model: str | Path | Classifier,
    data: Data,
    out: Path,
    descriptor: Descriptor | None = None,
    *,
    seed: int = 0,
    layout: str | None = None,
    compute: Compute | str | None = None,
    progress: ProgressWish = None,
) -> WrittenFeatures:
    """Write the features of a data set to a file, part by part.

    Args:
        model: As for :func:`features`, like all arguments but ``out``.
        data: Data set.
        out: File ending in ``.parquet`` or ``.npz``; the first of several processes writes it.
        descriptor: Layer, scales, mirror image and aggregation.
        seed: Random seed for drawing splits.
        layout: Folder layout of ``data``.
        compute: Device, precision and decoding processes.
        progress: Progress reporting.

    Raises:
        InputError: The model, the data, a setting or ``out`` cannot be used.
        DataError: No image can be read.
        MissingExtra: ``out`` is a Parquet file, and pyarrow is not installed.
    """
    check_target(out)
    started = time.perf_counter()
    counts: Counter[str] = Counter()

    def counted(parts: Iterable[FeaturePart]) -> Iterator[FeaturePart]:
        for part in parts:
            counts[part.split] += len(part.files)
            yield part
        if not counts.total():
            raise DataError(f"{source.name}: none of the images can be read")

    source, progress = DataSource(data, layout), choose_progress(progress)
    given = _parts(model, source, descriptor, seed, Compute.of(compute), progress)
    with joined() as group, given as (about, parts):
        if group.rank == 0:
            about = write_features(out, counted(parts), about)
        else:
            for _ in counted(parts):
                pass
    return WrittenFeatures(out, dict(counts), about, time.perf_counter() - started)


def write_probe(result: ProbeResult | LabelProbeResult, folder: Path) -> None:
    """Write the result of a linear SVM: ``probe.json``, and ``answers.csv`` for every image.

    Raises:
        InputError: The folder is not writable.
        DiskError: The disk is full.
    """
    write_json(folder / "probe.json", result.to_dict())
    write_csv(folder / "answers.csv", result.answers.rows())


def features_of(
    model: str | Path | Classifier,
    dataset: Dataset,
    *,
    compute: Compute | None = None,
    progress: Progress | None = None,
) -> Features:
    """Extract the features of a data set as it is, with no split drawn.

    Args:
        model: As for :func:`features`, like all arguments.
        dataset: The data set.
        compute: Device, precision and decoding processes.
        progress: Progress reporting; None is silent.

    Raises:
        InputError: The model or a setting cannot be used.
        DataError: No image can be read.
    """
    compute, progress, how = compute or Compute(), progress or Progress(), Descriptor()
    loaded = loaded_classifier(model, compute, multi_label=None)
    found = _described(loaded, name_of(model), dataset.place, dataset, how, compute, progress)
    with found as (about, parts):
        return _together(about, parts)


@contextmanager
def _parts(
    model: str | Path | Classifier,
    source: DataSource,
    descriptor: Descriptor | None,
    seed: int,
    compute: Compute,
    progress: Progress,
) -> Iterator[tuple[About, Iterator[FeaturePart]]]:
    """Load the model and the data, and yield the features part by part."""
    how, loaded = descriptor or Descriptor(), loaded_classifier(model, compute, multi_label=None)
    how.for_model(loaded)  # refuses before the data are read
    dataset = source.read(seed=seed, stream=False, progress=progress)
    progress.log(f"{dataset.place}: {dataset.describe()}")
    found = _described(loaded, name_of(model), source.name, dataset, how, compute, progress)
    with found as described:
        yield described


@contextmanager
def _described(
    model: Classifier,
    given: str,
    place: str,
    dataset: Dataset,
    descriptor: Descriptor,
    compute: Compute,
    progress: Progress,
) -> Iterator[tuple[About, Iterator[FeaturePart]]]:
    how = descriptor.for_model(model)
    images = sum(map(len, dataset.splits.values()))
    pixels = pixels_to_see([how.views], images, model.input_size)
    model.prepare(pixels, progress, shapes_vary=shapes_vary([how.views]))
    about = _about(given, place, model, dataset, how)
    with joined() as group:
        found = describe_dataset(
            model, dataset, how, group, workers=compute.workers, progress=progress
        )
        yield about, found


def _about(given: str, place: str, model: Classifier, dataset: Dataset, how: Descriptor) -> About:
    from verydeep.system.version import __version__

    return About(
        model=given,
        net=model.name,
        layer=how.used_layer,
        scales=how.used_scales,
        flip=how.views.mirrors,
        aggregate=how.aggregate,
        dimension=how.dimension(model),
        **model.engine.engine_of(how.used_layer).to_dict(),
        data=place,
        classes=dataset.classes,
        version=__version__,
        format=LABELS_FORMAT if dataset.multi_label else FORMAT,
        multi_label=dataset.multi_label,
    )


def _together(about: About, parts: Iterable[FeaturePart]) -> Features:
    found = list(parts)
    files = [name for part in found for name in part.files]
    if not files:
        raise DataError(f"{about.data}: none of the images can be read")
    return Features(
        files=np.array(files, np.str_),
        splits=np.array([part.split for part in found for _ in part.files], np.str_),
        labels=np.array([name for part in found for name in part.labels], np.str_),
        vectors=np.concatenate([part.vectors for part in found]),
        about=replace(about, unreadable=tuple(n for part in found for n in part.unreadable)),
    )
