"""The whole study: plan, trainings, tests, verdicts, page."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from verydeep.data.dataset import Dataset
from verydeep.data.read import Data, DataSource, read_dataset
from verydeep.errors import InputError, did_you_mean
from verydeep.run.reproduce.result import PlannedPart, StudyPlan, StudyResult
from verydeep.run.reproduce.side_by_side import do_all
from verydeep.run.reproduce.speeds import measure_speeds
from verydeep.run.reproduce.study import Study, begin, held, is_done, stored, stored_budget
from verydeep.run.training.auto import facts_of
from verydeep.study.budget import Budget, Costs, Images, budget_of, fit
from verydeep.study.claims import GROUPS, Claim, claims
from verydeep.study.conditions import INITIALISATIONS, Initialisation
from verydeep.study.plan import Part, TrainPart, make_plan
from verydeep.study.recipes import read_settings, resize
from verydeep.study.results import Results
from verydeep.study.verdicts import judge
from verydeep.system.device import Machine, describe_environment, without_secret
from verydeep.system.option_names import command_or_call, option
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.system.settings import Compute
from verydeep.training.estimate import in_words
from verydeep.training.signals import StopAtOnce
from verydeep.visualization.study import write_page

PAGE_MINUTES = 10.0
"""Time after which the page of an unfinished study is written again."""


@dataclass(frozen=True)
class Wish:
    """What a study is asked for.

    Attributes:
        groups: Groups of claims.
        initialise: How deeper nets are initialised.
        budget: Name of a budget.
        hours: Time to fit the sizes to; None takes those of the budget.
        seeds: Number of seeds; None leaves it to the budget.
        settings: Changes to the recipe, by dotted path.
        jobs: Parts at a time.
    """

    groups: tuple[str, ...]
    initialise: Initialisation
    budget: str
    hours: float | None
    seeds: int | None
    settings: Mapping[str, Any]
    jobs: int

    def __post_init__(self) -> None:
        if self.initialise not in INITIALISATIONS:
            raise InputError(
                f"{option('initialise')} must be {' or '.join(INITIALISATIONS)}, got "
                f"{self.initialise!r} instead{did_you_mean(self.initialise, INITIALISATIONS)}"
            )
        for name in ("hours", "seeds", "jobs"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{option(name)} must be above 0, got {value} instead")

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The claims to judge."""
        return claims(self.groups, self.initialise)

    def parts(self, budget: Budget) -> tuple[Part, ...]:
        """Return the parts of the study at the seeds of a budget."""
        needs = (need for claim in self.claims for need in claim.needs)
        return make_plan(needs, range(budget.seeds))


