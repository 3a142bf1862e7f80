"""Verb ``evaluate``, with options for all test protocols."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from verydeep.cli.completion import protocols_beginning
from verydeep.cli.groups import option_group
from verydeep.cli.options import Boxes, Json, Layout
from verydeep.cli.output import list_unreadable, print_result, progress_of
from verydeep.errors import InputError
from verydeep.evaluation.protocol import TestProtocol
from verydeep.localization.protocol import BoxProtocol
from verydeep.models.path import check_models, is_torchvision
from verydeep.system.progress import Progress
from verydeep.system.settings import Compute

EXAMPLES = (
    "Examples:  verydeep evaluate runs/d   |   verydeep evaluate runs/d --protocol crops "
    "--scales multi   |   verydeep evaluate runs/d runs/e --protocol all --out tests   |   "
    "verydeep evaluate runs/d --explain --out views   |   verydeep evaluate runs/d --calibrate val"
    "   |   verydeep evaluate runs/d --boxes runs/boxes   |   verydeep evaluate pets.onnx --data "
    "pets --protocol center   |   verydeep evaluate runs/d --protocol all --processes 4   |   "
    "verydeep evaluate torchvision/resnet50:resnet50.pth --data pets "
    "--preset torchvision --protocol center"
)
"""Examples shown below the options."""

NO_TEMPERATURE = "none"
"""Value of ``--calibrate`` that removes the stored temperature of a model."""


@option_group("compute", Compute, "device", "precision", "engine", "workers", "processes")
@option_group("merging", BoxProtocol, "top", "threshold", "most")
@option_group("views", TestProtocol, "scales", "flip", "grid", "average", "preset")
def evaluate(
    *,
    models: Annotated[
        list[str],
        typer.Argument(
            help="Model or run folders, exported files, hf:owner/name, or "
            "torchvision/NAME[:WEIGHTS]; several are "
            "fused."
        ),
    ],
    data: Annotated[str | None, typer.Option(help="Default: the data of the run.")] = None,
    split: Annotated[str | None, typer.Option(help="Default: test, or val if none.")] = None,
    boxes: Boxes = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="dense (default; center for an exported file that takes crops only), center, "
            "crops, both, ten-crop, googlenet, or all of them; with --boxes: dense, crops or "
            "center; of a box regressor alone: center.",
            autocompletion=protocols_beginning,
        ),
    ] = None,
    views: dict[str, Any],
    merging: dict[str, Any],
    explain: Annotated[
        bool, typer.Option("--explain", help="Show one image's test step by step instead.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(help="The image to explain; default: the first.")
    ] = None,
    calibrate: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT",
            help="Fit a temperature on this split first, and keep it in the model if it helps on "
            "held-out images; none removes the one that is kept.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for all posteriors, errors by class and plots.")
    ] = None,
    layout: Layout = None,
    compute: dict[str, Any],
    as_json: Json = False,
) -> None:
    """Measure the error of a trained model, or of several fused, by any protocol.

    A box regressor alone is given the true class. With --boxes, the classifier predicts the class.
    """
    check_models(*models, torchvision="any")
    check_models(*(boxes or ()))
    from verydeep.system.group.distributed import joined

    for_boxes = bool(boxes) or _are_box_regressors(models)
    where = {"split": split, "layout": layout, "compute": Compute(**compute), "out": out}
    with joined() as group:
        progress = progress_of(group.rank)
        if for_boxes and (explain or picture or calibrate):
            asked = "--calibrate" if calibrate else "--explain"
            raise InputError(f"{asked} is for classifiers alone: leave out --boxes")
        if (explain or picture) and calibrate:
            raise InputError("--explain shows the test of one image: leave out --calibrate")
        if (explain or picture) and compute["processes"] not in (None, 1):
            raise InputError("--explain shows one image: leave out --processes")
        if for_boxes:
            value, text = _boxes(models, boxes, data, protocol, views, merging, where, progress)
        elif explain or picture:
            value, text = _explained(models, data, protocol, views, picture, where)
        else:
            value, text = _classifiers(models, data, protocol, views, calibrate, where, progress)
    if group.rank == 0:
        list_unreadable(value.get("unreadable", ()))
        print_result(value, text + (f"\n\nfiles in {out}" if out else ""), as_json)


def _are_box_regressors(models: list[str]) -> bool:
    from verydeep.models.loading import names_exported

    if all(map(names_exported, models)):
        return False  # known without PyTorch
    from verydeep.run.testing.boxes import are_box_regressors

    return are_box_regressors(models)


def _usual_protocol(models: list[str]) -> str:
    """Return dense, or center if one of the models takes crops only."""
    from verydeep.models.loading import takes_crops_only

    return "center" if any(map(takes_crops_only, models)) else "dense"


Outcome = tuple[dict[str, Any], str]
"""Result as plain values and as text."""


def _classifiers(
    models: list[str],
    data: str | None,
    protocol: str | None,
    views: dict[str, Any],
    calibrate: str | None,
    where: dict[str, Any],
    progress: Progress,
) -> Outcome:
    from verydeep.cli.text.multi_label import label_table_as_text, labels_as_text
    from verydeep.cli.text.results import result_as_text, table_as_text
    from verydeep.evaluation.all_protocols import EvaluationTable
    from verydeep.evaluation.result import EvaluationResult
    from verydeep.run.testing.evaluate import evaluate as evaluate_models
    from verydeep.run.testing.evaluate import evaluate_all

    every = protocol == "all"
    if every and (views["scales"] or views["preset"] != "paper"):
        raise InputError("--protocol all has its own --scales and no --preset")
    how = TestProtocol("dense" if every else protocol or _usual_protocol(models), **views)  # type: ignore[arg-type]
    fitted = _calibrated(models, data, how, calibrate, where, progress) if calibrate else None
    if every:
        table = evaluate_all(models, data, how, progress=progress, **where)
        value = table.to_dict()
        text = (table_as_text if isinstance(table, EvaluationTable) else label_table_as_text)(value)
    else:
        result = evaluate_models(models, data, how, progress=progress, **where)
        value = result.to_dict()
        if isinstance(result, EvaluationResult):
            text = result_as_text(value)
            if result.symptoms:  # said by the progress already
                value["symptoms"] = [dict(one) for one in result.symptoms]
        else:
            text = labels_as_text(value)
    if fitted:
        value["calibration"], text = fitted[0], f"{fitted[1]}\n\n{text}"
    return value, text


def _calibrated(
    models: list[str],
    data: str | None,
    protocol: TestProtocol,
    split: str,
    where: dict[str, Any],
    progress: Progress,
) -> Outcome:
    from verydeep.cli.text.results import calibration_as_text, no_calibration_as_text
    from verydeep.run.testing.calibrate import calibrate, forget_calibration

    if len(models) > 1 or is_torchvision(models[0]):
        raise InputError("--calibrate takes one model: its temperature is kept in its folder")
    if split == NO_TEMPERATURE:
        removed = forget_calibration(models[0])
        return {"temperature": None, "removed": removed}, no_calibration_as_text(removed)
    calibration = calibrate(
        models[0],
        split,
        data,
        protocol,
        tested=where["split"],
        layout=where["layout"],
        compute=where["compute"],
        progress=progress,
    )
    value = asdict(calibration)
    return value, calibration_as_text(value)


def _boxes(
    models: list[str],
    boxes: list[str] | None,
    data: str | None,
    protocol: str | None,
    views: dict[str, Any],
    merging: dict[str, Any],
    where: dict[str, Any],
    progress: Progress,
) -> Outcome:
    from verydeep.cli.text.results import localization_as_text
    from verydeep.run.testing.boxes import evaluate_localization

    for name in ("average", "preset"):
        if views.pop(name) != "paper":
            raise InputError(f"--{name} is for classifiers alone: it says nothing of boxes")
    how = BoxProtocol(protocol, **views, **merging)  # type: ignore[arg-type]
    result = evaluate_localization(models, boxes or (), data, how, progress=progress, **where)
    value = result.to_dict()
    return value, localization_as_text(value)


def _explained(
    models: list[str],
    data: str | None,
    protocol: str | None,
    views: dict[str, Any],
    picture: Path | None,
    where: dict[str, Any],
) -> Outcome:
    from verydeep.cli.text.results import explanation_as_text
    from verydeep.run.testing.walkthrough import explain_test

    how = TestProtocol(protocol or _usual_protocol(models), **views)  # type: ignore[arg-type]
    explanation = explain_test(models, data, how, picture=picture, **where)
    return explanation.to_dict(), explanation_as_text(explanation)
