"""Output of the verbs: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from verydeep.models.prediction import Prediction
    from verydeep.system.progress import Progress


def progress_of(rank: int) -> Progress:
    """Return the progress output of a process: the console for rank 0, silence for others."""
    from verydeep.system.progress import Progress, console_progress

    return console_progress() if rank == 0 else Progress()


def print_result(value: dict[str, Any], text: str, as_json: bool) -> None:
    """Print a result as JSON or as text."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False) if as_json else text)


def print_run(metrics: dict[str, Any], out: Path, as_json: bool) -> None:
    """Print the result of a run."""
    from verydeep.cli.text.results import run_as_text

    list_unreadable(metrics["unreadable"])
    print_result(metrics, run_as_text(metrics, out), as_json)


def print_csv(predictions: list[Prediction]) -> None:
    """Print predictions as CSV."""
    from verydeep.cli.text.predictions import predictions_as_rows
    from verydeep.system.csv_text import csv_text

    sys.stdout.write(csv_text(predictions_as_rows(predictions)))


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def without_controls(text: str) -> str:
    r"""Return a message with control characters escaped, to protect the terminal.

    >>> print(without_controls("a \x1b[2J.jpg"))
    a \x1b[2J.jpg
    """
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def list_unreadable(names: list[str] | tuple[str, ...], outcome: str = "not counted") -> None:
    """List unreadable images on stderr, with their outcome."""
    from verydeep.errors import plural, printable

    if names:
        head = f"{plural(len(names), 'image')} cannot be read and {_are(len(names))} {outcome}:"
        typer.echo(head, err=True)
        for name in names:
            typer.echo(f"  {printable(name)}", err=True)
