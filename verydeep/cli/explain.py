"""Verb ``explain``: look inside a net, layer by layer."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from verydeep.cli.groups import option_group
from verydeep.cli.options import Boxes, Json, VggClassifier, check_files, sizes_in
from verydeep.cli.output import list_unreadable, print_result
from verydeep.cli.text.columns import align
from verydeep.models.path import check_models
from verydeep.system.settings import Compute

EXPLAIN_EXAMPLES = (
    "Examples:  verydeep explain runs/a cat.jpg --out inside   |   verydeep explain runs/a cat.jpg "
    "--out inside --label dog --only maps --layer conv3_1   |   verydeep explain runs/a cat.jpg "
    "--out inside --among pets --channel conv3_1:17 --channel pool5:3"
)


@option_group("compute", Compute, "device", "precision")
def explain(
    *,
    model: VggClassifier,
    files: Annotated[list[str], typer.Argument(help="Images; a folder stands for those in it.")],
    out: Annotated[Path, typer.Option(help="Folder for the page and its drawings.")],
    label: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="Class to explain; default: the most probable one.",
        ),
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layer",
            metavar="NAME",
            help="Additional layer to draw, such as conv3_1; repeatable.",
        ),
    ] = None,
    channels: Annotated[
        list[str] | None,
        typer.Option(
            "--channel",
            metavar="LAYER:NUMBER",
            help="As conv3_1:17: show the images of --among that activate it most; repeatable.",
        ),
    ] = None,
    among: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Folder or data set to search for images that activate channels; without "
            "--channel, the strongest of each block.",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of images to show per channel.")] = 9,
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
            help="Smallest side the image is rescaled to; default: the first the model was "
            "tested at, or with --center the net's input size.",
        ),
    ] = None,
    center: Annotated[
        bool, typer.Option("--center", help="Use only the central square of the net's input size.")
    ] = False,
    boxes: Boxes = None,
    box_scales: Annotated[
        str | None,
        typer.Option(
            metavar="Q,Q,…",
            help="Smallest sides the image is rescaled to for the box regressors, as 64,96; "
            "default: those they were tested at.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of gradient steps for drawing the class model (class-model); "
            "default, with --only class-model: 128. Takes minutes with a large net.",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            help="Random seed, for class models and for drawing splits of --among.",
        ),
    ] = 0,
    compute: dict[str, Any],
    as_json: Json = False,
) -> None:
    """Look inside a net: what it does with an image, layer by layer, as a web page.

    The page shows feature maps, receptive fields, the pixels that determine a class score, and the
    first filters; on request, what activates a channel and what a class looks like to the net. It
    is index.html in --out, with its figures as files beside it.
    """
    check_models(model, torchvision="vgg")
    check_models(*(boxes or ()))
    check_files(files)
    from verydeep.run.explain import explain as explain_images
    from verydeep.system.device import without_secret
    from verydeep.system.progress import console_progress

    rule = "--box-scales must be whole numbers"
    result = explain_images(
        model,
        files,
        out,
        label=label,
        layers=layers or (),
        channels=channels or (),
        among=among,
        top=top,
        scale=scale,
        center=center,
        only=only or (),
        boxes=boxes or (),
        box_scales=None if box_scales is None else sizes_in(box_scales, rule),
        steps=steps,
        seed=seed,
        compute=Compute(**compute),
        command=shlex.join(["verydeep", *map(without_secret, sys.argv[1:])]),
        progress=console_progress(),
    )
    value = result.to_dict()
    list_unreadable(value["unreadable"])
    print_result(value, explain_as_text(value), as_json)


def explain_as_text(value: dict[str, Any]) -> str:
    """Return the class and sections of each image, and the path of the page."""
    rows = [("image", "likeliest", "", "sections")]
    for picture in value["pictures"]:
        likeliest, share = "no classes", ""
        if picture["ranking"]:
            first = picture["ranking"][0]
            likeliest, share = first["class"], f"{100 * first['probability']:.1f} %"
        rows.append((picture["name"], likeliest, share, ", ".join(picture["sections"])))
    return f"{align(rows, left=4)}\n\npage  {Path(value['out']) / 'index.html'}"
