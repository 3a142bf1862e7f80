"""The program: verbs that parse, call and print. Results go to stdout, all else to stderr."""

from __future__ import annotations

import csv
import json
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from verydeep.errors import InputError, VeryDeepError

if TYPE_CHECKING:
    from verydeep.classifier import Prediction

app = typer.Typer(
    name="verydeep",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="The VGG system whole: six networks, the training recipe, the test protocols, for your "
    "own pictures.",
    epilog="Begin with:  verydeep demo   or, with a folder of pictures for each class:  "
    "verydeep train pets --net A --recipe small --out runs/a",
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1; default: a GPU if any.")]
Precision = Annotated[
    str | None, typer.Option(help="bf16 or fp32; default: bf16 where it is native.")
]


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
    """Train and test a small net on built-in handwritten digits, in minutes on a laptop."""
    from verydeep.progress import console_progress
    from verydeep.run.train import train as train_net

    metrics = train_net("digits", "demo", out, resume=resume, progress=console_progress())
    _print_run(metrics, out, as_json)


@app.command(epilog="Examples:  verydeep nets   |   verydeep nets D --size 64 --classes 10")
def nets(
    name: Annotated[str | None, typer.Argument(help="A, A-LRN, B, C, D or E.")] = None,
    size: Annotated[int, typer.Option(help="Side of the input, pixels.")] = 224,
    classes: Annotated[int, typer.Option(min=1, help="Number of classes K.")] = 1000,
    as_json: Json = False,
) -> None:
    """Show the six nets (Tables 1 and 2), or one of them layer by layer."""
    from verydeep import tables
    from verydeep.nets.anatomy import anatomy
    from verydeep.nets.table import NAMES

    if name is None:
        measured = [anatomy(net, classes, input_size=size) for net in NAMES]
        _print(tables.nets_as_json(measured), tables.nets_as_text(measured), as_json)
    else:
        one = anatomy(name, classes, input_size=size)
        _print(tables.layers_as_json(one), tables.layers_as_text(one), as_json)


@app.command(
    epilog="Examples:  verydeep train pets --out runs/d   |   verydeep train pets --net A "
    "--recipe small --out runs/a   |   verydeep train pets --net B --recipe small "
    "--init-from runs/a --out runs/b   |   verydeep train pets --out runs/d "
    "--set training.learning_rate=0.001 --set 'data.train_scale=[256, 512]'"
)
def train(
    data: Annotated[str, typer.Argument(help="'digits', or a folder with a folder a class.")],
    out: Annotated[Path, typer.Option(help="The run folder.")],
    net: Annotated[str | None, typer.Option(help="A, A-LRN, B, C, D or E.")] = None,
    recipe: Annotated[str, typer.Option(help="paper, small, demo, or a YAML file.")] = "paper",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting.")
    ] = None,
    init_from: Annotated[
        str | None, typer.Option(help="Model or run whose layers are copied where they fit.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Ceiling of epochs.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of all randomness.")] = None,
    device: Device = None,
    precision: Precision = None,
    as_json: Json = False,
) -> None:
    """Train a net by a recipe, test it, and leave model, figures and report in a run folder."""
    from verydeep.progress import console_progress
    from verydeep.recipe import load_recipe
    from verydeep.run.train import train as train_net

    flags = {
        "net.name": net,
        "initialize.source": init_from,
        "training.epochs": epochs,
        "training.seed": seed,
        "training.device": device,
        "training.precision": precision,
    }
    given = [f"{key}={json.dumps(value)}" for key, value in flags.items() if value is not None]
    chosen = load_recipe(recipe, [*(settings or []), *given])
    metrics = train_net(data, chosen, out, resume=resume, progress=console_progress())
    _print_run(metrics, out, as_json)


