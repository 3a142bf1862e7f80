"""Verb ``reproduce``: the paper's nets, tests and claims on any data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from verydeep.cli.groups import option_group
from verydeep.cli.options import Data, Json, Layout
from verydeep.cli.output import print_result
from verydeep.system.settings import Compute

if TYPE_CHECKING:
    from verydeep.run.reproduce.result import StudyResult

REPRODUCE_EXAMPLES = (
    "Examples:  verydeep reproduce pets --out studies/pets --plan   |   verydeep reproduce pets "
    "--out studies/pets --jobs 2   |   verydeep reproduce pets --out studies/pets --hours 12   |   "
    "verydeep reproduce pets --out studies/depth --claims depth,filters --seeds 5"
)


@option_group("compute", Compute, "device", "precision")
def reproduce(
    *,
    data: Data,
    out: Annotated[
        Path,
        typer.Option(help="Folder of the study; the same command goes on with one in it."),
    ],
    claims: Annotated[
        str | None,
        typer.Option(
            help="Groups of claims with commas: depth, lrn, jitter, scales, crops, fusion, "
            "filters, initialise (default: these), localization (needs boxes), transfer (needs "
            "--transfer-data)."
        ),
    ] = None,
    transfer_data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="Another data set, for claims about features (transfer)."
        ),
    ] = None,
    budget: Annotated[
        str,
        typer.Option(
            help="tiny (a trial), small (crops of 96 pixels, for a CPU), or full (as published, "
            "for GPUs)."
        ),
    ] = "small",
    hours: Annotated[
        float | None,
        typer.Option(help="Fit the sizes to this time on this machine, instead of a budget."),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Trainings of each kind, with seeds 0, 1, …; default: the budget's. Can grow "
            "later.",
        ),
    ] = None,
    initialise: Annotated[
        str,
        typer.Option(help="staged (as published: from net A) or scaled (all nets by He's scheme)."),
    ] = "staged",
    jobs: Annotated[
        int,
        typer.Option(
            min=1, help="Trainings and tests at a time, each with its share of cores or own GPU."
        ),
    ] = 1,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Do the parts on a Ray cluster (extra: ray), as many at a time as --jobs says; "
            "local starts one here.",
        ),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print what is to be done, with hours, and end.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of every training."),
    ] = None,
    layout: Layout = None,
    compute: dict[str, Any],
    as_json: Json = False,
) -> None:
    """Train and test the paper's nets on DATA, and judge the paper's claims by the results.

    A study trains the nets A, A-LRN, B, C, D, E and B's rival with 5x5 convolutions, several times
    each, as published at a smaller size; tests them in every way of the paper on the split val;
    and says of each claim whether it holds, does not hold, or is not decided. It can be stopped at
    any moment: the same command goes on, and does nothing twice.
    """
    from verydeep.run.reproduce.reproduce import plan_study
    from verydeep.run.reproduce.reproduce import reproduce as run_study
    from verydeep.run.reproduce.wish import Wish
    from verydeep.study.claims import GROUPS
    from verydeep.system.progress import console_progress

    asked: dict[str, Any] = {
        "claims": claims or GROUPS,
        "transfer_data": transfer_data,
        "budget": budget,
        "hours": hours,
        "seeds": seeds,
        "initialise": initialise,
        "jobs": jobs,
        "ray": ray,
        "layout": layout,
        "settings": settings,
        "compute": Compute(compute["device"], compute["precision"]),
    }
    progress = console_progress()
    if plan:
        planned = plan_study(Wish.of(data, out, **asked), progress)
        print_result(planned.to_dict(), "\n".join(planned.lines()), as_json)
        return
    result = run_study(data, out, **asked, progress=progress)
    print_result(result.to_dict(), _as_text(result), as_json)


def _as_text(result: StudyResult) -> str:
    """Return the verdicts, failed trainings, and where the page is."""
    from verydeep.cli.text.study import verdicts_as_text

    failed = [f"no net: {training}: {reason}" for training, reason in result.failed.items()]
    return "\n".join([verdicts_as_text(result.verdicts), *failed, "", f"page  {result.page}"])
