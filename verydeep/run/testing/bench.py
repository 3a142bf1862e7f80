"""Loaded models and the images to test them on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verydeep.data.dataset import Dataset
from verydeep.data.label_sets import DataTask
from verydeep.data.read import Data, read_dataset
from verydeep.data.samples import Samples
from verydeep.errors import DataError, InputError
from verydeep.evaluation.evaluate import relabel
from verydeep.models.engines.answered import answered_by
from verydeep.models.loading import check_kind, load_any_classifier
from verydeep.models.path import is_torchvision
from verydeep.nets.dimensions import INPUT_WORDS
from verydeep.run.data_record import is_own, recorded_dataset
from verydeep.run.testing.overlap import Overlap, find_overlap, run_of
from verydeep.system.files import check_writable, expanded
from verydeep.system.group.distributed import is_first
from verydeep.system.locks import hold
from verydeep.system.one_or_many import one_or_many
from verydeep.system.option_names import option, placeholder
from verydeep.system.progress import Progress
from verydeep.system.settings import Compute

if TYPE_CHECKING:
    from verydeep.localization.localizer import Localizer
    from verydeep.models.loading import AnyClassifier

    ModelSource = str | Path | AnyClassifier
    RegressorSource = str | Path | Localizer


@dataclass(frozen=True)
class Bench:
    """Models and the images to test them on.

    Attributes:
        classifiers: Loaded classifiers; several are fused.
        regressors: Loaded box regressors of the same classes.
        samples: Images; their labels index the models' classes.
        split: Name of the split.
        dataset: Data set of the samples.
        overlap: Number of images that the models were trained or selected on.
    """

    classifiers: tuple[AnyClassifier, ...]
    regressors: tuple[Localizer, ...]
    samples: Samples
    split: str
    dataset: Dataset
    overlap: Overlap

    @property
    def multi_label(self) -> bool:
        """Whether the classifiers are multi-label."""
        return any(model.multi_label for model in self.classifiers)

    @property
    def facts(self) -> dict[str, Any]:
        """What results say of the models: images they know, engine and precision."""
        answered = answered_by([*self.classifiers, *self.regressors])
        return {**asdict(self.overlap), **answered}


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
    own = {
        i: load_model(net, compute, multi_label=None)
        for i, net in enumerate(given)
        if not is_torchvision(net)
    }
    several = check_alike([*own.values()], bool(finding) or len(own) < len(given))
    dataset = data_for([*finding, *given], data, layout, progress, split, multi_label=several)
    known = next((net.classes for net in (*nets, *own.values())), dataset.classes)
    for place, name in enumerate(given):
        if is_torchvision(name):
            from verydeep.models.torchvision import torchvision_classifier

            net = torchvision_classifier(str(name), known, compute=compute)
            progress.log(f"torchvision's {net.name}: weights {net.weights}")
            own[place] = net
    split = split or dataset.test_split
    samples = relabel(dataset, split, known)
    overlap = find_overlap([*finding, *given], samples, dataset.root, progress)
    ordered = tuple(own[place] for place in range(len(given)))
    for classifier in ordered:
        check_dimensions(classifier, dataset)
    return Bench(ordered, nets, samples, split, dataset, overlap)


def check_alike(models: Sequence[AnyClassifier], others: bool = False) -> bool:
    """Return whether models are multi-label.

    Args:
        models: Classifiers.
        others: Whether there are models of one class per image besides.

    Raises:
        InputError: Some are multi-label and others are not.
    """
    kinds = {model.multi_label for model in models} | ({False} if others else set())
    if len(kinds) > 1:
        raise InputError(
            "multi-label classifiers cannot be fused with classifiers of one class per image, nor "
            "with box regressors: test them alone"
        )
    return kinds == {True}


def check_dimensions(classifier: AnyClassifier, dataset: Dataset) -> None:
    """Refuse images for a net of volumes, and volumes for a net of images.

    Raises:
        InputError: The data are of the other kind.
    """
    if classifier.dimensions != dataset.dimensions:
        takes = INPUT_WORDS[classifier.dimensions].thing
        raise InputError(
            f"{dataset.place}: net {classifier.name} takes {takes}s, and the data are "
            f"{dataset.thing}s"
        )


def load_model(
    model: ModelSource,
    compute: Compute | str | None = None,
    *,
    multi_label: bool | None = False,
) -> AnyClassifier:
    """Load a model or run folder; return a loaded model as it is.

    Args:
        model: The model.
        compute: Device and precision; a string names the device.
        multi_label: Whether it must be multi-label; None accepts both kinds.

    Raises:
        ModelError: The folder holds no classifier of that kind.
    """
    if isinstance(model, str | Path):
        return load_any_classifier(model, compute, multi_label=multi_label)
    return check_kind(model, model, multi_label)


def load_regressor(model: RegressorSource, compute: Compute | str | None = None) -> Localizer:
    """Load a box regressor from its folder; return a loaded one as it is.

    Raises:
        ModelError: The folder holds no box regressor.
    """
    if not isinstance(model, str | Path):
        return model
    from verydeep.localization.localizer import load_localizer

    return load_localizer(model, compute)


@contextmanager
def output_folder(out: str | Path | None) -> Iterator[Path | None]:
    """Lock the folder that a test or calibration writes to, in the first process only.

    Yields:
        The folder, or None if this process writes nothing.

    Raises:
        InputError: The folder is not writable, or another process is writing to it.
    """
    if out is None or not is_first():
        yield None
        return
    folder = expanded(out)
    check_writable(folder)
    with hold(folder):
        yield folder


def data_for(
    models: Sequence[ModelSource | RegressorSource],
    data: Data | None,
    layout: str | None = None,
    progress: Progress | None = None,
    split: str | None = None,
    *,
    multi_label: bool = False,
) -> Dataset:
    """Read the data to test on: the given data, or those of the first run among the models.

    Args:
        models: Model or run folders, or loaded models.
        data: Data to test on; None takes those of the first run.
        layout: Folder layout of ``data``.
        progress: Receives changes to the data since a run began; None is silent.
        split: Requested split; None for the default test split.
        multi_label: Whether the models are multi-label, and so the data must be.

    Raises:
        DataError: The data cannot be read.
        InputError: No data are given and no model belongs to a run, or a layout is given without
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
        return _of_task(recorded_dataset(runs[0], progress, split), multi_label)
    own = next((run for run in runs if split != "all" and is_own(run, data, layout)), None)
    if own is None:
        task: DataTask | None = "multi-label" if multi_label else None
        found = read_dataset(data, draw=False, layout=layout, task=task, progress=progress)
        return _of_task(found, multi_label)
    dataset = _of_task(recorded_dataset(own, progress, split), multi_label)
    if progress:
        progress.log(
            f"{own.path} was trained on a part of {data}: its own splits are taken "
            f"({', '.join(f'{count:,} {name}' for name, count in dataset.sizes.items())})"
        )
    return dataset


def _of_task(dataset: Dataset, multi_label: bool) -> Dataset:
    """Return a data set, unless it is of another task than the models."""
    if not multi_label:
        dataset.check_single_label("this model")
    elif not dataset.multi_label:
        raise DataError(
            f"{dataset.place}: each image has one class, and the model is a multi-label classifier"
        )
    return dataset
