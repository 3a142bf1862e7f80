"""Training of one net in a run folder, from its beginning or its checkpoint to its test."""

from __future__ import annotations

import time
from typing import Any

import torch

from verydeep.data.dataset import Dataset
from verydeep.data.fingerprint import record_splits, write_records
from verydeep.data.pipeline.colour_statistics import Scan
from verydeep.data.read import DataSource
from verydeep.errors import InputError
from verydeep.recipe.recipe import Recipe
from verydeep.run.data_record import record_data
from verydeep.run.report import report as write_report_again
from verydeep.run.training.data import read_data, report_balance, scan_images, settle_stream
from verydeep.run.training.divided_groups import warn_of_divided
from verydeep.run.training.finish import finish
from verydeep.run.training.machine_settings import (
    bounded,
    describe_updates,
    say_few_updates,
    say_small_moments,
    settle,
    suit_dimensions,
    suit_machine,
    suit_task,
)
from verydeep.run.training.net_and_optimizer import make_net
from verydeep.run.training.tasks.localization import inherit
from verydeep.run.training.tasks.of_recipe import task_of
from verydeep.run.training.trainer import Trainer
from verydeep.run.training.transfer import TransferTrainer
from verydeep.run.training.transfer_settings import (
    hint_at_transfer,
    inherit_net,
    inherit_transfer,
)
from verydeep.system.device import Machine, choose_machine, describe_environment
from verydeep.system.group.distributed import Group
from verydeep.system.progress import Progress
from verydeep.training.checkpoint import has_checkpoint
from verydeep.training.map_store import remove_maps
from verydeep.training.run_folder import PICTURES, RunFolder

LATE = 10.0
"""Seconds for which a new file may be unknown to other machines of a shared file system."""


def train_net(
    data: DataSource,
    recipe: Recipe,
    run: RunFolder,
    group: Group,
    progress: Progress,
    *,
    go_on: bool = False,
) -> dict[str, Any]:
    """Train one net, or resume it from the state of its folder.

    The first process of a group begins the run. The others join it as if they resumed it, and so
    read the same recipe and find the same data.

    Args:
        data: The data.
        recipe: Recipe of a new run, or that of the run to resume.
        run: Run folder.
        group: Processes that train the net together.
        progress: Progress reporting.
        go_on: Whether to train up to the maximum of epochs even if the schedule has ended.

    Returns:
        The content of ``metrics.json``.
    """
    if group.broadcast(run.finished):
        return group.broadcast(_finished(run, progress) if group.first else {})
    resumed, recipe = _shared_beginning(recipe, run, group)
    if not (resumed and recipe.data.stream):  # a stream's order depends on it
        recipe = bounded(recipe, progress)
    machine = choose_machine(recipe.training.device, recipe.training.precision)
    dataset = read_data(data, recipe, resumed, progress)
    progress.log(f"{dataset.place}: {dataset.describe()}")
    machine = suit_machine(machine, recipe, dataset)
    if not resumed:
        warn_of_divided(dataset, recipe, progress)
    recipe = _settled(recipe, dataset, machine, group, resumed, progress)
    task = task_of(recipe, dataset)
    scanned = scan_images(dataset, task, machine, resumed, progress)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.training.seed)
        # A run stopped before its first checkpoint starts over from the same seed.
        fresh = not has_checkpoint(run.checkpoints)
        net = make_net(
            recipe, dataset, progress, outputs=task.outputs, initialized=fresh and group.first
        )
        if not resumed:
            _write_beginning(run, data, recipe, machine, dataset, scanned)
            group.wait_for_all()
        kind = TransferTrainer if recipe.transfer else Trainer
        position = kind(task, machine, scanned, net, run, progress, group).run(go_on=go_on)
    metrics = finish(run, task, machine, position, group, progress)
    if group.first:
        remove_maps(run.maps)  # only now: a run that is killed in its last test needs them again
    return metrics


def _shared_beginning(
    recipe: Recipe, run: RunFolder, group: Group
) -> tuple[RunFolder | None, Recipe]:
    """Return the run to resume, if any, and its recipe: others resume what the first begins."""
    resumed = run if group.broadcast(run.started) else None
    if not group.first:
        group.wait_for_all()
        return run, _joined_recipe(recipe, run, group)
    if resumed is None:
        return None, inherit_net(inherit(recipe))
    group.wait_for_all()
    return resumed, recipe


def _settled(
    recipe: Recipe,
    dataset: Dataset,
    machine: Machine,
    group: Group,
    resumed: RunFolder | None,
    progress: Progress,
) -> Recipe:
    """Return the recipe with all that data, machine and processes decide; log what is notable."""
    if not resumed:
        recipe = suit_task(recipe, dataset)
        recipe = suit_dimensions(inherit_transfer(recipe, dataset), dataset)
    given = recipe
    recipe = settle(given, machine, group, dataset.sizes["train"])
    say_small_moments(given, recipe, progress)
    report_balance(dataset, recipe, progress)
    if dataset.stream is not None:
        recipe = settle_stream(recipe, dataset.stream, group)
    progress.log(describe_updates(recipe, machine, group))
    if not resumed:
        say_few_updates(dataset, recipe, progress)
        if hint := hint_at_transfer(recipe, dataset):
            progress.log(hint)
    return recipe


def _finished(run: RunFolder, progress: Progress) -> dict[str, Any]:
    """Return the metrics of a finished run, and complete its files."""
    progress.log(f"{run.path} is finished already")
    if not run.reported:  # killed before its last file was written
        progress.log(f"its report was missing and is written: {write_report_again(run.path)}")
    remove_maps(run.maps)  # killed before they were
    return dict(run.read("metrics.json"))


def _joined_recipe(given: Recipe, run: RunFolder, group: Group) -> Recipe:
    """Return the recipe of a run that the first process has begun.

    Raises:
        InputError: This process does not see the run.
    """
    deadline = time.monotonic() + LATE
    while not run.started:
        if time.monotonic() > deadline:
            raise InputError(
                f"{run.path}: rank {group.rank} does not see the run that rank 0 has begun there; "
                "all machines must share the file system of the run folder"
            )
        time.sleep(0.1)
    recipe = run.read_recipe()
    if recipe.data.stream:
        return recipe
    return recipe.replace(data__workers=given.data.workers)  # which affects no result


def _write_beginning(
    run: RunFolder,
    source: DataSource,
    recipe: Recipe,
    machine: Machine,
    dataset: Dataset,
    scanned: Scan,
) -> None:
    """Write the files needed to resume the run; the recipe last, as it marks a started run."""
    records = record_splits(dataset)
    run.write("environment.json", describe_environment(machine))
    write_records(run.path / PICTURES, records)
    run.write("data.json", record_data(source.data, dataset, scanned, records))
    run.write_recipe(recipe)