def reproduce(
    data: Data,
    out: str | Path,
    *,
    claims: Iterable[str] | str = GROUPS,
    budget: str = "small",
    hours: float | None = None,
    seeds: int | None = None,
    initialise: str = "staged",
    jobs: int = 1,
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
        claims: Groups of claims: names, or one string with commas. See
            :data:`verydeep.study.claims.GROUPS`.
        budget: ``tiny``, ``small`` or ``full``: sizes of images and nets, epochs, seeds. See
            :data:`verydeep.study.budget.BUDGETS`.
        hours: Time that the sizes are fitted to, by measured speeds, instead of a budget.
        seeds: Number of trainings of each kind; None leaves it to the budget.
        initialise: ``staged``, as published, or ``scaled``: every net from random weights.
        jobs: Trainings and tests at a time, each in its own process, with its share of the cores or
            a GPU of its own.
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
    """
    progress = choose_progress(progress)
    wish = _wish(claims, initialise, budget, hours, seeds, settings, jobs)
    with _prepared(data, out, wish, layout, compute, progress) as (study, costs):
        facts, about = _facts(study, wish, costs)
        begin(study, facts, about)
        plan = _plan(study, wish, costs)
        progress.log("\n".join(plan.lines()))
        with StopAtOnce(f"; the same {command_or_call()} goes on"):
            _run(plan, study, wish, progress)
        return _result(study)


def plan_study(
    data: Data,
    out: str | Path,
    *,
    claims: Iterable[str] | str = GROUPS,
    budget: str = "small",
    hours: float | None = None,
    seeds: int | None = None,
    initialise: str = "staged",
    jobs: int = 1,
    layout: str | None = None,
    settings: Mapping[str, Any] | Iterable[str] | None = None,
    compute: Compute | str | None = None,
    progress: ProgressWish = None,
) -> StudyPlan:
    """Return the plan of a study with estimated hours, and train nothing.

    The arguments are those of :func:`verydeep.reproduce`. A few steps of each net are timed.

    Raises:
        InputError: The data, a claim or a setting cannot be used.
    """
    progress = choose_progress(progress)
    wish = _wish(claims, initialise, budget, hours, seeds, settings, jobs)
    study, costs = _prepare(data, out, wish, layout, compute, progress)
    return _plan(study, wish, costs)


def _wish(
    groups: Iterable[str] | str,
    initialise: str,
    budget: str,
    hours: float | None,
    seeds: int | None,
    settings: Mapping[str, Any] | Iterable[str] | None,
    jobs: int,
) -> Wish:
    names = groups.split(",") if isinstance(groups, str) else groups
    given = read_settings(settings or ())
    budget_of(budget)
    wish = Wish(
        tuple(name.strip() for name in names),
        initialise,  # type: ignore[arg-type]  # checked there
        budget,
        hours,
        seeds,
        given,
        jobs,
    )
    assert wish.claims
    return wish


@contextmanager
def _prepared(
    data: Data,
    out: str | Path,
    wish: Wish,
    layout: str | None,
    compute: Compute | str | None,
    progress: Progress,
) -> Iterator[tuple[Study, Costs]]:
    """Hold the folder, and prepare the study in it."""
    with held(Path(out).expanduser()):
        yield _prepare(data, out, wish, layout, compute, progress)


def _prepare(
    data: Data,
    out: str | Path,
    wish: Wish,
    layout: str | None,
    compute: Compute | str | None,
    progress: Progress,
) -> tuple[Study, Costs]:
    """Read the data, and settle the sizes: those of a study that has begun, or new ones."""
    folder, compute = Path(out).expanduser(), Compute.of(compute)
    dataset = read_dataset(data, layout=layout, progress=progress)
    machine = compute.machine()
    usual = _usual_settings(DataSource(data, layout), dataset, machine)
    settings = {**usual, **wish.settings}
    measuring = _Measuring(dataset, machine, wish, progress)
    before = stored(folder)
    if before is not None and wish.hours is not None:
        chosen = stored_budget(before, wish.seeds or len(before["seeds"]))
        progress.log(f"{folder} has begun: its sizes stay as they are")
    elif wish.hours is not None:
        chosen = fit(
            wish.hours,
            wish.parts,
            measuring.costs,
            resize=lambda one: resize(one, wish.settings),
            jobs=wish.jobs,
            seeds=wish.seeds,
        )
    else:
        chosen = resize(budget_of(wish.budget), wish.settings)
        chosen = replace(chosen, seeds=wish.seeds or chosen.seeds)
    study = Study(folder, data, layout, dataset, chosen, settings, wish.initialise, compute)
    return study, measuring.costs(chosen)


def _usual_settings(source: DataSource, dataset: Dataset, machine: Machine) -> dict[str, Any]:
    """Return the settings of every training that follow from the data."""
    facts = facts_of(source, dataset, machine)
    found: dict[str, Any] = {"data.cache": "device"} if facts.fits_in_memory else {}
    if not facts.mirrored:
        found |= {"data.flip": False, "test.flip": False}
    return found


@dataclass(frozen=True)
class _Measuring:
    """Measurement of speeds for an estimate."""

    dataset: Dataset
    machine: Machine
    wish: Wish
    progress: Progress

    def costs(self, budget: Budget) -> Costs:
        """Return the costs of a budget, with measured speeds."""
        sizes = self.dataset.sizes
        parts = self.wish.parts(budget)
        nets = [part.condition.net for part in parts if isinstance(part, TrainPart)]
        return Costs(
            budget,
            measure_speeds(
                dict.fromkeys(nets),
                budget,
                len(self.dataset.classes),
                self.machine,
                self.wish.jobs,
            ),
            Images(sizes["train"], sizes["val"]),
        )


def _facts(study: Study, wish: Wish, costs: Costs) -> tuple[dict[str, Any], dict[str, Any]]:
    facts = study.facts(claims=wish.groups, seeds=range(study.budget.seeds))
    parts = wish.parts(study.budget)
    about = {
        "hours_asked": wish.hours,
        "hours_estimated": costs.total(parts) / 3600,
        "plan": [str(part) for part in parts],
        "begun": time.strftime("%Y-%m-%d %H:%M:%S"),
        "command": [Path(sys.argv[0]).name, *map(without_secret, sys.argv[1:])],
        "environment": describe_environment(study.compute.machine()),
    }
    return facts, about


def _plan(study: Study, wish: Wish, costs: Costs) -> StudyPlan:
    results = study.results() if stored(study.folder) is not None else Results()
    planned = (
        PlannedPart(part, costs.seconds(part), is_done(part, results))
        for part in wish.parts(study.budget)
    )
    return StudyPlan(study.folder, tuple(planned), costs, wish.jobs)


def _run(plan: StudyPlan, study: Study, wish: Wish, progress: Progress) -> None:
    """Do what is not done, with a line for each part and a bar with the estimated rest."""
    parts = [one.part for one in plan.parts]
    seconds = {one.part: one.seconds for one in plan.parts}
    left = {one.part for one in plan.parts if not one.done}
    taken: list[tuple[float, float]] = []
    page = _Page(study)
    with progress.task("study", len(parts)) as bar:
        bar.update(len(parts) - len(left), _rest(left, seconds, taken, wish.jobs))

        def finished(part: Part, said: str, measured: float) -> None:
            left.discard(part)
            taken.append((seconds[part], measured))
            rest = _rest(left, seconds, taken, wish.jobs)
            done = len(parts) - len(left)
            progress.log(
                f"[{done} of {len(parts)}] {part}: {said}, in {in_words(measured)}; {rest}"
            )
            bar.update(done, rest)
            page.write_if_old()

        do_all(study, parts, wish.jobs, progress, finished)


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
