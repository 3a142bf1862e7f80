"""Verbs ``train`` and ``demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from verydeep.cli.groups import option_group
from verydeep.cli.options import Data, GroupBy, Json, Layout, Net, RecipeName, Task
from verydeep.cli.output import list_unreadable, print_result, print_run
from verydeep.models.path import check_models
from verydeep.system.settings import Compute
from verydeep.training.folds_folder import is_cross_validation

DEMO_EXAMPLES = "Example:  verydeep demo --out runs/demo"
TRAIN_EXAMPLES = (
    "Examples:  verydeep train pets --out runs/a   |   verydeep train pets --epochs 100 "
    "--out runs/a2   |   verydeep train pets --out runs/a --resume   |   verydeep train pets "
    "--net B --init-from runs/a --out runs/b   |   verydeep train pets --recipe paper --out runs/d "
    "--set training.learning_rate=0.001 --set 'data.train_scale=[256, 512]'   |   verydeep train "
    "pets --out runs/e --processes 4   |   verydeep train scans.csv --out runs/cv --folds 5 "
    "--group-by column:patient"
)


def demo(
    out: Annotated[Path, typer.Option(help="The run folder.")] = Path("runs/demo"),
    three_d: Annotated[
        bool, typer.Option("--three-d", help="Digits in space instead: volumes, without boxes.")
    ] = False,
    resume: Annotated[bool, typer.Option(help="Resume an interrupted demo.")] = False,
    as_json: Json = False,
) -> None:
    """Train and test on built-in handwritten digits (classes and boxes), in minutes on a laptop."""
    from verydeep.cli.text.demo import demo_as_text
    from verydeep.cli.text.results import run_as_text
    from verydeep.run.demo import run_demo, run_demo_of_volumes
    from verydeep.system.progress import console_progress

    if three_d:
        found = run_demo_of_volumes(out, resume=resume, progress=console_progress())
        list_unreadable(found["unreadable"])
        print_result(found, run_as_text(found, out) + f"\n\npage  {found['page']}", as_json)
        return
    metrics = run_demo(out, resume=resume, progress=console_progress())
    list_unreadable(metrics["unreadable"])
    print_result(metrics, demo_as_text(metrics, out), as_json)


@option_group("compute", Compute, "device", "precision", "engine")
def train(
    *,
    data: Data,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Run folder; default: runs/ and the name of DATA, with a number if it is taken."
        ),
    ] = None,
    net: Net = None,
    recipe: RecipeName = "auto",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting.")
    ] = None,
    init_from: Annotated[
        str | None,
        typer.Option(
            help="Model or run, hf:owner/name, or torchvision/vgg16 or the like to begin with: its "
            "first four convolutions and FC layers, as in the paper, or with --set "
            "initialize.layers=all, and of published weights, all that fit."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the run in --out, or the latest one.")
    ] = False,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Maximum number of epochs; with --resume, a larger number continues the training."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed.")] = None,
    group_by: GroupBy = None,
    folds: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Cross-validate: train a net for each of as many folds, in RUN/fold-1 and so on, "
            "each tested on its fold.",
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes on this machine that share every batch, one a GPU; default: 1. For "
            "several machines: torchrun, or verydeep slurm.",
        ),
    ] = None,
    layout: Layout = None,
    task: Task = None,
    compute: dict[str, Any],
    as_json: Json = False,
) -> None:
    """Train a net by a recipe, test it, and save model, metrics and report in a run folder."""
    from verydeep.system.group.distributed import is_first
    from verydeep.system.progress import console_progress
    from verydeep.system.yaml import one_value

    flags = {
        "net.name": net,
        "data.task": task,
        "initialize.source": init_from,
        "data.group_by": group_by,
        "training.epochs": epochs,
        "training.seed": seed,
        "training.device": compute["device"],
        "training.precision": compute["precision"],
        "test.engine": None if compute["engine"] == "auto" else compute["engine"],
    }
    given = [f"{key}={one_value(value)}" for key, value in flags.items() if value is not None]
    if not resume:
        check_models(init_from, torchvision="vgg")
    common: dict[str, Any] = {
        "settings": [*(settings or []), *given],
        "resume": resume,
        "layout": layout,
        "processes": processes,
        "progress": console_progress(),
    }
    if folds is not None or (resume and out is not None and is_cross_validation(out)):
        _cross_validate(data, folds, recipe, out, common, as_json)
        return
    from verydeep.run.training.train import train as train_net

    result = train_net(data, recipe, out, **common)
    if is_first():
        print_run(result.to_dict(), result.run, as_json)


def _cross_validate(
    data: str,
    folds: int | None,
    recipe: str,
    out: Path | None,
    common: dict[str, Any],
    as_json: bool,
) -> None:
    """Train a net for each fold, and print the results of all."""
    from verydeep.cli.text.folds import folds_as_text
    from verydeep.run.training.cross_validate import cross_validate

    result = cross_validate(data, folds, recipe, out, **common)
    value = result.to_dict()
    list_unreadable(value["unreadable"])
    print_result(value, folds_as_text(value, result.run), as_json)
