"""Test box regressors, alone or with classifiers (appendix A)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from verydeep.data.read import Data
from verydeep.errors import InputError
from verydeep.evaluation.workload import pixels_to_see, shapes_vary
from verydeep.localization.evaluate import evaluate_boxes, training_baselines
from verydeep.localization.localizer import Localizer
from verydeep.localization.protocol import BoxProtocol
from verydeep.localization.result import LocalizationResult
from verydeep.models.loading import names_exported, read_task
from verydeep.models.path import is_torchvision
from verydeep.run.testing.bench import Bench, output_folder, set_up
from verydeep.run.testing.evaluate import write_page
from verydeep.system.group.launch import in_several
from verydeep.system.one_or_many import one_or_many
from verydeep.system.option_names import option
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.system.settings import Compute

if TYPE_CHECKING:
    from verydeep.run.testing.bench import ModelSource, RegressorSource


def are_box_regressors(models: Sequence[ModelSource | RegressorSource]) -> bool:
    """Return whether all models are box regressors, rather than classifiers.

    Raises:
        InputError: Box regressors and classifiers are mixed.
        ModelError: A folder holds no model.
    """
    given = [_is_regressor(model) for model in models]
    if any(given) and not all(given):
        raise InputError(
            f"box regressors and classifiers cannot be fused: give the former with "
            f"{option('boxes')}, beside the classifiers that say what is on an image; "
            f"{models[given.index(True)]} is a box regressor"
        )
    return any(given)


def _is_regressor(model: ModelSource | RegressorSource) -> bool:
    if not isinstance(model, str | Path):
        return isinstance(model, Localizer)
    if is_torchvision(model) or names_exported(model):
        return False
    return read_task(model) == "localization"


@in_several
def evaluate_localization(
    models: ModelSource | RegressorSource | Sequence[ModelSource | RegressorSource],
    boxes: RegressorSource | Sequence[RegressorSource] = (),
    data: Data | None = None,
    protocol: str | BoxProtocol | None = None,
    *,
    split: str | None = None,
    layout: str | None = None,
    compute: Compute | str | None = None,
    out: str | Path | None = None,
    progress: ProgressWish = None,
) -> LocalizationResult:
    """Measure the localization error of box regressors, alone or with classifiers.

    Args:
        models: Classifiers, whose posteriors are averaged; or, without ``boxes``, box regressors,
            which are given the true class. Folders or loaded models.
        boxes: Box regressors; their boxes are pooled before merging.
        data: As for :func:`verydeep.evaluate`; None takes the data of the first regressor, which
            have boxes.
        protocol: ``center`` (the true class's box on the central crop: Testing 1), ``dense``
            (Testing 2) or ``crops`` (the same with a grid of crops), or a
            :class:`~verydeep.localization.protocol.BoxProtocol`; None takes ``dense`` with a
            classifier, else ``center``.
        split: Split to test on; None takes ``test`` if present, else ``val``, else all images.
        layout: Folder layout of ``data``; None detects it.
        compute: Device, precision, decoding processes, and processes that share the images; a
            string names the device.
        out: Folder for boxes, COCO files, plots and a report; None writes nothing.
        progress: Progress reporting; None enables it in notebooks and terminals, True everywhere,
            False nowhere.

    Raises:
        InputError: A model, the data or the protocol cannot be used.
    """
    progress, compute, how = (
        choose_progress(progress),
        Compute.of(compute),
        BoxProtocol.of(protocol),
    )
    first, second = one_or_many(models), one_or_many(boxes)
    classifiers, regressors = (first, second) if second else ([], first)
    with output_folder(out) as folder:
        bench = set_up(
            classifiers,
            data,
            regressors=regressors,
            split=split,
            layout=layout,
            compute=compute,
            progress=progress,
        )
        result = _evaluate(bench, how, compute.workers, progress)
        if folder:
            from verydeep.run.testing.files import write_localization

            write_localization(result, bench, folder)
            write_page(result, bench, folder)
    return result


def _evaluate(
    bench: Bench, protocol: BoxProtocol, workers: int | None, progress: Progress
) -> LocalizationResult:
    classes = len(bench.regressors[0].classes)
    how = protocol.for_nets(bench.classifiers, bench.regressors, classes)
    for net in (*bench.classifiers, *bench.regressors):
        pixels = pixels_to_see([how.as_test], len(bench.samples), net.input_size)
        net.prepare(pixels, progress, shapes_vary=shapes_vary([how.as_test]))
    result = evaluate_boxes(
        bench.classifiers,
        bench.regressors,
        bench.samples,
        how,
        fitted=_baselines(bench, workers),
        split=bench.split,
        root=bench.dataset.root,
        workers=workers,
        progress=progress,
    )
    return replace(result, **bench.facts)


def _baselines(bench: Bench, workers: int | None) -> Mapping[str, Tensor]:
    """Return the net's stored baseline boxes; nets of earlier versions need a fit on the data."""
    kept = bench.regressors[0].baselines
    if not kept:
        return training_baselines(bench.dataset.splits.get("train", ()), workers)
    return {name: torch.tensor(box, dtype=torch.float64) for name, box in kept.items()}
