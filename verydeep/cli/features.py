"""Verbs ``features`` and ``probe``: transfer a trained net to another data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from verydeep.cli.groups import option_group
from verydeep.cli.options import Data, Json, Layout, VggClassifier, costs_in
from verydeep.cli.output import list_unreadable, print_result, progress_of
from verydeep.errors import DataError
from verydeep.models.path import check_models
from verydeep.system.settings import Compute
from verydeep.transfer.descriptor import Descriptor

FEATURES_EXAMPLES = (
    "Examples:  verydeep features runs/d flowers --out flowers.parquet   |   verydeep features "
    "runs/d flowers --out flowers.npz --scales 256,384,512 --aggregate stack   |   verydeep "
    "features runs/d flowers --out flowers.parquet --processes 4   |   then  "
    "verydeep probe flowers.parquet"
)
PROBE_EXAMPLES = (
    "Examples:  verydeep probe flowers.parquet   |   verydeep probe flowers.parquet "
    "--C 1,10,100 --folds 3 --out probes/flowers   |   verydeep probe flowers.parquet --C 10 "
    "--split val --json"
)


@option_group("compute", Compute, "device", "precision", "engine", "workers", "processes")
@option_group("how", Descriptor, "scales", "flip", "layer", "aggregate")
def features(
    *,
    model: VggClassifier,
    data: Data,
    out: Annotated[
        Path, typer.Option(help="File to write: .parquet (extra: parquet), or .npz for NumPy.")
    ],
    how: dict[str, Any],
    compute: dict[str, Any],
    seed: Annotated[int, typer.Option(min=0, help="Random seed for drawing splits.")] = 0,
    layout: Layout = None,
    as_json: Json = False,
) -> None:
    """Extract a feature vector for every image of a data set, for use with another classifier.

    The net is applied densely. The activations of its penultimate layer are averaged over
    positions, mirror image and scales, and L2-normalized.
    """
    check_models(model, torchvision="vgg")
    from verydeep.cli.text.features import features_as_text
    from verydeep.run.features import extract_features
    from verydeep.system.group.distributed import joined

    with joined() as group:
        written = extract_features(
            model,
            data,
            out,
            Descriptor(**how),
            seed=seed,
            layout=layout,
            compute=Compute(**compute),
            progress=progress_of(group.rank),
        )
    if group.rank == 0:
        list_unreadable(written.about.unreadable)
        value = written.to_dict()
        print_result(value, features_as_text(value), as_json)


def probe(
    file: Annotated[Path, typer.Argument(help="Features written by verydeep features.")],
    costs: Annotated[
        str | None,
        typer.Option(
            "--C",
            help="The SVM's cost of errors: a number, or several to choose from by "
            "cross-validation. Default: 0.1,1,10,100,1000.",
        ),
    ] = None,
    folds: Annotated[int, typer.Option(help="Number of folds of the training split.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the folds and the solver.")] = 0,
    split: Annotated[str | None, typer.Option(help="Default: test, or val if none.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for probe.json and answers.csv.")] = None,
    as_json: Json = False,
) -> None:
    """Measure how well features separate classes: train and test a linear SVM.

    C is chosen on the training split alone; the other split is used once, at the end.
    """
    if not file.exists():  # checked before the slow imports
        raise DataError(f"{file}: no such file; verydeep features writes one")
    from verydeep.cli.text.features import probe_as_text
    from verydeep.run.features import write_probe
    from verydeep.system.progress import console_progress
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
