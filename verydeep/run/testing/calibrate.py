"""Temperature scaling: fit a temperature on images and store it in the model folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from verydeep.data.read import Data
from verydeep.errors import InputError, plural
from verydeep.evaluation.calibration import Calibration, fit_calibration
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.result import EvaluationResult
from verydeep.models.classifier import load_classifier
from verydeep.run.testing.bench import output_folder
from verydeep.run.testing.calibration_setup import (
    Calibrating,
    calibrating,
    folder_of,
    save_together,
)
from verydeep.system.group.distributed import joined
from verydeep.system.group.launch import in_several
from verydeep.system.progress import ProgressWish, choose_progress
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
    stays unchanged, and ``kept`` of the result is false. What the model has learned about
    abstaining holds for the earlier temperature only and is removed;
    :func:`verydeep.learn_abstention` learns both.

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
    with calibrating(
        model,
        split,
        data,
        protocol,
        tested=tested,
        layout=layout,
        compute=Compute.of(compute),
        progress=choose_progress(progress),
    ) as given:
        _say_trained_on(given)
        fitted = _fit(given.evaluate(given.model), str(given.how))
        if fitted.kept:
            _say_forgotten(given)
            changed = dataclasses.replace(
                given.model, calibration=fitted, abstention=None, familiarity=None
            )
            save_together(model, changed, given.group)
        return fitted


def _say_trained_on(given: Calibrating) -> None:
    if known := given.overlap.trained_on:
        given.progress.log(
            f"the net was trained on {known:,} of these {plural(len(given.samples), 'image')} and "
            "is surer of them than of others: a temperature fitted on images that it has not seen "
            "is better"
        )


def _say_forgotten(given: Calibrating) -> None:
    if given.model.abstention:
        given.progress.log(
            "when to abstain was learned for another temperature and is forgotten: verydeep "
            "calibrate learns both"
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
    """Remove the temperature stored with a model, and what it has learned about abstaining.

    Args:
        model: Model or run folder; it is modified.

    Returns:
        True if there was one of them.

    Raises:
        InputError: The folder holds no model, or another process is writing to it.
    """
    with output_folder(folder_of(model)), joined() as group:
        loaded = load_classifier(model, Compute("cpu", "fp32"), familiarity=False)
        if loaded.calibration is None and loaded.abstention is None:
            return False
        changed = dataclasses.replace(loaded, calibration=None, abstention=None, familiarity=None)
        save_together(model, changed, group)
        return True