@app.command(
    epilog="Examples:  verydeep evaluate runs/a   |   verydeep evaluate runs/a --protocol center "
    "--scales 64   |   verydeep evaluate runs/d runs/e --data pets --split test --json"
)
def evaluate(
    models: Annotated[list[str], typer.Argument(help="Model or run folders; several are fused.")],
    data: Annotated[str | None, typer.Option(help="Default: the data of the run.")] = None,
    split: Annotated[str | None, typer.Option(help="Default: test, or val if none.")] = None,
    protocol: Annotated[str, typer.Option(help="center or dense.")] = "dense",
    scales: Annotated[
        str | None, typer.Option(help="Q, like 256 or 256,384,512; default: the middle of S.")
    ] = None,
    flip: Annotated[
        bool | None,
        typer.Option(
            "--flip/--no-flip", help="Average with the mirror image; default: as trained."
        ),
    ] = None,
    device: Device = None,
    precision: Precision = None,
    as_json: Json = False,
) -> None:
    """Measure the error of a trained model, or of several fused."""
    from verydeep import tables
    from verydeep.progress import console_progress
    from verydeep.run.test import evaluate as evaluate_models

    result = evaluate_models(
        models,
        data,
        protocol,
        split=split,
        scales=_scales(scales),
        flip=flip,
        device=device,
        precision=precision,
        progress=console_progress(),
    )
    _list_unreadable(result.unreadable)
    _print(result.to_dict(), tables.result_as_text(result.to_dict()), as_json)


@app.command(
    epilog="Examples:  verydeep predict runs/a cat.jpg   |   verydeep predict runs/a photos/ "
    "--top 3 --csv > photos.csv"
)
def predict(
    model: Annotated[str, typer.Argument(help="Model or run folder.")],
    files: Annotated[list[str], typer.Argument(help="Pictures; a folder stands for those in it.")],
    top: Annotated[int, typer.Option(min=1, help="Classes to name.")] = 5,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a line of CSV a picture.")] = False,
    device: Device = None,
    precision: Precision = None,
) -> None:
    """Name what is on pictures."""
    from verydeep import tables
    from verydeep.classifier import load

    if as_json and as_csv:
        raise InputError("--json and --csv exclude each other")
    predictions = load(model, device=device, precision=precision).predict(files, top=top)
    _list_unreadable([str(p.fault) for p in predictions if p.fault])
    if as_csv:
        _print_csv(predictions)
    else:
        _print(
            tables.predictions_as_json(predictions),
            tables.predictions_as_text(predictions),
            as_json,
        )
    if all(prediction.fault for prediction in predictions):
        raise InputError("none of the pictures can be read")


@app.command(epilog="Example:  verydeep report runs/a")
def report(run: Annotated[Path, typer.Argument(help="The run folder.")]) -> None:
    """Write report.html of a run again."""
    from verydeep.insight.report import write_report

    typer.echo(write_report(run))


def _scales(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"--scales must be whole numbers like 256 or 256,384,512, got {text!r} instead"
        ) from None


def _print(value: dict[str, Any], text: str, as_json: bool) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False) if as_json else text)


def _print_run(metrics: dict[str, Any], out: Path, as_json: bool) -> None:
    from verydeep import tables

    _list_unreadable(metrics["unreadable"])
    _print(metrics, tables.run_as_text(metrics, out), as_json)


def _print_csv(predictions: list[Prediction]) -> None:
    from verydeep import tables

    csv.writer(sys.stdout, lineterminator="\n").writerows(tables.predictions_as_rows(predictions))


def _list_unreadable(names: list[str] | tuple[str, ...]) -> None:
    if names:
        typer.echo(f"{len(names)} pictures cannot be read and are not counted:", err=True)
        for name in names:
            typer.echo(f"  {name}", err=True)


def main() -> None:
    """Run the program; a fault of the input is one message, without traceback unless --debug."""
    if hasattr(sys.stdout, "reconfigure"):
        # A file name in another encoding must not end the program half way.
        sys.stdout.reconfigure(errors="backslashreplace")
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        app()
    except VeryDeepError as error:
        if debug:
            traceback.print_exc()
        typer.echo(f"verydeep: {error}", err=True)
        sys.exit(error.exit_code)
    except SystemExit as end:
        # Typer's answer to Ctrl-C, which it gives without a word.
        if end.code == 130:
            typer.echo("verydeep: interrupted", err=True)
        raise
