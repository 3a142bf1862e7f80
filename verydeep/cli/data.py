"""Verbs ``check`` and ``shard``, for data sets before training."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from verydeep.cli.groups import option_group
from verydeep.cli.options import Data, GroupBy, Json, Layout, Task
from verydeep.cli.output import list_unreadable, print_result
from verydeep.cli.text.columns import align
from verydeep.errors import DataError, InputError
from verydeep.models.path import check_models
from verydeep.system.settings import Compute, default_of
from verydeep.training.folds_folder import is_cross_validation

if TYPE_CHECKING:
    from verydeep.data.shards.write import Written

CHECK_EXAMPLES = (
    "Examples:  verydeep check pets   |   verydeep check pets --out pets-check   |   "
    "verydeep check pets --limit 0.05 --no-colours --json > pets.json   |   verydeep check pets "
    "--features torchvision/vgg16 --out pets-check   |   verydeep check pets --model runs/cv"
)
SHARD_EXAMPLES = (
    "Examples:  verydeep shard pets pets-shards   |   verydeep shard pets pets-shards "
    "--samples 1000 --seed 1   |   then  verydeep train pets-shards --out runs/d"
)


@option_group("compute", Compute, "workers", "device", "precision", "engine")
def check(
    *,
    data: Data,
    out: Annotated[
        Path | None, typer.Option(help="Folder for an HTML page and lists of files.")
    ] = None,
    limit: Annotated[
        float,
        typer.Option(min=0, max=1, help="Maximum share of broken files (data.unreadable_limit)."),
    ] = 0.01,
    colours: Annotated[
        bool,
        typer.Option(
            help="Measure mean RGB and principal axes as training does; without, large JPEGs are "
            "read several times as fast."
        ),
    ] = True,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Also list labels that are likely wrong: by the nets of a cross-validation (train "
            "--folds), or by a run or model on images that it was not trained on.",
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="The same by a logistic regression in folds on the features of a model, or on a "
            "file of verydeep features.",
        ),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Folds of that logistic regression; default: 5.")
    ] = None,
    layout: Layout = None,
    group_by: GroupBy = None,
    task: Task = None,
    compute: dict[str, Any],
    as_json: Json = False,
) -> None:
    """Check a data set before training: broken files, duplicates, leakage, odd classes.

    The data are not changed. The exit code is 2 if training would fail or its results would be
    misleading: too many broken files, the same image in train and in val or test, or an image in
    two classes. In that case lists of the files are written to --out, or by default to DATA-check/
    in the current folder.

    With --model or --features, labels that are likely wrong are listed, too; they do not change the
    exit code.
    """
    _check_judge(model, features, folds, compute)
    if model is not None and not is_cross_validation(model):
        check_models(model)
    check_models(features, torchvision="vgg")
    from verydeep.checks.check import check as check_data
    from verydeep.checks.default_output import keep_lists
    from verydeep.checks.open_dataset import refusal_as_dict
    from verydeep.cli.text.check import check_as_text
    from verydeep.system.progress import console_progress

    progress = console_progress()
    try:
        report = check_data(
            data,
            out=out,
            limit=limit,
            layout=layout,
            group_by=group_by,
            task=task,  # type: ignore[arg-type]
            colours=colours,
            compute=Compute(**compute),
            progress=progress,
        )
    except DataError as error:
        if as_json:
            print_result(refusal_as_dict(data, error), "", as_json)
        raise
    value = report.to_dict()
    text = check_as_text(value, out)
    fault = None
    if model is not None or features is not None:
        how: dict[str, Any] = {"folds": folds or 5, "group_by": group_by, "layout": layout}
        how |= {"out": out, "task": task, "compute": Compute(**compute), "progress": progress}
        try:
            value["label_errors"], labels = _label_errors(data, model, features, how)
            text = f"{labels}\n\n{text}"
        except InputError as error:  # after the results of the check, which took their time
            fault = error
    print_result(value, text, as_json)
    if fault:
        raise fault
    if report.exit_code:
        if out is None:
            progress.log(keep_lists(report, workers=compute["workers"], progress=progress))
        raise typer.Exit(report.exit_code)


def _check_judge(
    model: str | None, features: str | None, folds: int | None, compute: dict[str, Any]
) -> None:
    """Refuse options about the judge of labels that would be ignored."""
    if model is not None and features is not None:
        raise InputError("--model and --features are two sources of one judgement: give one")
    if folds is not None and features is None:
        raise InputError("--folds is for a logistic regression: name its features with --features")
    for name in ("device", "precision", "engine") if model is None and features is None else ():
        if compute[name] != default_of(Compute, name):
            raise InputError(
                f"--{name} is for a net that judges labels: name one with --model or --features"
            )


def _label_errors(
    data: str, model: str | None, features: str | None, how: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    """Return labels that are likely wrong, as plain values and as text."""
    from verydeep.cli.text.labels import labels_as_text
    from verydeep.run.label_errors import find_label_errors

    found = find_label_errors(data, model=model, features=features, **how).to_dict()
    return found, labels_as_text(found, how["out"])


@option_group("compute", Compute, "workers")
def shard(
    *,
    data: Data,
    out: Annotated[Path, typer.Argument(help="Folder to write to; empty or new.")],
    samples: Annotated[
        int, typer.Option(min=1, help="Maximum number of samples in a shard.")
    ] = 10_000,
    mebibytes: Annotated[
        int, typer.Option(min=1, help="Approximate maximum size of a shard.")
    ] = 1024,
    seed: Annotated[
        int,
        typer.Option(
            min=0, help="Random seed for the order of training samples and for drawing splits."
        ),
    ] = 0,
    limit: Annotated[
        float, typer.Option(min=0, max=1, help="Maximum share of broken files.")
    ] = 0.01,
    layout: Layout = None,
    group_by: GroupBy = None,
    compute: dict[str, Any],
    as_json: Json = False,
) -> None:
    """Write a data set as tar shards for sequential streaming.

    Images are copied byte for byte; broken ones are left out and listed. Any program that supports
    WebDataset can read the shards.
    """
    from verydeep.data.read import read_dataset
    from verydeep.data.shards.write import write_shards
    from verydeep.system.progress import console_progress

    progress = console_progress()
    dataset = read_dataset(
        data, layout=layout, seed=seed, stream=False, group_by=group_by, progress=progress
    )
    progress.log(f"{dataset.place}: {dataset.describe()}")
    written = write_shards(
        dataset,
        out,
        samples=samples,
        mebibytes=mebibytes,
        seed=seed,
        limit=limit,
        workers=compute["workers"],
        progress=progress,
    )
    list_unreadable(written.unreadable, "left out")
    print_result(shards_as_json(written), shards_as_text(written), as_json)


def shards_as_json(written: Written) -> dict[str, Any]:
    """Return a summary of the shards as plain values."""
    return {
        "folder": str(written.folder),
        "splits": {
            name: {"samples": written.samples[name], "shards": len(entry.shards)}
            for name, entry in written.manifest.splits.items()
        },
        "classes": len(written.manifest.classes),
        "bytes": written.bytes,
        "unreadable": list(written.unreadable),
    }


def shards_as_text(written: Written) -> str:
    """Return a summary of the shards as a table, with the next step."""
    rows = [
        [name, f"{written.samples[name]:,}", f"{len(entry.shards):,}"]
        for name, entry in written.manifest.splits.items()
    ]
    table = align([["split", "samples", "shards"], *rows])
    return (
        f"{table}\n\n{written.bytes / 2**20:,.1f} MiB in {written.folder}; train with "
        f"verydeep train {shlex.quote(str(written.folder))} --out RUN"
    )
