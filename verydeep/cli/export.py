"""Verb ``export``: files for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from verydeep.cli.options import Json, check_files
from verydeep.cli.output import print_result

EXPORT_EXAMPLES = (
    "Examples:  verydeep export runs/a --out pets.onnx   |   verydeep export runs/a --to openvino "
    "--dense --out pets.xml   |   verydeep export torchvision/vgg16 --out vgg16.onnx --pictures "
    "photos/   |   verydeep export runs/a --to web --out pets.html   |   verydeep predict "
    "pets.onnx cat.jpg   |   verydeep evaluate pets.onnx --data pets"
)


def export(
    *,
    model: Annotated[
        str, typer.Argument(help="Model or run folder, or weights such as torchvision/vgg16.")
    ],
    out: Annotated[Path, typer.Option(help="File to write: F.onnx, F.xml, F.pt2 or F.html.")],
    to: Annotated[
        str | None,
        typer.Option(
            help="onnx, openvino, torch (torch.export), or web: one HTML file that classifies "
            "images in a browser, without a network. Default: by the name of the file."
        ),
    ] = None,
    dense: Annotated[
        bool,
        typer.Option("--dense", help="Take images of any size from the input size on."),
    ] = False,
    pictures: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="Image or folder to compare answers on; repeatable. Default: 16 of the run's "
            "training images.",
        ),
    ] = None,
    bound: Annotated[
        float | None,
        typer.Option(
            help="Largest accepted difference of a probability or a distance; default: 0.0001; "
            "with --int8 0.2, of web 0.05."
        ),
    ] = None,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="The variant made by verydeep quantize; with --to web: weights in 8 bits.",
        ),
    ] = False,
    runtime: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.tgz",
            help="With --to web: npm's package onnxruntime-web, packed or installed; default: "
            "fetched once by npm.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Export a classifier to a file for other runtimes, and prove that it answers alike.

    The file takes RGB pixels and gives probabilities; classes, test settings, licence and measured
    errors are inside, and what verydeep calibrate has taught the model. Nothing is written if it
    answers otherwise than the model.
    """
    check_files(pictures or [])
    from verydeep.run.export import export as export_model
    from verydeep.system.progress import console_progress

    result = export_model(
        model,
        out,
        to=to,
        dense=dense,
        pictures=pictures,
        bound=bound,
        int8=int8,
        runtime=runtime,
        progress=console_progress(),
    )
    print_result(result.to_dict(), "\n".join(result.lines()), as_json)
