"""Verb ``predict``: classify images, locate objects, sort by class."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from verydeep.cli.groups import option_group
from verydeep.cli.options import Boxes, Json, Model, check_files
from verydeep.cli.output import list_unreadable, print_csv, print_result
from verydeep.errors import InputError
from verydeep.evaluation.protocol import TestProtocol
from verydeep.localization.protocol import BoxProtocol
from verydeep.models.path import check_models
from verydeep.system.files import check_writable
from verydeep.system.settings import Compute

PREDICT_EXAMPLES = (
    "Examples:  verydeep predict runs/a cat.jpg   |   verydeep predict pets.onnx cat.jpg   |   "
    "verydeep predict runs/a photos/ --top 3 --csv > photos.csv   |   verydeep predict runs/a "
    "photos/ --boxes runs/boxes --out drawn   |   verydeep predict runs/a photos/ --sort sorted "
    "--least 0.8"
)


@option_group("compute", Compute, "device", "precision", "engine")
@option_group("merging", BoxProtocol, "threshold")
@option_group("views", TestProtocol, "scales", "flip", "grid")
def predict(
    *,
    model: Model,
    files: Annotated[list[str], typer.Argument(help="Images; a folder stands for those in it.")],
    top: Annotated[int, typer.Option(min=1, help="Number of classes to list.")] = 5,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print one line of CSV per image.")] = False,
    abstain: Annotated[
        bool | None,
        typer.Option(
            "--abstain/--no-abstain",
            help="Say which images the model does not know, and list the classes that are "
            "possible; default: if it has learned that (verydeep calibrate).",
        ),
    ] = None,
    boxes: Boxes = None,
    protocol: Annotated[
        str | None, typer.Option(help="Protocol of the boxes: dense (default) or crops.")
    ] = None,
    views: dict[str, Any],
    merging: dict[str, Any],
    compute: dict[str, Any],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the images with the box of the most probable class."),
    ] = None,
    draw_above: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Also draw boxes of other classes with at least this probability, such as 0.2.",
        ),
    ] = None,
    sort: Annotated[
        Path | None,
        typer.Option(help="Folder to copy the images into, with one folder per class."),
    ] = None,
    least: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="With --sort: put images with a lower probability into unsure/."
        ),
    ] = None,
    move: Annotated[
        bool, typer.Option("--move", help="With --sort: move the images instead of copying them.")
    ] = False,
) -> None:
    """Classify images, and with --boxes locate the objects."""
    if as_json and as_csv:
        raise InputError("--json and --csv exclude each other")
    if out and not boxes:
        raise InputError("--out draws boxes: name a box regressor with --boxes")
    if abstain and boxes:
        raise InputError("--abstain is of classifiers alone: leave out --boxes")
    if draw_above is not None and not out:
        raise InputError("--draw-above is about drawn boxes: name a folder for them with --out")
    if not sort and (least is not None or move):
        raise InputError("--least and --move are of --sort: name the folder to sort into")
    for folder in filter(None, (out, sort)):
        check_writable(folder)
    check_models(model, torchvision="vgg" if boxes else "any")
    check_models(*(boxes or ()))
    check_files(files)
    from verydeep.cli.text import predictions as tables
    from verydeep.run.predict import draw_predictions
    from verydeep.run.predict import predict as predict_all
    from verydeep.system.progress import console_progress

    progress = console_progress()
    how = BoxProtocol(protocol, **views, **merging)  # type: ignore[arg-type]
    predictions = predict_all(
        model,
        files,
        how,
        boxes=boxes or (),
        top=top,
        abstain=abstain,
        compute=Compute(**compute),
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
        raise InputError("none of the images can be read")
