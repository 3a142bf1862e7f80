"""The verb ``explain``: what happens inside a net, from a picture deeper and deeper."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from verydeep.cli_options import Boxes, Device, Json, Precision, check_files, sizes_in
from verydeep.cli_print import list_unreadable, print_result
from verydeep.model_path import check_models

EXPLAIN_EXAMPLES = (
    "Examples:  verydeep explain runs/a cat.jpg --out inside   |   verydeep explain runs/a cat.jpg "
    "--out inside --label dog --only maps --layer conv3_1   |   verydeep explain runs/a cat.jpg "
    "--out inside --among pets --channel conv3_1:17 --channel pool5:3   |   then open "
    "inside/index.html"
)


def explain(
    model: Annotated[
        str,
        typer.Argument(help="Model or run folder of a classifier, or torchvision/vgg16 and kin."),
    ],
    files: Annotated[list[str], typer.Argument(help="Pictures; a folder stands for those in it.")],
    out: Annotated[Path, typer.Option(help="Folder for the page and its drawings.")],
    label: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="Class whose score is looked into; default: the one the net finds likeliest.",
        ),
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layer",
            metavar="NAME",
            help="To draw besides the usual, as conv3_1; repeatable.",
        ),
    ] = None,
    channels: Annotated[
        list[str] | None,
        typer.Option(
            "--channel",
            metavar="LAYER:NUMBER",
            help="As conv3_1:17: show what of --among excites it most; repeatable.",
        ),
    ] = None,
    among: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Folder or data set to look through for what excites channels; without "
            "--channel, the strongest of each block.",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Pictures shown for a channel.")] = 9,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SECTION",
            help="maps, receptive-field, saliency, guided-backprop, grad-cam, occlusion, exciting "
            "(with --among), class-model, boxes (with --boxes), filters; repeatable. Default: all "
            "that are quick.",
        ),
    ] = None,
    scale: Annotated[
        int | None,
        typer.Option(
            "--scale",
            "--size",
            help="Smallest side the picture is rescaled to; default: the first the model was "
            "tested at, or with --center the net's input size.",
        ),
    ] = None,
    center: Annotated[
        bool, typer.Option("--center", help="Only the central square of the net's input size.")
    ] = False,
    boxes: Boxes = None,
    box_scales: Annotated[
        str | None,
        typer.Option(
            metavar="Q,Q,…",
            help="Smallest sides the picture is rescaled to for the box nets, as 64,96; "
            "default: those they were tested at.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Draw what the class looks like to the net (class-model) in so many steps; "
            "default, with --only class-model: 128. Takes minutes with a large net.",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            help="Of chance: where a class model begins, how splits of --among are drawn.",
        ),
    ] = 0,
    device: Device = None,
    precision: Precision = None,
    as_json: Json = False,
) -> None:
    """Look inside a net: what it makes of a picture, layer by layer, as a page to open.

    Feature maps, receptive fields, which pixels a class hangs on, first filters; what excites a
    channel and what a class looks like, if asked for. The page is index.html in --out, with its
    drawings as files beside it.
    """
    check_models(model, torchvision="vgg")
    check_models(*(boxes or ()))
    check_files(files)
    from verydeep.progress import console_progress
    from verydeep.run.explain import ExplainRequest, explain_pictures
    from verydeep.tables.explain import explain_as_text

    rule = "--box-scales must be whole numbers"
    sizes = None if box_scales is None else sizes_in(box_scales, rule)
    request = ExplainRequest(
        model=model,
        pictures=files,
        label=label,
        layers=tuple(layers or ()),
        channels=tuple(channels or ()),
        among=among,
        top=top,
        scale=scale,
        center=center,
        only=tuple(only or ()),
        boxes=tuple(boxes or ()),
        box_scales=sizes,
        steps=steps,
        seed=seed,
        device=device,
        precision=precision,
        command=shlex.join(["verydeep", *sys.argv[1:]]),
    )
    value = explain_pictures(request, out, console_progress())
    list_unreadable(value["unreadable"])
    print_result(value, explain_as_text(value), as_json)
