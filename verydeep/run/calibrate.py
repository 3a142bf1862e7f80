"""A temperature for a model's probabilities, fitted on pictures and kept in its folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from verydeep.classifier import load
from verydeep.errors import InputError
from verydeep.evaluation.calibration import Calibration, fit_temperature, temper
from verydeep.evaluation.evaluate import evaluate_samples, relabel
from verydeep.evaluation.topk import log_loss
from verydeep.model_path import find_model
from verydeep.option_names import in_program, option
from verydeep.progress import ProgressWish, choose_progress
from verydeep.run.test import Scales, data_for, protocol_for


def calibrate(
    model: str | Path,
    split: str,
    data: str | Path | None = None,
    protocol: str = "dense",
    *,
    tested: str | None = None,
    scales: Scales = None,
    flip: bool | None = None,
    grid: tuple[int, int] = (5, 5),
    average: str = "paper",
    layout: str | None = None,
    device: str | None = None,
    precision: str | None = None,
    workers: int | None = None,
    progress: ProgressWish = None,
) -> Calibration:
    """Fit the temperature of a model's probabilities on a split, and keep it with the model.

    From then on :meth:`Classifier.predict` gives calibrated probabilities, and tests report loss
    and calibration error at that temperature besides those without.

    Args:
        model: Model or run folder, which is written to.
        split: Pictures to fit on; those that the net was trained on would make it too sure.
        data: A name, folder or file; None takes the data of the run.
        protocol: How the posteriors are measured.
        tested: The split that errors are reported for; fitting on it is refused. None takes that
            which a test takes by default.
        scales: As for :func:`verydeep.evaluate`, as are the next three.
        flip: Whether mirror images are averaged in.
        grid: Rows and columns of crops.
        average: What is averaged.
        layout: How ``data`` lie on disk; None looks.
        device: Where to compute; None decides.
        precision: ``bf16`` or ``fp32``; None decides.
        workers: Decoding processes; None decides.
        progress: Where to report to; None reports in a notebook and to a terminal, False is
            silent, True reports anyway.

    Raises:
        InputError: The split is the tested one, or the model or the data cannot be used.
    """
    progress = choose_progress(progress)
    dataset = data_for([model], data, layout, progress)
    tested = tested or dataset.test_split
    dataset.split(tested)
    if split == tested:
        raise InputError(
            f"a temperature fitted on {split} cannot be judged on {split}: fit it on another split "
            f"than the tested one ({option('split' if in_program() else 'tested')} names that)"
        )
    if split == "train":
        progress.say(
            "the net was trained on these pictures and is surer of them than of others: a "
            "temperature fitted on pictures that it has not seen is better"
        )
    loaded = load(model, device=device, precision=precision)
    chosen = protocol_for(loaded, protocol, scales=scales, flip=flip, grid=grid, average=average)
    result = evaluate_samples(
        [loaded],
        relabel(dataset, split, loaded.classes),
        chosen,
        split=split,
        root=dataset.root,
        workers=workers,
        progress=progress,
    )
    answers = result.answers
    if not answers.wrong.any():
        raise InputError(
            f"all {result.images} pictures of {split} are recognised, so nothing tells how sure "
            "the net may be: fit on more pictures, or harder ones"
        )
    temperature = fit_temperature(answers.posteriors, answers.labels)
    tempered = temper(answers.posteriors, temperature)
    calibration = Calibration(
        temperature=temperature,
        split=split,
        protocol=str(chosen),
        images=result.images,
        loss_before=result.loss,
        loss_after=log_loss(tempered, answers.labels),
    )
    dataclasses.replace(loaded, calibration=calibration).save(find_model(model))
    return calibration
