"""The verb ``evaluate``: its options are many, as are the ways to test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from verydeep.cli_completion import protocols_beginning
from verydeep.cli_options import (
    Boxes,
    Device,
    Json,
    Layout,
    Precision,
    Scales,
    Threshold,
    Workers,
    grid_in,
    scales_in,
)
from verydeep.cli_print import list_unreadable, print_result, progress_of
from verydeep.model_path import check_models

EXAMPLES = (
    "Examples:  verydeep evaluate runs/d   |   verydeep evaluate runs/d --protocol crops "
    "--scales multi   |   verydeep evaluate runs/d runs/e --protocol all --out tests   |   "
    "verydeep evaluate runs/d --explain --out views   |   verydeep evaluate runs/d --calibrate val "
    " |   verydeep evaluate runs/d --boxes runs/boxes   |   verydeep evaluate "
    "torchvision/resnet50:resnet50.pth --data pets --preset torchvision "
    "--protocol center"
)
"""Shown below the options."""


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Model or run folders, or torchvision/NAME[:WEIGHTS]; several are fused."
        ),
    ],
    data: Annotated[str | None, typer.Option(help="Default: the data of the run.")] = None,
    split: Annotated[str | None, typer.Option(help="Default: test, or val if none.")] = None,
    boxes: Boxes = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="dense (default), center, crops, both, ten-crop, googlenet, or all of them; with "
            "--boxes: dense, crops or center; of a box net alone: center.",
            autocompletion=protocols_beginning,
        ),
    ] = None,
    scales: Scales = None,
    flip: Annotated[
        bool | None,
        typer.Option("--flip/--no-flip", help="Average with mirror images; default: as trained."),
    ] = None,
    grid: Annotated[str, typer.Option(help="Rows x columns of crops.")] = "5x5",
    average: Annotated[
        str, typer.Option(help="paper, scores or posteriors: what is averaged.")
    ] = "paper",
    preset: Annotated[
        str, typer.Option(help="paper, or torchvision for the centre crop as it publishes it.")
    ] = "paper",
    top: Annotated[int, typer.Option(min=1, help="Classes whose boxes are looked for.")] = 5,
    threshold: Threshold = None,
    most: Annotated[
        int | None,
        typer.Option(min=1, help="Boxes of a class that are merged at most; default 1000."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show one picture's test step by step instead.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(help="The picture to explain; default: the first.")
    ] = None,
    calibrate: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT",
            help="Fit a temperature on this split first, and keep it in the model if it helps on "
            "held-out pictures; none removes the one that is kept.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for every posterior, per-class errors, pictures.")
    ] = None,
    layout: Layout = None,
    device: Device = None,
    precision: Precision = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Measure the error of a trained model, or of several fused, by any protocol.

    A box net by itself is told the true class; beside a classifier, with --boxes, the classifier
    says what to look for.
    """
    check_models(*models, torchvision="any")
    check_models(*(boxes or ()))
    from verydeep.distributed import is_first, joined
    from verydeep.files import check_writable
    from verydeep.run.measure import Request, explained, measure

    request = Request(
        models=models,
        data=data,
        protocol=protocol,
        boxes=boxes or (),
        top=top,
        threshold=threshold,
        most=most,
        split=split,
        scales=scales_in(scales),
        flip=flip,
        grid=grid_in(grid),
        average=average,
        preset=preset,
        layout=layout,
        device=device,
        precision=precision,
        workers=workers,
        out=out,
    )
    if out is not None and is_first():
        check_writable(out)
    with joined() as group:
        if explain or picture:
            value, text = explained(request, picture)
        else:
            value, text = measure(request, progress_of(group.rank), calibrate_on=calibrate)
    if group.rank == 0:
        list_unreadable(value.get("unreadable", ()))
        print_result(value, text, as_json)
