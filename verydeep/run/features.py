"""Features of a data set by a trained model: in memory, or to a file that takes any number."""

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
from verydeep.data.read import read_dataset
from verydeep.errors import DataError
from verydeep.models.classifier import Classifier, load
from verydeep.run.testing.evaluate import Scales, protocol_for
from verydeep.system.csv_text import csv_text
from verydeep.system.distributed import joined
from verydeep.system.files import write_json, write_text
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.transfer.descriptor import Descriptor, make_descriptor
from verydeep.transfer.extract import FeaturePart, describe_dataset
from verydeep.transfer.features import About, Features
from verydeep.transfer.probe import ProbeResult
from verydeep.transfer.storage import check_target, write_features


@dataclass(frozen=True)
class FeatureRequest:
    """What is to be computed; see :func:`features`."""

    model: str | Path | Classifier
    data: str | Path
    scales: Scales = None
    flip: bool | None = None
    layer: str = "fc7"
    aggregate: str = "mean"
    layout: str | None = None
    seed: int = 0
    device: str | None = None
    precision: str | None = None
    workers: int | None = None


@dataclass(frozen=True)
class WrittenFeatures:
    """What was written to a file of features.

    Attributes:
        path: The file.
        splits: Images by split.
        about: How the features were made.
        seconds: Time that it took.
    """

    path: Path
    splits: dict[str, int]
    about: About
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON holds them."""
        about = self.about.to_dict()
        about["classes"] = len(self.about.classes)
        counted = {"file": str(self.path), "images": sum(self.splits.values())}
        return counted | {"splits": self.splits} | about | {"seconds": self.seconds}


def features(
    model: str | Path | Classifier,
    data: str | Path,
    *,
    scales: Scales = None,
    flip: bool | None = None,
    layer: str = "fc7",
    aggregate: str = "mean",
    layout: str | None = None,
    seed: int = 0,
    device: str | None = None,
    precision: str | None = None,
    workers: int | None = None,
    progress: ProgressWish = None,
) -> Features:
    """Describe every image of a data set by a vector, for another classifier (appendix B).

    The net is applied densely; a layer's activations are averaged over positions, mirror image and
    scales, and the vector is divided by its length. All vectors are kept in memory.

    Args:
        model: Model or run folder of a classifier, or a loaded one.
        data: As for :func:`verydeep.read_dataset`. Splits that are missing are drawn by rule.
        scales: Q, in pixels; ``single`` or ``multi`` for the paper's, which depend on the training
            scale; None takes those that the model was tested at.
        flip: Whether to average with the mirror image; None does as when the model was tested.
        layer: ``fc7``, the penultimate layer; ``fc6`` or ``pool5``; see
            :meth:`verydeep.nets.vgg.VGG.activation_map`.
        aggregate: ``mean`` or ``stack``, of scales; see
            :class:`verydeep.transfer.descriptor.Descriptor`.
        layout: How ``data`` lie on disk; None looks.
        seed: Of the rule that draws splits.
        device: Where to compute; None decides.
        precision: ``bf16`` or ``fp32``; None decides.
        workers: Decoding processes; None decides.
        progress: Where to report to; None reports in a notebook and to a terminal, False is
            silent, True reports anyway.

    Raises:
        InputError: The model, the data or a setting cannot be used.
        DataError: No image can be read.
    """
    progress = choose_progress(progress)
    request = FeatureRequest(
        model, data, scales, flip, layer, aggregate, layout, seed, device, precision, workers
    )
    with _parts(request, progress) as (about, parts):
        return _together(about, parts)


def extract_features(
    request: FeatureRequest, out: Path, progress: Progress | None = None
) -> WrittenFeatures:
    """Write the features of a data set to a file, a part at a time.

    Args:
        request: What to compute.
        out: Ends in ``.parquet`` or ``.npz``. Of several processes the first writes it.
        progress: Where to report to; None is silent.

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
            raise DataError(f"{request.data}: none of the images can be read")

    with joined() as group, _parts(request, progress or Progress()) as (about, parts):
        if group.rank == 0:
            about = write_features(out, counted(parts), about)
        else:
            for _ in counted(parts):
                pass
    return WrittenFeatures(out, dict(counts), about, time.perf_counter() - started)


def write_probe(result: ProbeResult, folder: Path) -> None:
    """Write what a linear SVM reached: ``probe.json``, and ``answers.csv`` with every image.

    Raises:
        InputError: The folder cannot be written to.
        DiskError: There is no room on the disk.
    """
    answers = result.answers
    rows = zip(answers.files, answers.labels, answers.guesses, strict=True)
    write_json(folder / "probe.json", result.to_dict())
    write_text(folder / "answers.csv", csv_text([("file", "class", "guess"), *rows]))


@contextmanager
def _parts(
    request: FeatureRequest, progress: Progress
) -> Iterator[tuple[About, Iterator[FeaturePart]]]:
    """Set up what is asked for."""
    model = request.model
    if not isinstance(model, Classifier):
        model = load(model, device=request.device, precision=request.precision)
    protocol = protocol_for(model, "dense", scales=request.scales, flip=request.flip)
    descriptor = make_descriptor(
        model,
        scales=protocol.scales,
        flip=protocol.flip,
        layer=request.layer,
        aggregate=request.aggregate,
    )
    dataset = read_dataset(
        request.data, layout=request.layout, seed=request.seed, stream=False, progress=progress
    )
    progress.log(f"{dataset.place}: {dataset.describe()}")
    about = _about(request, model, dataset, descriptor)
    with joined() as group:
        yield (
            about,
            describe_dataset(
                model, dataset, descriptor, group, workers=request.workers, progress=progress
            ),
        )


def _about(
    request: FeatureRequest, model: Classifier, dataset: Dataset, descriptor: Descriptor
) -> About:
    from verydeep import __version__

    given = request.model
    return About(
        model=model.name if isinstance(given, Classifier) else str(given),
        net=model.name,
        layer=descriptor.layer,
        scales=descriptor.scales,
        flip=descriptor.flip,
        aggregate=descriptor.aggregate,
        dimension=descriptor.dimension(model),
        precision=model.machine.precision,
        data=str(request.data),
        classes=dataset.classes,
        version=__version__,
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
