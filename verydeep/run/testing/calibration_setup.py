"""What the fits of a calibration share: the model, its images, and checks of both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from verydeep.data.dataset import Dataset
from verydeep.data.read import Data
from verydeep.data.samples import Samples
from verydeep.errors import InputError, ModelError
from verydeep.evaluation.evaluate import evaluate_samples, relabel
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.result import EvaluationResult
from verydeep.models.classifier import Classifier, load_classifier
from verydeep.models.hub.name import is_hub_name
from verydeep.models.loading import is_multi_label
from verydeep.models.path import find_model
from verydeep.run.testing.bench import data_for, output_folder
from verydeep.run.testing.overlap import Overlap, find_overlap, run_of
from verydeep.system.group.distributed import Group, joined
from verydeep.system.option_names import in_program, option
from verydeep.system.progress import Progress
from verydeep.system.settings import Compute


@dataclass(frozen=True)
class Calibrating:
    """A model, the images to calibrate it on, and the test to do that by.

    Attributes:
        model: The classifier.
        samples: Images of the split.
        split: Name of the split.
        dataset: Data of the split.
        how: Test protocol with its scales in pixels.
        overlap: Number of these images that the model was trained or selected on.
        group: Processes that share the images.
        compute: Where to compute.
        progress: Progress reporting.
    """

    model: Classifier
    samples: Samples
    split: str
    dataset: Dataset
    how: TestProtocol
    overlap: Overlap
    group: Group
    compute: Compute
    progress: Progress

    def evaluate(self, model: Classifier) -> EvaluationResult:
        """Test a model on the images."""
        return evaluate_samples(
            [model],
            self.samples,
            self.how,
            split=self.split,
            root=self.dataset.root,
            workers=self.compute.workers,
            progress=self.progress,
        )


@contextmanager
def calibrating(
    model: str | Path,
    split: str,
    data: Data | None,
    protocol: str | TestProtocol,
    *,
    tested: str | None,
    layout: str | None,
    compute: Compute,
    progress: Progress,
    abstaining: bool = False,
) -> Iterator[Calibrating]:
    """Load a model and the images to calibrate it on, with the model's folder locked.

    Args:
        model: As for :func:`verydeep.calibrate`, like all other arguments.
        split: Split to fit on.
        data: Data of the split.
        protocol: Test protocol.
        tested: Split used to report errors.
        layout: Folder layout of ``data``.
        compute: Where to compute.
        progress: Progress reporting.
        abstaining: Whether more than a temperature is learned. Images that are the only split of
            their data may then be learned on: they are in no test.

    Raises:
        InputError: The split is the tested one, the model or the data cannot be used, or another
            process is writing to the model's folder.
    """
    if is_multi_label(model):
        raise ModelError(
            f"{model}: a temperature is of classes that exclude each other; a multi-label model "
            "has thresholds, which training fits on val"
        )
    dataset = data_for([model], data, layout, progress, split)
    with output_folder(folder_of(model)), joined() as group:
        if not (abstaining and tested is None and [*dataset.splits] == [split]):
            _check_split(split, tested or dataset.test_split, dataset, abstaining)
        loaded = load_classifier(model, compute, familiarity=not abstaining)
        samples = relabel(dataset, split, loaded.classes)
        overlap = find_overlap([model], samples, dataset.root, Progress())
        how = TestProtocol.of(protocol).for_model(loaded)
        yield Calibrating(loaded, samples, split, dataset, how, overlap, group, compute, progress)


def save_together(model: str | Path, changed: Classifier, group: Group) -> None:
    """Write a changed model in the first process; no process may load it before it is written."""
    if group.rank == 0:
        changed.save(find_model(model))
    group.gather(None)


def _check_split(split: str, tested: str, dataset: Dataset, abstaining: bool) -> None:
    dataset.split(tested)
    if split != tested:
        return
    if abstaining:
        raise InputError(
            f"what is learned on {split} cannot be judged on {split}: learn on another split than "
            f"the tested one ({option('tested')} names that), or on other images "
            f"({option('data')})"
        )
    raise InputError(
        f"a temperature fitted on {split} cannot be judged on {split}: fit it on another split "
        f"than the tested one ({option('split' if in_program() else 'tested')} names that)"
    )


def folder_of(model: str | Path) -> Path:
    """Return the folder of a model's run, or of the model alone.

    Raises:
        ModelError: The model is not in a folder of its own.
    """
    if is_hub_name(model):
        raise ModelError(
            f"{model}: a temperature is kept with the model, and the copy of a model on the Hub is "
            f"not changed; save one of your own: verydeep.load({str(model)!r}).save(FOLDER)"
        )
    run = run_of(model)
    return run.path if run else find_model(model)
