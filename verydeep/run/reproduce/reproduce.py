"""The whole study: plan, trainings, tests, verdicts, page."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from verydeep.data.read import Data
from verydeep.run.reproduce.on_ray import do_all_on_ray
from verydeep.run.reproduce.prepare import begin, make_costs, plan_of, prepare
from verydeep.run.reproduce.result import StudyPlan, StudyResult
from verydeep.run.reproduce.side_by_side import do_all
from verydeep.run.reproduce.study import Study, held
from verydeep.run.reproduce.wish import Wish
from verydeep.study.claims import GROUPS
from verydeep.study.plan import Part
from verydeep.study.verdicts import judge
from verydeep.system.durations import in_words
from verydeep.system.option_names import command_or_call
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.system.settings import Compute
from verydeep.training.signals import StopAtOnce
from verydeep.visualization.study import write_page

PAGE_MINUTES = 10.0
"""Time after which the page of an unfinished study is written again."""


def reproduce(
    data: Data,
    out: str | Path,
    *,
    claims: Iterable[str] | str = GROUPS,
    transfer_data: Data | None = None,
    budget: str = "small",
    hours: float | None = None,
    seeds: int | None = None,
    initialise: str = "staged",
    jobs: int = 1,
    ray: str | None = None,
    layout: str | None = None,
    settings: Mapping[str, Any] | Iterable[str] | None = None,
    compute: Compute | str | None = None,
    progress: ProgressWish = None,
) -> StudyResult:
    """Train and test the paper's nets on a data set, and judge the paper's claims by the results.

    Each training is a run as :func:`verydeep.train` makes it. Tests are on the split ``val``, as in
    the paper. The same call goes on with a study that was stopped at any moment; what is finished
    is not done again. It may ask for more claims or more seeds, or, on the command line, for
    ``--plan``.

    Args:
        data: As for :func:`verydeep.train`; with many images and classes.
        out: Folder of the study.
        claims: Groups of claims: names, or one string with commas; default: those about
            classification. See :data:`verydeep.study.claims.ALL_GROUPS`.
        transfer_data: Another data set, as for :func:`verydeep.train`, for the claims ``transfer``
            about features.
        budget: ``tiny``, ``small`` or ``full``: sizes of images and nets, epochs, seeds. See
            :data:`verydeep.study.budget.BUDGETS`.
        hours: Time that the sizes are fitted to, by measured speeds, instead of a budget.
        seeds: Number of trainings of each kind; None leaves it to the budget.
        initialise: ``staged``, as published, or ``scaled``: every net from random weights.
        jobs: Trainings and tests at a time, each in its own process, with its share of the cores or
            a GPU of its own.
        ray: Address of a Ray cluster whose workers do the parts, as for ``ray.init``, or ``local``
            for one on this machine. All machines must see the data and the folder of the study.
        layout: Folder layout of the data; None detects it.
        settings: Changes to the recipe of every training, as for :func:`verydeep.train`.
        compute: Device and precision.
        progress: Progress reporting.

    Returns:
        The results with the verdicts. ``report.html`` in the folder shows them.

    Raises:
        InputError: The data, a claim or a setting cannot be used, or the study was begun otherwise.
        Interrupted: A signal stopped the study; the same call goes on.
        MachineError: A process was killed, or the disk is full; likewise.
        MissingExtra: ``ray`` is given, and Ray is not installed.
    """
    progress = choose_progress(progress)
    wish = Wish.of(
        data,
        out,
        claims=claims,
        budget=budget,
        hours=hours,
        seeds=seeds,
        initialise=initialise,
        jobs=jobs,
        layout=layout,
        settings=settings,
        compute=compute,
        transfer_data=transfer_data,
        ray=ray,
    )
    with held(wish.out):
        study = prepare(wish, progress)
        costs = make_costs(study, wish)
        begin(study, wish, costs)
        plan = plan_of(study, wish, costs)
        progress.log("\n".join(plan.lines()))
        with StopAtOnce(f"; the same {command_or_call()} goes on"):
            _run(plan, study, wish.ray, progress)
        return _result(study)


def plan_study(wish: Wish, progress: ProgressWish = None) -> StudyPlan:
    """Return the plan of a study with estimated hours, and train nothing.

    A few steps of each net are timed.

    Raises:
        InputError: The data cannot be used, or no study fits into the given hours.
    """
    study = prepare(wish, choose_progress(progress))
    return plan_of(study, wish, make_costs(study, wish))


def _run(plan: StudyPlan, study: Study, ray: str | None, progress: Progress) -> None:
    """Do what is not done, with a line for each part and a bar with the estimated rest."""
    parts = [one.part for one in plan.parts]
    seconds = {one.part: one.seconds for one in plan.parts}
    left = {one.part for one in plan.parts if not one.done}
    taken: list[tuple[float, float]] = []
    page = _Page(study)
    with progress.task("study", len(parts)) as bar:
        bar.update(len(parts) - len(left), _rest(left, seconds, taken, plan.jobs))

        def finished(part: Part, said: str, measured: float) -> None:
            left.discard(part)
            taken.append((seconds[part], measured))
            rest = _rest(left, seconds, taken, plan.jobs)
            done = len(parts) - len(left)
            progress.log(
                f"[{done} of {len(parts)}] {part}: {said}, in {in_words(measured)}; {rest}"
            )
            bar.update(done, rest)
            page.write_if_old()

        if ray is None:
            do_all(study, parts, plan.jobs, progress, finished)
        else:
            do_all_on_ray(study, parts, plan.jobs, ray, finished)


class _Page:
    """The page of an unfinished study, written again from time to time."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.written = time.monotonic()

    def write_if_old(self) -> None:
        """Write the page if that is long ago."""
        if time.monotonic() - self.written > PAGE_MINUTES * 60:
            write_page(self.study.results(), self.study.folder)
            self.written = time.monotonic()


def _rest(
    left: Iterable[Part],
    seconds: Mapping[Part, float],
    taken: Sequence[tuple[float, float]],
    jobs: int,
) -> str:
    """Return the estimated rest in words, scaled by how long finished parts have taken."""
    if not (rest := sum(seconds[part] for part in left)):
        return "nothing left"
    estimated = sum(estimate for estimate, _ in taken)
    factor = sum(measured for _, measured in taken) / estimated if estimated else 1.0
    return f"about {in_words(factor * rest / jobs)} left"


def _result(study: Study) -> StudyResult:
    """Write the page, and return what there is."""
    results = study.results()
    write_page(results, study.folder)
    return StudyResult(study.folder, results, tuple(judge(results)))
