"""Verbs ``bulk predict`` and ``bulk features``: very many images, on this machine or a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from verydeep.cli.groups import option_group
from verydeep.cli.options import Json, Model, VggClassifier
from verydeep.cli.output import print_result
from verydeep.evaluation.protocol import TestProtocol
from verydeep.models.path import check_models
from verydeep.run.bulk.settings import PART_SIZE, Cluster
from verydeep.system.settings import Compute
from verydeep.transfer.descriptor import Descriptor

if TYPE_CHECKING:
    from verydeep.run.bulk.result import BulkResult

BULK_EXAMPLES = (
    "Examples:  verydeep bulk predict runs/a photos --out named   |   verydeep bulk predict runs/a "
    "s3://bucket/photos --out named --address auto"
)
BULK_PREDICT_EXAMPLES = (
    "Examples:  verydeep bulk predict runs/a photos --out named   |   verydeep bulk predict runs/a "
    "'s3://bucket/train-{000..146}.tar' --out named --top 1   |   verydeep bulk predict "
    "torchvision/vgg16 list.parquet --column path --out named --address auto"
)
BULK_FEATURES_EXAMPLES = (
    "Examples:  verydeep bulk features runs/a photos --out vectors   |   verydeep bulk features "
    "torchvision/vgg16 's3://bucket/train-{000..146}.tar' --out vectors --layer fc6"
)

bulk = typer.Typer(
    name="bulk",
    no_args_is_help=True,
    help="Work on very many images with Ray: each once, also after a stop (extra: ray).",
    epilog=BULK_EXAMPLES,
)

Source = Annotated[
    str,
    typer.Argument(
        help="Folder of images or of shards; pattern like 'photos/*.jpg' or "
        "'train-{000..146}.tar'; or table (.parquet, .csv, .tsv, .jsonl) with a column of paths. "
        "Local, or s3://, gs://, hf://, https://."
    ),
]
Out = Annotated[Path, typer.Option(help="Output folder; a job that was begun there goes on.")]
Column = Annotated[
    str | None,
    typer.Option(help="Column of the table that names images; default: file, path, image …"),
]
PartSize = Annotated[
    int, typer.Option(min=1, help="Images per part, which is the unit of progress.")
]


@bulk.command(epilog=BULK_PREDICT_EXAMPLES)
@option_group("compute", Compute, "device", "precision", "engine")
@option_group("cluster", Cluster, "address", "actors", "cores_per_actor")
@option_group("views", TestProtocol, "scales", "flip")
def predict(
    *,
    model: Model,
    source: Source,
    out: Out,
    column: Column = None,
    top: Annotated[int, typer.Option(min=1, help="Number of classes per image.")] = 5,
    views: dict[str, Any],
    part_size: PartSize = PART_SIZE,
    cluster: dict[str, Any],
    compute: dict[str, Any],
    as_json: Json = False,
) -> None:
    """Classify very many images: one row of a Parquet table for each, as predict answers.

    The rows are in OUT/parts. A file that cannot be read has a row with the reason. The same
    command goes on after a stop.
    """
    check_models(model, torchvision="any")
    from verydeep.run.bulk.predict import bulk_predict
    from verydeep.system.progress import console_progress

    result = bulk_predict(
        model,
        source,
        out,
        column=column,
        top=top,
        **views,
        part_size=part_size,
        cluster=Cluster(**cluster),
        compute=Compute(**compute),
        progress=console_progress(),
    )
    _print(result, as_json)


@bulk.command(epilog=BULK_FEATURES_EXAMPLES)
@option_group("compute", Compute, "device", "precision", "engine")
@option_group("cluster", Cluster, "address", "actors", "cores_per_actor")
@option_group("how", Descriptor, "scales", "flip", "layer", "aggregate")
def features(
    *,
    model: VggClassifier,
    source: Source,
    out: Out,
    column: Column = None,
    how: dict[str, Any],
    part_size: PartSize = PART_SIZE,
    cluster: dict[str, Any],
    compute: dict[str, Any],
    as_json: Json = False,
) -> None:
    """Extract a feature vector for each of very many images: one row of a Parquet table each.

    The rows are in OUT/parts; images need no classes. The same command goes on after a stop.
    """
    check_models(model, torchvision="vgg")
    from verydeep.run.bulk.features import bulk_features
    from verydeep.system.progress import console_progress

    result = bulk_features(
        model,
        source,
        out,
        Descriptor(**how),
        column=column,
        part_size=part_size,
        cluster=Cluster(**cluster),
        compute=Compute(**compute),
        progress=console_progress(),
    )
    _print(result, as_json)


def _print(result: BulkResult, as_json: bool) -> None:
    from verydeep.cli.text.bulk import bulk_as_text

    value = result.to_dict()
    print_result(value, bulk_as_text(value), as_json)
