"""The verb ``explain``: what happens inside a net, from a picture deeper and deeper."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from verydeep.cli_options import Device, Json, Precision
from verydeep.cli_print import list_unreadable, print_result

EXPLAIN_EXAMPLES = (
    "Examples:  verydeep explain runs/a cat.jpg --out inside   |   verydeep explain runs/a "
    "photos/ --out inside --only maps --layer conv3_1"
)


def explain(
    model: Annotated[str, typer.Argument(help="Model or run folder of a classifier.")],
    files: Annotated[list[str], typer.Argument(help="Pictures; a folder stands for those in it.")],
    out: Annotated[Path, typer.Option(help="Folder for the page and its drawings.")],
    label: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Asked about; default: the likeliest.")
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option("--layer", metavar="NAME", help="Another to draw, as conv3_1; repeatable."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="SECTION", help="maps, filters; repeatable."),
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
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn by lot.")] = 0,
    device: Device = None,
    precision: Precision = None,
    as_json: Json = False,
) -> None:
    """Look inside a net: what it makes of a picture, layer by layer, as a page to open."""
    from verydeep.progress import console_progress
    from verydeep.run.explain import ExplainRequest, explain_pictures
    from verydeep.tables.explain import explain_as_text

    request = ExplainRequest(
        model=model,
        pictures=files,
        label=label,
        layers=tuple(layers or ()),
        scale=scale,
        center=center,
        only=tuple(only or ()),
        seed=seed,
        device=device,
        precision=precision,
        command=shlex.join(["verydeep", *sys.argv[1:]]),
    )
    value = explain_pictures(request, out, console_progress())
    list_unreadable(value["unreadable"])
    print_result(value, explain_as_text(value), as_json)
