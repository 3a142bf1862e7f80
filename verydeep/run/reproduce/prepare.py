"""The beginning of a study: its data, its sizes, its costs and its plan."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from verydeep.data.dataset import Dataset
from verydeep.data.read import DataSource, read_dataset
from verydeep.errors import DataError
from verydeep.run.reproduce.remaining import remaining
from verydeep.run.reproduce.result import PlannedPart, StudyPlan
from verydeep.run.reproduce.speeds import measure_speeds
from verydeep.run.reproduce.study import (
    Study,
    begin_or_compare,
    boxed,
    stored,
    stored_budget,
)
from verydeep.run.reproduce.wish import Wish
from verydeep.run.training.auto import facts_of
from verydeep.study.budget import Budget, Costs, Images, fit
from verydeep.study.claims import LOCALIZATION
from verydeep.study.plan import TrainPart
from verydeep.study.recipes import resize
from verydeep.study.results import Results
from verydeep.system.device import Machine, describe_environment, without_secret
from verydeep.system.option_names import option
from verydeep.system.progress import Progress
from verydeep.transfer.probe import FOLDS, check_folds


def prepare(wish: Wish, progress: Progress) -> Study:
    """Read the data, and settle the sizes: those of a study that has begun, or new ones.

    Raises:
        InputError: The data or a setting cannot be used, or no study fits into the given hours.
    """
    dataset = read_dataset(wish.data, layout=wish.layout, progress=progress)
    dataset.check_single_label("a study of the paper")
    dataset.check_images("a study of the paper")
    if LOCALIZATION in wish.groups:
        _check_boxes(dataset)
    transfer = None
    if wish.transfer_data is not None:
        transfer = read_dataset(wish.transfer_data, progress=progress)
        _check_transfer(transfer)
    machine = wish.compute.machine()
    usual = _usual_settings(DataSource(wish.data, wish.layout), dataset, machine)
    study = Study(
        wish.out,
        wish.data,
        wish.layout,
        dataset,
        _sizes(wish, _costs_on(dataset, transfer, machine, wish), progress),
        {**usual, **wish.settings},
        wish.initialise,
        wish.compute,
        transfer,
    )
    for part in wish.parts(study.budget):
        if isinstance(part, TrainPart):
            study.recipe(part)  # refuses now what would end the study later
    return study


def _check_boxes(dataset: Dataset) -> None:
    """Refuse data without boxes.

    Raises:
        DataError: No image to train on, or none to test on, has a box.
    """
    for split, count in boxed(dataset).items():
        if not count:
            raise DataError(
                f"{dataset.place}: no image of split {split!r} has a box, which claims about "
                f"{LOCALIZATION} are learned from and tested by; docs/data.md says where boxes "
                f"are read from; or name other {option('claims')}"
            )


def _check_transfer(dataset: Dataset) -> None:
    """Refuse data whose features no SVM can be cross-validated on.

    Raises:
        DataError: They are of several labels per image or of volumes, or a class has too few images
            to train on.
    """
    dataset.check_single_label("a study of features")
    dataset.check_images("a study of features")
    counts = np.bincount(dataset.split("train").labels, minlength=len(dataset.classes))
    present = np.flatnonzero(counts)
    check_folds(FOLDS, np.array(dataset.classes)[present], counts[present])


def make_costs(study: Study, wish: Wish) -> Costs:
    """Return the costs of a study, by measured speeds."""
    machine = study.compute.machine()
    return _costs_on(study.dataset, study.transfer, machine, wish)(study.budget)


def plan_of(study: Study, wish: Wish, costs: Costs) -> StudyPlan:
    """Return the parts of a study with their estimated times, and which are done."""
    results = study.results() if stored(study.folder) is not None else Results()
    parts = wish.parts(study.budget)
    left = remaining(study, parts, results)
    planned = (PlannedPart(part, costs.seconds(part), part not in left) for part in parts)
    return StudyPlan(study.folder, tuple(planned), costs, wish.jobs)


def begin(study: Study, wish: Wish, costs: Costs) -> None:
    """Write ``study.json``, or compare it with a study that has begun.

    Raises:
        InputError: Data or settings are others than at the beginning.
    """
    parts = wish.parts(study.budget)
    about = {
        "hours_asked": wish.hours,
        "hours_estimated": costs.total(parts) / 3600,
        "plan": [str(part) for part in parts],
        "begun": time.strftime("%Y-%m-%d %H:%M:%S"),
        "command": [*map(without_secret, sys.argv)],
        "environment": describe_environment(study.compute.machine()),
    }
    facts = study.facts(claims=wish.groups, seeds=range(study.budget.seeds))
    begin_or_compare(study, facts, about)


def _sizes(wish: Wish, costs: Callable[[Budget], Costs], progress: Progress) -> Budget:
    if wish.hours is None:
        chosen = resize(wish.budget, wish.settings)
        return replace(chosen, seeds=wish.seeds or chosen.seeds)
    before = stored(wish.out)
    if before is not None:
        progress.log(f"{wish.out} has begun: its sizes stay as they are")
        return stored_budget(before, wish.seeds or len(before["seeds"]))
    return fit(
        wish.hours,
        wish.parts,
        costs,
        resize=lambda budget: resize(budget, wish.settings),
        jobs=wish.jobs,
        seeds=wish.seeds,
    )


def _usual_settings(source: DataSource, dataset: Dataset, machine: Machine) -> dict[str, Any]:
    """Return the settings of every training that follow from the data."""
    facts = facts_of(source, dataset, machine)
    found: dict[str, Any] = {"data.cache": "device"} if facts.fits_in_memory else {}
    if not facts.mirrored:
        found |= {"data.flip": False, "test.flip": False}
    return found


def _costs_on(
    dataset: Dataset, transfer: Dataset | None, machine: Machine, wish: Wish
) -> Callable[[Budget], Costs]:
    """Return a function that measures the speeds of a budget's nets."""
    with_box = boxed(dataset) if LOCALIZATION in wish.groups else {}
    images = Images(
        dataset.sizes["train"],
        dataset.sizes["val"],
        with_box.get("train", 0),
        with_box.get("val", 0),
        sum(transfer.sizes.values()) if transfer else 0,
    )

    def costs(budget: Budget) -> Costs:
        parts = wish.parts(budget)
        nets = dict.fromkeys(p.condition.net for p in parts if isinstance(p, TrainPart))
        speeds = measure_speeds(nets, budget, len(dataset.classes), machine, wish.jobs)
        return Costs(budget, speeds, images)

    return costs
