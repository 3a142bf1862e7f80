"""Train and test a model by a recipe, in a run folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from verydeep.data.dataset import Dataset
from verydeep.data.fingerprint import record_splits, write_records
from verydeep.data.pipeline.colour_statistics import Scan
from verydeep.data.pipeline.workers import bounded_workers
from verydeep.data.read import Data, DataSource, read_dataset
from verydeep.errors import InputError, MachineError, plural
from verydeep.models.path import check_models
from verydeep.nets.registry import anatomy_of
from verydeep.recipe.auto import AUTO, Said
from verydeep.recipe.keywords import keyword_settings
from verydeep.recipe.recipe import Recipe, check, said_settings
from verydeep.run.data_record import record_data
from verydeep.run.report import report as write_report_again
from verydeep.run.training.auto import choose_recipe
from verydeep.run.training.data import (
    read_data,
    report_balance,
    scan_images,
    settle_stream,
)
from verydeep.run.training.default_out import default_out
from verydeep.run.training.extend import extend
from verydeep.run.training.finish import finish
from verydeep.run.training.localization import inherit
from verydeep.run.training.result import TrainResult
from verydeep.run.training.setup import make_net, task_of
from verydeep.run.training.trainer import Trainer
from verydeep.run.training.transfer import TransferTrainer
from verydeep.run.training.transfer_settings import (
    hint_at_transfer,
    inherit_net,
    inherit_transfer,
)
from verydeep.system.device import Machine, choose_machine, describe_environment
from verydeep.system.option_names import command_or_call, option, setting
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.training.checkpoint import has_checkpoint
from verydeep.training.map_store import remove_maps
from verydeep.training.micro_batch import fitting_micro_batch
from verydeep.training.run_folder import PICTURES, RunFolder
from verydeep.training.signals import StopAtOnce

SMALL_BATCH = 16
"""Batch size that suits the smallest data sets."""

FEW_UPDATES = 300
"""Below this total number of updates, warn: a randomly initialised net hardly learns."""


def train(
    data: Data,
    recipe: Recipe | str | Path = AUTO,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    layout: str | None = None,
    settings: Mapping[str, Any] | Iterable[str] | None = None,
    progress: ProgressWish = None,
    **keywords: Any,
) -> TrainResult:
    """Train a net on a data set by a recipe and test the kept model, in a run folder.

    Args:
        data: A name, folder or file; see :func:`verydeep.data.read.read_dataset`.
        recipe: ``auto``, which chooses settings for these data and this machine and logs the
            reasons (:mod:`verydeep.recipe.auto`); a recipe; the name of a shipped one; or a YAML
            file.
        out: Run folder; None takes the first free one of ``runs/DATA``, ``runs/DATA-2`` and so
            on, or with ``resume`` the latest unfinished one.
        resume: Resume the run in ``out``.
        layout: Folder layout of the data; None detects it. A resumed run keeps its own.
        settings: Changes to the recipe by dotted path, as ``{"training.learning_rate": 0.01}``, or
            in command-line form, as ``["training.learning_rate=0.01"]``. A resumed run accepts
            only a larger number of epochs.
        progress: Progress reporting; None enables it in notebooks and terminals, True everywhere,
            False nowhere.
        keywords: Changes to the recipe by name of the setting, as ``epochs=30``,
            ``learning_rate=0.01``, ``net="A"``, ``init_from="runs/a"``; a name that occurs in
            several sections takes the section as prefix, as ``data__flip=False``.

    Returns:
        The run, with the content of ``metrics.json`` by key: the final test, ``epochs``,
        ``drops``, ``stopped_because``.

    Raises:
        InputError: The data, the recipe, a keyword or the folder cannot be used.
        TrainingStopped: The loss is not finite.
        Interrupted: A signal stopped the run; it can be resumed.
    """
    progress = choose_progress(progress)
    auto = recipe == AUTO
    said = said_settings(None if auto else recipe, _changes(settings, keywords))
    chosen = None if auto else check(said, origin="" if isinstance(recipe, Recipe) else str(recipe))
    if not resume:
        check_models(said.get("initialize", {}).get("source"), torchvision="vgg")
    run = RunFolder(_run_path(data, out, resume=resume, progress=progress))
    stop = StopAtOnce(f"; if the run has begun, go on with {_way_on()}")
    with run.opened(resume=resume), stop:
        try:
            metrics = _begin_or_go_on(DataSource(data, layout), chosen, said, run, progress)
        except MachineError as error:
            raise _with_way_on(error, run) from error
    return TrainResult(run.path, metrics)


def _changes(
    settings: Mapping[str, Any] | Iterable[str] | None, keywords: Mapping[str, Any]
) -> Mapping[str, Any] | Iterable[str]:
    """Return the changes to a recipe from settings and keywords."""
    if not keywords:
        return settings or ()
    if settings is not None and not isinstance(settings, Mapping):
        raise InputError("settings must be a mapping where other changes are keywords")
    return {**(settings or {}), **keyword_settings(keywords)}


def _begin_or_go_on(
    source: DataSource, chosen: Recipe | None, said: Said, run: RunFolder, progress: Progress
) -> dict[str, Any]:
    """Train by the given or an automatic recipe, or resume the run with its own."""
    if run.started:
        go_on = extend(run, said, progress)
        return _train_one(source, _resumed(run, said), run, progress, go_on=go_on)
    if chosen is None:
        machine = choose_machine(*_machine_in(said))
        undrawn = _read_undrawn(source, said, progress)
        chosen = choose_recipe(source, undrawn, said, machine, progress)
    return _train_chain(source, chosen, run, progress)


def _machine_in(said: Said) -> tuple[str | None, str | None]:
    training = said.get("training", {})
    return training.get("device"), training.get("precision")


def _read_undrawn(source: DataSource, said: Said, progress: Progress) -> Dataset:
    """Read a data set without drawing missing splits, to choose the recipe by."""
    stream = said.get("data", {}).get("stream")
    return read_dataset(
        source.data, layout=source.layout, draw=False, stream=stream, progress=progress
    )


def _way_on() -> str:
    return f"the same {command_or_call()} and {option('resume', True)}"


def _with_way_on(error: MachineError, run: RunFolder) -> MachineError:
    """Return the error with advice for resuming once the machine works again."""
    kept = "the last good checkpoint is kept; " if has_checkpoint(run.checkpoints) else ""
    begun = run.started or (run.path / "stages").is_dir()
    way = _way_on() if begun else f"the same {command_or_call()}"
    return type(error)(f"{error} ({kept}then go on with {way})")


def _run_path(data: Data, out: str | Path | None, *, resume: bool, progress: Progress) -> Path:
    if out is not None:
        return Path(out).expanduser()
    path = default_out(DataSource(data).name, resume=resume)
    progress.log(f"run {path}")
    return path


def _train_chain(
    data: DataSource, recipe: Recipe, run: RunFolder, progress: Progress
) -> dict[str, Any]:
    """Train the nets of ``initialize.stages``, each from the previous one, then the net itself."""
    source = recipe.initialize.source
    for stage in recipe.initialize.stages:
        progress.log(f"stage {stage}, to initialise the next net:")
        folder = RunFolder(run.path / "stages" / stage)
        staged = recipe.replace(net__name=stage, initialize__stages=[], initialize__source=source)
        with folder.held():
            _train_one(data, folder.read_recipe() if folder.started else staged, folder, progress)
        source = str(folder.path)
    return _train_one(data, recipe.replace(initialize__source=source), run, progress)


def _resumed(run: RunFolder, said: Said) -> Recipe:
    """Return the recipe of a run, with the number of workers given now.

    A stream keeps its number, since its order depends on it; elsewhere it affects no result.
    """
    recipe = run.read_recipe()
    workers = said.get("data", {}).get("workers")
    if workers is None or recipe.data.stream:
        return recipe
    return recipe.replace(data__workers=workers)


def _train_one(
    data: DataSource, recipe: Recipe, run: RunFolder, progress: Progress, *, go_on: bool = False
) -> dict[str, Any]:
    """Train one net, or resume it from the state of its folder."""
    if run.finished:
        progress.log(f"{run.path} is finished already")
        if not run.reported:  # killed before its last file was written
            progress.log(f"its report was missing and is written: {write_report_again(run.path)}")
        remove_maps(run.maps)  # killed before they were
        return dict(run.read("metrics.json"))
    resumed = run if run.started else None
    recipe = recipe if resumed else inherit_net(inherit(recipe))
    if not (resumed and recipe.data.stream):  # a stream's order depends on it
        recipe = _bounded(recipe, progress)
    machine = choose_machine(recipe.training.device, recipe.training.precision)
    dataset = read_data(data, recipe, resumed, progress)
    progress.log(f"{dataset.place}: {dataset.describe()}")
    if not resumed:
        recipe = inherit_transfer(recipe, dataset)
    recipe = _settle(recipe, machine)
    report_balance(dataset, recipe, progress)
    if dataset.stream is not None:
        recipe = settle_stream(recipe, dataset.stream)
    progress.log(
        f"net {recipe.net.name} on {machine}, updates of {recipe.training.batch} images, "
        f"{recipe.training.micro_batch} at a time"
    )
    if not resumed:
        _say_few_updates(dataset, recipe, progress)
        if hint := hint_at_transfer(recipe, dataset):
            progress.log(hint)
    task = task_of(recipe, dataset)
    scanned = scan_images(dataset, task, machine, resumed, progress)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.training.seed)
        # A run stopped before its first checkpoint starts over from the same seed.
        net = make_net(
            recipe,
            dataset,
            progress,
            outputs=task.outputs,
            initialized=not has_checkpoint(run.checkpoints),
        )
        if not resumed:
            _write_beginning(run, data, recipe, machine, dataset, scanned)
        kind = TransferTrainer if recipe.transfer else Trainer
        position = kind(task, machine, scanned, net, run, progress).run(go_on=go_on)
    metrics = finish(run, task, machine, position, progress)
    remove_maps(run.maps)  # only now: a run that is killed in its last test needs them again
    return metrics


def _bounded(recipe: Recipe, progress: Progress) -> Recipe:
    """Cap an excessive number of workers and report it."""
    workers, word = bounded_workers(recipe.data.workers, "data.workers")
    if word:
        progress.log(word)
    return recipe.replace(data__workers=workers)


def _settle(recipe: Recipe, machine: Machine) -> Recipe:
    """Fix machine-dependent settings in the recipe, so that the run can be repeated and resumed."""
    if recipe.training.micro_batch is None:
        sizes = anatomy_of(recipe.net.settings)
        fitting = fitting_micro_batch(sizes, recipe.training.batch, machine)
        recipe = recipe.replace(training__micro_batch=fitting)
    keep = recipe.training.keep
    if keep == "auto":
        # A learning rate that decays to 0 makes the last epoch a good choice and keeps val
        # unbiased; the plateau schedule uses val anyway.
        keep = "best" if recipe.training.schedule == "plateau" else "last"
    return recipe.replace(
        training__device=str(machine.device),
        training__precision=machine.precision,
        training__keep=keep,
    )


def _say_few_updates(dataset: Dataset, recipe: Recipe, progress: Progress) -> None:
    """Warn if a randomly initialised net gets too few updates to learn."""
    training = recipe.training
    updates = training.epochs * -(-dataset.sizes["train"] // training.batch)
    smaller = training.batch > SMALL_BATCH
    if smaller and updates < FEW_UPDATES and recipe.initialize.source is None:
        progress.log(
            f"only {plural(updates, 'update')} in {plural(training.epochs, 'epoch')}: a smaller "
            f"batch ({setting('training.batch', SMALL_BATCH)}, with a rate to match) or more "
            f"epochs fit a set this small; {option('recipe', 'auto')} chooses both"
        )


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
