"""The program: verbs that parse, call and print. Results go to stdout, all else to stderr."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from verydeep.cli_evaluate import EXAMPLES, evaluate
from verydeep.cli_explain import EXPLAIN_EXAMPLES, explain
from verydeep.cli_faults import complain, fault_of, flushed_output
from verydeep.cli_features import FEATURES_EXAMPLES, PROBE_EXAMPLES, features, probe
from verydeep.cli_options import (
    Data,
    Device,
    Json,
    Layout,
    Net,
    Precision,
    RecipeName,
    Workers,
)
from verydeep.cli_predict import PREDICT_EXAMPLES, predict
from verydeep.cli_print import list_unreadable, print_result, print_run
from verydeep.cli_runs import RUNS_EXAMPLES, runs
from verydeep.errors import DataError
from verydeep.model_path import check_models, check_run
from verydeep.option_names import flags_in_messages
from verydeep.training.signals import StopAtOnce

app = typer.Typer(
    name="verydeep",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="The VGG system whole: six networks, the training recipe, the test protocols, for your "
    "own pictures.",
    epilog="Begin with:  verydeep demo   or, with a folder of pictures for each class:  "
    "verydeep train pets --out runs/a",
)


@app.callback(invoke_without_command=True)
def _program(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    if version:
        from verydeep import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.command(epilog="Example:  verydeep demo --out runs/demo")
def demo(
    out: Annotated[Path, typer.Option(help="The run folder.")] = Path("runs/demo"),
    resume: Annotated[bool, typer.Option(help="Go on with an interrupted demo.")] = False,
    as_json: Json = False,
) -> None:
    """Learn to name and to find built-in handwritten digits, in minutes on a laptop."""
    from verydeep.progress import console_progress
    from verydeep.run.demo import demo_as_text, run_demo

    metrics = run_demo(out, resume=resume, progress=console_progress())
    list_unreadable(metrics["unreadable"])
    print_result(metrics, demo_as_text(metrics, out), as_json)


@app.command(epilog="Examples:  verydeep nets   |   verydeep nets D --size 64 --classes 10")
def nets(
    name: Annotated[str | None, typer.Argument(help="A, A-LRN, B, C, D or E.")] = None,
    size: Annotated[int, typer.Option(help="Side of the input, pixels.")] = 224,
    classes: Annotated[int, typer.Option(min=1, help="Number of classes K.")] = 1000,
    as_json: Json = False,
) -> None:
    """Show the six nets (Tables 1 and 2), or one of them layer by layer."""
    from verydeep.nets.anatomy import anatomy
    from verydeep.nets.table import NAMES
    from verydeep.tables import nets as tables

    if name is None:
        measured = [anatomy(net, classes, input_size=size) for net in NAMES]
        print_result(tables.nets_as_json(measured), tables.nets_as_text(measured), as_json)
    else:
        one = anatomy(name, classes, input_size=size)
        print_result(tables.layers_as_json(one), tables.layers_as_text(one), as_json)


@app.command(
    epilog="Examples:  verydeep check pets   |   verydeep check pets --out pets-check   |   "
    "verydeep check pets --limit 0.05 --no-colours --json > pets.json"
)
def check(
    data: Data,
    out: Annotated[
        Path | None, typer.Option(help="Folder for a page to look at and lists of files.")
    ] = None,
    limit: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Share of broken files that is too many (data.unreadable_limit)."
        ),
    ] = 0.01,
    colours: Annotated[
        bool,
        typer.Option(
            help="Measure mean RGB and principal axes as training does; without, large JPEGs are "
            "read several times as fast."
        ),
    ] = True,
    layout: Layout = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Look a data set over before training: broken files, duplicates, leakage, odd classes.

    Nothing of it is changed. The exit code is 2 if training would fail or its figures would lie:
    too many broken files, the same picture in train and in val or test, or under two classes. Then
    lists of the files are kept in DATA-check/ in the current folder, unless --out says where.
    """
    from verydeep.checks.check import check as check_data
    from verydeep.checks.reading import refusal_as_dict
    from verydeep.checks.unasked import keep_lists
    from verydeep.progress import console_progress
    from verydeep.tables.check import check_as_text

    progress = console_progress()
    try:
        report = check_data(
            data,
            out=out,
            limit=limit,
            layout=layout,
            colours=colours,
            workers=workers,
            progress=progress,
        )
    except DataError as error:
        if as_json:
            print_result(refusal_as_dict(data, error), "", as_json)
        raise
    value = report.to_dict()
    print_result(value, check_as_text(value, out), as_json)
    if report.exit_code:
        if out is None:
            progress.say(keep_lists(report, workers=workers, progress=progress))
        raise typer.Exit(report.exit_code)


