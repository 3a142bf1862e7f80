"""Verb ``runs``: compare the runs of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from verydeep.cli.options import Json
from verydeep.cli.output import print_result
from verydeep.system.files import expanded

RUNS_EXAMPLES = "Examples:  verydeep runs   |   verydeep runs studies --json"


def runs(
    folder: Annotated[Path, typer.Argument(help="Folder that contains runs.")] = Path("runs"),
    as_json: Json = False,
) -> None:
    """List runs with their errors, the best first.

    An unfinished run shows its best validation error; a broken run shows the reason. Errors on
    different data, splits or numbers of images are not comparable.
    """
    from verydeep.cli.text.runs import runs_as_text
    from verydeep.training.run_list import list_runs

    found = list_runs(expanded(folder))
    text = runs_as_text(found) if found else f"{folder}: no runs"
    print_result({"runs": [one.to_dict() for one in found]}, text, as_json)
