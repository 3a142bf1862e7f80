"""Models loaded beside the images to test them on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verydeep.data.dataset import Dataset
from verydeep.data.read import Data, read_dataset
from verydeep.data.samples import Samples
from verydeep.errors import InputError
from verydeep.evaluation.evaluate import relabel
from verydeep.localization.localizer import Localizer, load_localizer
from verydeep.models.classifier import Classifier, load_classifier
from verydeep.models.path import is_torchvision
from verydeep.models.torchvision import TorchvisionClassifier, torchvision_classifier
from verydeep.run.data_record import is_own, recorded_dataset
from verydeep.run.testing.overlap import Overlap, find_overlap, run_of
from verydeep.system.distributed import is_first
from verydeep.system.files import check_writable
from verydeep.system.locks import hold
from verydeep.system.option_names import option, placeholder
from verydeep.system.progress import Progress
from verydeep.system.settings import Compute

AnyClassifier = Classifier | TorchvisionClassifier
ModelSource = str | Path | Classifier | TorchvisionClassifier
RegressorSource = str | Path | Localizer


@dataclass(frozen=True)
class Bench:
    """Models and the images to test them on.

    Attributes:
        classifiers: Loaded classifiers; several are fused.
        regressors: Loaded box regressors of the same classes.
        samples: Images; their labels index the models' classes.
        split: Name of the split.
        dataset: The data set that the samples belong to.
        overlap: Number of images that the models have seen before.
    """

    classifiers: tuple[AnyClassifier, ...]
    regressors: tuple[Localizer, ...]
    samples: Samples
    split: str
    dataset: Dataset
    overlap: Overlap


def set_up(
    models: ModelSource | Sequence[ModelSource],
    data: Data | None,
    *,
    regressors: RegressorSource | Sequence[RegressorSource] = (),
    split: str | None = None,
    layout: str | None = None,
    compute: Compute | str | None = None,
    progress: Progress | None = None,
) -> Bench:
    """Load models and list the images to test them on.

    Raises:
        InputError: A model or the data cannot be used.
    """
    progress = progress or Progress()
    given, finding = one_or_many(models), one_or_many(regressors)
    if not given and not finding:
        raise InputError("give at least one model to evaluate")
    nets = tuple(load_regressor(net, compute) for net in finding)
    own = {i: load_model(net, compute) for i, net in enumerate(given) if not is_torchvision(net)}
    dataset = data_for([*finding, *given], data, layout, progress, split)
    known = next((net.classes for net in (*nets, *own.values())), dataset.classes)
    for place, name in enumerate(given):
        if is_torchvision(name):
            net = torchvision_classifier(str(name), known, compute=compute)
            progress.log(f"torchvision's {net.name}: weights {net.weights}")
            own[place] = net
    split = split or dataset.test_split
    samples = relabel(dataset, split, known)
    overlap = find_overlap([*finding, *given], samples, dataset.root, progress)
    ordered = tuple(own[place] for place in range(len(given)))
    return Bench(ordered, nets, samples, split, dataset, overlap)


def one_or_many(given: object) -> list[Any]:
    """Return models as a list, whether one was given or several."""
    return list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]


def load_model(model: ModelSource, compute: Compute | str | None = None) -> AnyClassifier:
    """Load a model or run folder; return a loaded model as it is.

    Raises:
        ModelError: The folder holds no classifier.
    """
    return load_classifier(model, compute) if isinstance(model, str | Path) else model


def load_regressor(model: RegressorSource, compute: Compute | str | None = None) -> Localizer:
    """Load the folder of a box regressor; return a loaded one as it is.

    Raises:
        ModelError: The folder holds no box regressor.
    """
    return model if isinstance(model, Localizer) else load_localizer(model, compute)


@contextmanager
def output_folder(out: str | Path | None) -> Iterator[Path | None]:
    """Hold the folder for the files of a test, in the first of several processes.

    Yields:
        The folder, or None where nothing is to be written.

    Raises:
        InputError: The folder cannot be written to, or another process is writing there.
    """
    if out is None or not is_first():
        yield None
        return
    folder = Path(out).expanduser()
    check_writable(folder)
    with hold(folder):
        yield folder


def data_for(
    models: Sequence[ModelSource | RegressorSource],
    data: Data | None,
    layout: str | None = None,
    progress: Progress | None = None,
    split: str | None = None,
) -> Dataset:
    """Read the data to test on: those named, or else those of the first run among the models.

    Args:
        models: Model or run folders, or loaded models.
        data: What was named.
        layout: How it lies on disk.
        progress: Where to say what has changed since a run began; None is silent.
        split: The split that is asked for; None for the test's.

    Raises:
        DataError: They cannot be read.
        InputError: None are named, and no model is part of a run; or a layout is given without
            data.
    """
    runs = [run for model in models if not is_torchvision(model) and (run := run_of(model))]
    if data is None:
        if layout:
            raise InputError(
                f"{option('layout')} says how {option('data')} lie on disk: give both, or none"
            )
        if not runs:
            raise InputError(
                "the model is not part of a run, so name the data to test on: "
                f"{option('data', placeholder('FOLDER'))}"
            )
        return recorded_dataset(runs[0], progress, split)
    own = next((run for run in runs if split != "all" and is_own(run, data, layout)), None)
    if own is None:
        return read_dataset(data, draw=False, layout=layout, progress=progress)
    dataset = recorded_dataset(own, progress, split)
    if progress:
        progress.log(
            f"{own.path} was trained on a part of {data}: its own splits are taken "
            f"({', '.join(f'{count:,} {name}' for name, count in dataset.sizes.items())})"
        )
    return dataset