@app.command(
    epilog="Examples:  verydeep shard pets pets-shards   |   verydeep shard pets pets-shards "
    "--samples 1000 --seed 1   |   then  verydeep train pets-shards --out runs/d"
)
def shard(
    data: Data,
    out: Annotated[Path, typer.Argument(help="Folder to write to; empty or new.")],
    samples: Annotated[int, typer.Option(min=1, help="In a shard, at most.")] = 10_000,
    mebibytes: Annotated[int, typer.Option(min=1, help="Of a shard, about at most.")] = 1024,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the order of training samples, and of drawn splits.")
    ] = 0,
    limit: Annotated[
        float, typer.Option(min=0, max=1, help="Share of broken files that is too many.")
    ] = 0.01,
    layout: Layout = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Write a data set as tar shards, which are read from front to back however many they are.

    Pictures stay as they are, byte by byte; broken ones are left out and listed. Any program that
    knows WebDataset can read the shards.
    """
    from verydeep.data.read import read_dataset
    from verydeep.data.shards.write import write_shards
    from verydeep.progress import console_progress
    from verydeep.tables.shards import shards_as_json, shards_as_text

    progress = console_progress()
    dataset = read_dataset(data, layout=layout, seed=seed, stream=False, progress=progress)
    progress.say(f"{dataset.place}: {dataset.describe()}")
    written = write_shards(
        dataset,
        out,
        samples=samples,
        mebibytes=mebibytes,
        seed=seed,
        limit=limit,
        workers=workers,
        progress=progress,
    )
    list_unreadable(written.unreadable, "left out")
    print_result(shards_as_json(written), shards_as_text(written), as_json)


@app.command(
    epilog="Examples:  verydeep train pets --out runs/a   |   verydeep train pets --epochs 100 "
    "--out runs/a2   |   verydeep train pets --out runs/a --resume   |   verydeep train pets "
    "--net B --init-from runs/a --out runs/b   |   verydeep train pets --recipe paper --out runs/d "
    "--set training.learning_rate=0.001 --set 'data.train_scale=[256, 512]'"
)
def train(
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
            help="Model or run, or torchvision/vgg16 and kin, whose layers that fit are copied."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out, or with the latest.")
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(help="Epochs, at most; with --resume a larger number trains on.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of all randomness.")] = None,
    layout: Layout = None,
    device: Device = None,
    precision: Precision = None,
    as_json: Json = False,
) -> None:
    """Train a net by a recipe, test it, and leave model, figures and report in a run folder."""
    from verydeep.progress import console_progress

    flags = {
        "net.name": net,
        "initialize.source": init_from,
        "training.epochs": epochs,
        "training.seed": seed,
        "training.device": device,
        "training.precision": precision,
    }
    given = [f"{key}={json.dumps(value)}" for key, value in flags.items() if value is not None]
    if not resume:
        check_models(init_from, torchvision="vgg")
    from verydeep.run.train import train as train_net

    result = train_net(
        data,
        recipe,
        out,
        settings=[*(settings or []), *given],
        resume=resume,
        layout=layout,
        progress=console_progress(),
    )
    print_run(result.to_dict(), result.run, as_json)


app.command(epilog=EXAMPLES)(evaluate)


app.command(epilog=PREDICT_EXAMPLES)(predict)
app.command(epilog=EXPLAIN_EXAMPLES)(explain)
app.command(epilog=FEATURES_EXAMPLES)(features)
app.command(epilog=PROBE_EXAMPLES)(probe)
app.command(epilog=RUNS_EXAMPLES)(runs)


@app.command(epilog="Examples:  verydeep report runs/a   |   verydeep report runs/old --test")
def report(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    test: Annotated[
        bool,
        typer.Option(
            "--test",
            help="Test the model again first, for the pictures and the confusion; a run of an "
            "earlier version kept no answers.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Write report.html of a run again."""
    check_run(run)
    from verydeep.progress import console_progress
    from verydeep.run.report import report as write_again
    from verydeep.run.report import report_as_dict

    page = write_again(run, test=test, progress=console_progress())
    print_result(report_as_dict(page), str(page), as_json)


@app.command(
    epilog="Examples:  verydeep figures --out figures   |   verydeep figures --out figures --dark "
    "--only soft-max --only loss"
)
def figures(
    out: Annotated[Path, typer.Option(help="Folder for the pictures and a page with them.")],
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A figure to draw, as soft-max; may be repeated."),
    ] = None,
    dark: Annotated[bool, typer.Option("--dark/--light", help="For dark or light pages.")] = False,
    as_json: Json = False,
) -> None:
    """Draw the figures of the lecture: soft-max, loss, parameters, receptive fields and more."""
    from verydeep.insight.figures.write import write_figures
    from verydeep.progress import console_progress
    from verydeep.tables.figures import figures_as_text

    value = write_figures(out, only or (), dark=dark, progress=console_progress())
    print_result(value, figures_as_text(value), as_json)


def main() -> None:
    """Run the program; a fault is one message, without traceback unless --debug."""
    if hasattr(sys.stdout, "reconfigure"):
        # A file name in another encoding must not end the program half way.
        sys.stdout.reconfigure(errors="backslashreplace")
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    signals = StopAtOnce()
    try:
        with flags_in_messages(), signals, flushed_output():
            app()
    except SystemExit as end:
        # Typer's answer to Ctrl-C and its like, which it gives without a word.
        if end.code == 130:
            complain(f"stopped by {signals.received}" if signals.received else "interrupted")
        raise
    except Exception as error:
        fault = fault_of(error, sys.argv[1:])
        if fault is None:
            raise
        if debug:
            traceback.print_exc()
        if fault.message:
            complain(fault.message)
        sys.exit(fault.exit_code)
