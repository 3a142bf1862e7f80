"""Temperature scaling: fit a temperature on images and store it in the model folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from verydeep.data.dataset import Dataset
from verydeep.data.read import Data
from verydeep.data.samples import Samples
from verydeep.errors import InputError, ModelError, plural
from verydeep.evaluation.calibration import Calibration, fit_calibration
from verydeep.evaluation.evaluate import evaluate_samples, relabel
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.result import EvaluationResult
from verydeep.models.classifier import load_classifier
from verydeep.models.hub.name import is_hub_name
from verydeep.models.loading import is_multi_label
from verydeep.models.path import find_model
from verydeep.run.testing.bench import data_for, output_folder
from verydeep.run.testing.overlap import find_overlap, run_of
from verydeep.system.group.distributed import joined
from verydeep.system.group.launch import in_several
from verydeep.system.option_names import in_program, option
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.system.settings import Compute


@in_several
def calibrate(
    model: str | Path,
    split: str,
    data: Data | None = None,
    protocol: str | TestProtocol = "dense",
    *,
    tested: str | None = None,
    layout: str | None = None,
    compute: Compute | str | None = None,
    progress: ProgressWish = None,
) -> Calibration:
    """Fit the temperature of a model's probabilities on a split, and keep it if it helps.

    If the temperature lowers the loss on held-out images (see
    :func:`verydeep.evaluation.calibration.fit_calibration`), store it with the model, replacing
    any earlier one. From then on :meth:`Classifier.predict` gives calibrated probabilities, and
    tests report loss and calibration error with and without the temperature. Otherwise the model
    stays unchanged, and ``kept`` of the result is false.

    Args:
        model: Model or run folder; it is modified.
        split: Split to fit on; fitting on training images would leave the net overconfident.
        data: As for :func:`verydeep.evaluate`.
        protocol: Test protocol for the posteriors; as for :func:`verydeep.evaluate`.
        tested: Split used to report errors; fitting on it is refused. None takes the default test
            split.
        layout: Folder layout of ``data``; None detects it.
        compute: Device, precision and decoding processes; a string names the device.
        progress: Progress reporting; None enables it in notebooks and terminals, True everywhere,
            False nowhere.

    Raises:
        InputError: The split is the tested one, the model or the data cannot be used, or another
            process is writing to the model's folder.
    """
    progress, compute = choose_progress(progress), Compute.of(compute)
    if is_multi_label(model):
        raise ModelError(
            f"{model}: a temperature is of classes that exclude each other; a multi-label model "
            "has thresholds, which training fits on val"
        )
    dataset = data_for([model], data, layout, progress, split)
    with output_folder(_folder(model)), joined() as group:
        _check_split(split, tested or dataset.test_split, dataset)
        loaded = load_classifier(model, compute)
        samples = relabel(dataset, split, loaded.classes)
        _say_trained_on(model, samples, dataset, progress)
        how = TestProtocol.of(protocol).for_model(loaded)
        result = evaluate_samples(
            [loaded],
            samples,
            how,
            split=split,
            root=dataset.root,
            workers=compute.workers,
            progress=progress,
        )
        fitted = _fit(result, str(how))
        if fitted.kept and group.rank == 0:
            dataclasses.replace(loaded, calibration=fitted).save(find_model(model))
        group.gather(None)  # no process may load the model before it is written
        return fitted


def _check_split(split: str, tested: str, dataset: Dataset) -> None:
    dataset.split(tested)
    if split == tested:
        raise InputError(
            f"a temperature fitted on {split} cannot be judged on {split}: fit it on another split "
            f"than the tested one ({option('split' if in_program() else 'tested')} names that)"
        )


def _say_trained_on(
    model: str | Path, samples: Samples, dataset: Dataset, progress: Progress
) -> None:
    known = find_overlap([model], samples, dataset.root, Progress()).trained_on
    if known:
        progress.log(
            f"the net was trained on {known:,} of these {plural(len(samples), 'image')} and is "
            "surer of them than of others: a temperature fitted on images that it has not seen "
            "is better"
        )


def _fit(result: EvaluationResult, protocol: str) -> Calibration:
    answers = result.answers
    if not answers.wrong.any():
        raise InputError(
            f"all {result.images} images of {result.split} are recognised, so nothing tells how "
            "sure the net may be: fit on more images, or harder ones"
        )
    return fit_calibration(
        answers.posteriors, answers.labels, split=result.split, protocol=protocol
    )


def forget_calibration(model: str | Path) -> bool:
    """Remove the temperature stored with a model.

    Args:
        model: Model or run folder; it is modified.

    Returns:
        True if there was one.

    Raises:
        InputError: The folder holds no model, or another process is writing to it.
    """
    with output_folder(_folder(model)):
        loaded = load_classifier(model, Compute("cpu", "fp32"))
        if loaded.calibration is None:
            return False
        with joined() as group:
            if group.rank == 0:
                dataclasses.replace(loaded, calibration=None).save(find_model(model))
            group.gather(None)
        return True


def _folder(model: str | Path) -> Path:
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
