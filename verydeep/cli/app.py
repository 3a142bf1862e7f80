"""Entry point of the program. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer

from verydeep.cli.bulk import BULK_EXAMPLES, bulk
from verydeep.cli.calibrate import CALIBRATE_EXAMPLES, calibrate
from verydeep.cli.data import CHECK_EXAMPLES, SHARD_EXAMPLES, check, shard
from verydeep.cli.engines import ENGINES_EXAMPLES, QUANTIZE_EXAMPLES, engines, quantize
from verydeep.cli.evaluate import EXAMPLES, evaluate
from verydeep.cli.explain import EXPLAIN_EXAMPLES, explain
from verydeep.cli.export import EXPORT_EXAMPLES, export
from verydeep.cli.faults import complain, fault_of, flushed_output
from verydeep.cli.features import FEATURES_EXAMPLES, PROBE_EXAMPLES, features, probe
from verydeep.cli.help_text import lay_out
from verydeep.cli.hub import PUSH_EXAMPLES, push
from verydeep.cli.imports import IMPORT_EXAMPLES, import_
from verydeep.cli.predict import PREDICT_EXAMPLES, predict
from verydeep.cli.report import (
    FIGURES_EXAMPLES,
    NETS_EXAMPLES,
    REPORT_EXAMPLES,
    figures,
    nets,
    report,
)
from verydeep.cli.reproduce import REPRODUCE_EXAMPLES, reproduce
from verydeep.cli.runs import RUNS_EXAMPLES, runs
from verydeep.cli.serve import SERVE_EXAMPLES, serve
from verydeep.cli.slurm import SLURM_CONTEXT, SLURM_EXAMPLES, slurm
from verydeep.cli.train import DEMO_EXAMPLES, TRAIN_EXAMPLES, demo, train
from verydeep.cli.weights import WEIGHTS_EXAMPLES, weights
from verydeep.system.option_names import flags_in_messages
from verydeep.training.signals import StopAtOnce

app = typer.Typer(
    name="verydeep",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="The VGG system whole: six networks, the training recipe, the test protocols, for your "
    "own images.",
    epilog="Begin with:  verydeep demo   or, with a folder of images for each class:  "
    "verydeep train pets --out runs/a",
)


@app.callback(invoke_without_command=True)
def _program(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    if version:
        from verydeep.system.version import __version__

        typer.echo(__version__)
        raise typer.Exit


app.command(epilog=DEMO_EXAMPLES)(demo)
app.command(epilog=NETS_EXAMPLES)(nets)
app.command(epilog=WEIGHTS_EXAMPLES)(weights)
app.command(epilog=CHECK_EXAMPLES)(check)
app.command(epilog=SHARD_EXAMPLES)(shard)
app.command(epilog=TRAIN_EXAMPLES)(train)
app.command("import", epilog=IMPORT_EXAMPLES)(import_)
app.command(epilog=EXAMPLES)(evaluate)
app.command(epilog=CALIBRATE_EXAMPLES)(calibrate)
app.command(epilog=PREDICT_EXAMPLES)(predict)
app.command(epilog=EXPLAIN_EXAMPLES)(explain)
app.command(epilog=EXPORT_EXAMPLES)(export)
app.command(epilog=FEATURES_EXAMPLES)(features)
app.command(epilog=PROBE_EXAMPLES)(probe)
app.add_typer(bulk, epilog=BULK_EXAMPLES)
app.command(epilog=ENGINES_EXAMPLES)(engines)
app.command(epilog=QUANTIZE_EXAMPLES)(quantize)
app.command(
    epilog=SLURM_EXAMPLES,
    context_settings=SLURM_CONTEXT,
    options_metavar="[OPTIONS] {train|evaluate|features} …",
)(slurm)
app.command(epilog=REPRODUCE_EXAMPLES)(reproduce)
app.command(epilog=SERVE_EXAMPLES)(serve)
app.command(epilog=PUSH_EXAMPLES)(push)
app.command(epilog=RUNS_EXAMPLES)(runs)
app.command(epilog=REPORT_EXAMPLES)(report)
app.command(epilog=FIGURES_EXAMPLES)(figures)
for one in (app, bulk):
    lay_out(one)


def main() -> None:
    """Run the program; report an error as one message, with a traceback only under --debug."""
    if hasattr(sys.stdout, "reconfigure"):
        # File names in other encodings must not abort the program.
        sys.stdout.reconfigure(errors="backslashreplace")
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    signals = StopAtOnce()
    try:
        with flags_in_messages(), signals, flushed_output():
            app()
    except SystemExit as end:
        # Typer exits silently on Ctrl-C and similar signals.
        if end.code == 130:
            complain(f"stopped by {signals.received}" if signals.received else "interrupted")
        raise
    except Exception as error:
        fault = fault_of(error, sys.argv[1:])
        if fault is None:
            raise
        if debug:
            traceback.print_exc()
        if fault.message and not getattr(error, "reported", False):
            complain(fault.message)
        sys.exit(fault.exit_code)
