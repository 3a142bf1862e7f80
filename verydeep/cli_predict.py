"""The verb ``predict``: what is on images, where, and sorted by class."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from verydeep.cli_options import (
    Boxes,
    Device,
    Json,
    Precision,
    Threshold,
    check_files,
    grid_in,
    sizes_in,
)
from verydeep.cli_print import list_unreadable, print_csv, print_result
from verydeep.errors import InputError
from verydeep.model_path import check_models

PREDICT_EXAMPLES = (
    "Examples:  verydeep predict runs/a cat.jpg   |   verydeep predict runs/a photos/ "
    "--top 3 --csv > photos.csv   |   verydeep predict runs/a photos/ --boxes runs/boxes "
    "--out drawn   |   verydeep predict runs/a photos/ --sort sorted --least 0.8"
)


def predict(
    model: Annotated[
        str, typer.Argument(help="Model or run folder, or torchvision/NAME[:WEIGHTS or :FILE].")
    ],
    files: Annotated[list[str], typer.Argument(help="Pictures; a folder stands for those in it.")],
    top: Annotated[int, typer.Option(min=1, help="Classes to name.")] = 5,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a line of CSV a picture.")] = False,
    boxes: Boxes = None,
    protocol: Annotated[
        str | None, typer.Option(help="Of the boxes: dense (default), or crops.")
    ] = None,
    scales: Annotated[
        str | None, typer.Option(help="Q, like 256 or 256,384,512; default: as tested.")
    ] = None,
    flip: Annotated[
        bool | None,
        typer.Option(
            "--flip/--no-flip", help="Look at mirror images too; default: as the model was tested."
        ),
    ] = None,
    grid: Annotated[str, typer.Option(help="Rows x columns of crops.")] = "5x5",
    threshold: Threshold = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the pictures with the box of the likeliest class drawn."),
    ] = None,
    draw_above: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Draw the boxes of other classes that are at least this likely, too, like 0.2.",
        ),
    ] = None,
    sort: Annotated[
        Path | None,
        typer.Option(help="Folder to copy the images into, a folder for each class in it."),
    ] = None,
    least: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="With --sort: images less likely than this go to unsure/."),
    ] = None,
    move: Annotated[
        bool, typer.Option("--move", help="With --sort: move the images, do not copy them.")
    ] = False,
    device: Device = None,
    precision: Precision = None,
) -> None:
    """Name what is on pictures, and with --boxes say where it is."""
    if as_json and as_csv:
        raise InputError("--json and --csv exclude each other")
    if out and not boxes:
        raise InputError("--out draws boxes: name a box net with --boxes")
    if draw_above is not None and not out:
        raise InputError("--draw-above is about drawn boxes: name a folder for them with --out")
    if not sort and (least is not None or move):
        raise InputError("--least and --move are of --sort: name the folder to sort into")
    check_models(model, torchvision="vgg" if boxes else "any")
    check_models(*(boxes or ()))
    check_files(files)
    from verydeep.progress import console_progress
    from verydeep.run.predict import draw_predictions
    from verydeep.run.predict import predict as predict_all
    from verydeep.tables import predictions as tables

    progress = console_progress()
    predictions = predict_all(
        model,
        files,
        boxes=boxes or (),
        top=top,
        protocol=protocol,
        scales=None if scales is None else sizes_in(scales, "--scales must be whole numbers"),
        flip=flip,
        grid=grid_in(grid),
        threshold=threshold,
        device=device,
        precision=precision,
        progress=progress,
    )
    list_unreadable([str(p.fault) for p in predictions if p.fault])
    if out:
        draw_predictions(predictions, out, draw_above)
    sorted_into = None
    if sort:
        from verydeep.run.sort_pictures import sort_pictures

        sorted_into = sort_pictures(
            predictions, sort, least=least or 0.0, move=move, progress=progress
        )
    if as_csv:
        print_csv(predictions)
    else:
        print_result(
            tables.predictions_as_json(predictions, sorted_into),
            tables.predictions_as_text(predictions, sorted_into),
            as_json,
        )
    if all(prediction.fault for prediction in predictions):
        raise InputError("none of the pictures can be read")
