"""The verbs ``features`` and ``probe``: a trained net on another data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from verydeep.cli_options import (
    Data,
    Device,
    Json,
    Layout,
    Precision,
    Workers,
    costs_in,
    scales_in,
)
from verydeep.cli_print import list_unreadable, print_result, progress_of
from verydeep.errors import DataError
from verydeep.model_path import check_models

FEATURES_EXAMPLES = (
    "Examples:  verydeep features runs/d flowers --out flowers.parquet   |   verydeep features "
    "runs/d flowers --out flowers.npz --scales 256,384,512 --aggregate stack   |   then  "
    "verydeep probe flowers.parquet"
)
PROBE_EXAMPLES = (
    "Examples:  verydeep probe flowers.parquet   |   verydeep probe flowers.parquet "
    "--C 1,10,100 --folds 3 --out probes/flowers   |   verydeep probe flowers.parquet --C 10 "
    "--split val --json"
)


def features(
    model: Annotated[
        str,
        typer.Argument(help="Model or run folder of a classifier, or torchvision/vgg16 and kin."),
    ],
    data: Data,
    out: Annotated[
        Path, typer.Option(help="File to write: .parquet (extra: parquet), or .npz for NumPy.")
    ],
    scales: Annotated[
        str | None,
        typer.Option(
            help="Q, like 256 or 256,384,512; or the paper's for the training scale: single or "
            "multi. Default: as the model was tested."
        ),
    ] = None,
    flip: Annotated[
        bool | None,
        typer.Option("--flip/--no-flip", help="Average with mirror images; default: as trained."),
    ] = None,
    layer: Annotated[
        str, typer.Option(help="fc7 (the penultimate layer), fc6 or pool5: whose activations.")
    ] = "fc7",
    aggregate: Annotated[
        str, typer.Option(help="mean or stack: scales averaged, or one after the other.")
    ] = "mean",
    seed: Annotated[int, typer.Option(min=0, help="Of splits that are drawn by rule.")] = 0,
    layout: Layout = None,
    device: Device = None,
    precision: Precision = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Describe every picture of a data set by a vector, for another classifier.

    The net is applied densely; the activations of its penultimate layer are averaged over
    positions, mirror image and scales, and divided by their Euclidean length.
    """
    check_models(model, torchvision="vgg")
    from verydeep.distributed import joined
    from verydeep.run.features import FeatureRequest, extract_features
    from verydeep.tables.features import features_as_text

    request = FeatureRequest(
        model=model,
        data=data,
        scales=scales_in(scales),
        flip=flip,
        layer=layer,
        aggregate=aggregate,
        layout=layout,
        seed=seed,
        device=device,
        precision=precision,
        workers=workers,
    )
    with joined() as group:
        written = extract_features(request, out, progress_of(group.rank))
    if group.rank == 0:
        list_unreadable(written.about.unreadable)
        value = written.to_dict()
        print_result(value, features_as_text(value), as_json)


def probe(
    file: Annotated[Path, typer.Argument(help="Features, as verydeep features writes them.")],
    costs: Annotated[
        str | None,
        typer.Option(
            "--C",
            help="The SVM's cost of errors: a number, or several to choose from by "
            "cross-validation. Default: 0.1,1,10,100,1000.",
        ),
    ] = None,
    folds: Annotated[int, typer.Option(help="Parts of the training split held out in turn.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the folds and the solver.")] = 0,
    split: Annotated[str | None, typer.Option(help="Default: test, or val if none.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for probe.json and answers.csv.")] = None,
    as_json: Json = False,
) -> None:
    """Measure how well features tell classes apart: a linear SVM, trained and tested.

    C is chosen on the training split alone; the other split is looked at once, at the end.
    """
    if not file.exists():  # told before the slow imports
        raise DataError(f"{file}: no such file; verydeep features writes one")
    from verydeep.progress import console_progress
    from verydeep.run.features import write_probe
    from verydeep.tables.features import probe_as_text
    from verydeep.transfer.probe import GRID
    from verydeep.transfer.probe import probe as probe_features

    result = probe_features(
        file,
        C=costs_in(costs) if costs else GRID,
        folds=folds,
        seed=seed,
        split=split,
        progress=console_progress(),
    )
    if out:
        write_probe(result, out)
    value = result.to_dict()
    text = probe_as_text(value) + (f"\n\nfiles in {out}" if out else "")
    print_result(value, text, as_json)
