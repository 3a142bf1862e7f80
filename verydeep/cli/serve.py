"""Verb ``serve``: answer HTTP requests with trained models."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from verydeep.cli.groups import option_group
from verydeep.cli.options import Boxes
from verydeep.evaluation.protocol import TestProtocol
from verydeep.models.path import check_models
from verydeep.serve.settings import PORT, Access, Limits, named_models, read_token
from verydeep.system.settings import Compute

SERVE_EXAMPLES = (
    "Examples:  verydeep serve runs/a   |   verydeep serve pets=runs/a torchvision/vgg16 --port "
    "8000   |   curl --data-binary @cat.jpg http://127.0.0.1:8080/v1/predict   |   verydeep serve "
    "runs/a --watch inbox --out named.csv"
)


@option_group("compute", Compute, "device", "precision", "engine")
@option_group("views", TestProtocol, "scales", "flip")
@option_group(
    "limits", Limits, "max_bytes", "max_pixels", "max_images", "max_seconds", "queue", "wait"
)
def serve(
    *,
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL",
            help="Model or run folders, exported files, hf:owner/name or torchvision/NAME; each "
            "as NAME=MODEL to name it. The first answers unless a request names another.",
        ),
    ],
    boxes: Boxes = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one and prints it.")
    ] = PORT,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the token that requests must bear; or set VERYDEEP_TOKEN. Default: "
            "none."
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Origin of other web pages that may ask, like https://example.org; repeatable.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Further name of a server on the loopback interface, such as a proxy's; "
            "repeatable.",
        ),
    ] = None,
    center: Annotated[
        bool, typer.Option("--center", help="Use only the central square of the net's input size.")
    ] = False,
    views: dict[str, Any],
    limits: dict[str, Any],
    decoders: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that decode images; default: one a core, at most 4."),
    ] = None,
    watch: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Name the images in this folder, too, as they come."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Table for --watch: FILE.csv or FILE.parquet.")
    ] = None,
    compute: dict[str, Any],
) -> None:
    """Answer HTTP requests with trained models: a page for people, an API for programs.

    Listens on this machine only, unless --host says otherwise. Stops on Ctrl-C or SIGTERM, after
    the requests that it has accepted.
    """
    check_models(*named_models(models).values(), torchvision="any")
    check_models(*(boxes or ()))
    access = Access(
        read_token(token_file, os.environ), tuple(allow_origin or ()), tuple(allow_host or ())
    )
    settings = Limits(**limits)
    from verydeep.serve.start import check_installed, serve_models
    from verydeep.system.progress import console_progress

    check_installed()
    from verydeep.serve.models import Views

    serve_models(
        models,
        boxes=boxes or (),
        host=host,
        port=port,
        views=Views(**views, center=center),
        compute=Compute(**compute),
        limits=settings,
        access=access,
        decoders=decoders,
        watch=watch,
        out=out,
        progress=console_progress(),
    )
