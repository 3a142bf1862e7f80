"""Train and test a model by a recipe, in a run folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verydeep.data.dataset import Dataset
from verydeep.data.read import Data, DataSource, read_dataset
from verydeep.errors import InputError, MachineError
from verydeep.models.path import check_models
from verydeep.recipe.auto import AUTO, Said
from verydeep.recipe.keywords import keyword_settings
from verydeep.recipe.recipe import Recipe, check, said_settings
from verydeep.run.training.auto import choose_recipe
from verydeep.run.training.default_out import default_out
from verydeep.run.training.one_net import train_net
from verydeep.run.training.result import TrainResult
from verydeep.run.training.resume_settings import extend
from verydeep.system.device import choose_machine
from verydeep.system.files import expanded
from verydeep.system.group.distributed import Group, joined
from verydeep.system.group.launch import in_processes
from verydeep.system.group.watch import GroupWatch
from verydeep.system.option_names import command_or_call, option
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.training.checkpoint import has_checkpoint
from verydeep.training.run_folder import RunFolder
from verydeep.training.signals import StopAtOnce


def train(
    data: Data,
    recipe: Recipe | str | Path = AUTO,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    layout: str | None = None,
    settings: Mapping[str, Any] | Iterable[str] | None = None,
    processes: int | None = None,
    progress: ProgressWish = None,
    **keywords: Any,
) -> TrainResult:
    """Train a net on a data set by a recipe and test the kept model, in a run folder.

    In a group of processes, as torchrun starts it, every process makes the same call. They train
    one net together, the same as one process alone up to rounding; the first one writes the run
    folder and reports.

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
            only a larger number of epochs and, unless it reads a stream, ``data.workers``.
        processes: Processes on this machine that share every batch, each with its own GPU or its
            share of the cores; this process is the first of them.
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
        MachineError: A process was killed, or the disk is full; the run can be resumed.
    """
    progress = choose_progress(progress)
    if processes not in (None, 1):
        assert processes is not None
        return in_processes(
            processes,
            train,
            data,
            recipe,
            out,
            resume=resume,
            layout=layout,
            settings=settings if isinstance(settings, Mapping | None) else list(settings),
            progress=progress,
            advice=f"; go on with {_way_on()}",
            **keywords,
        )
    with joined() as group:
        job = _Job(DataSource(data, layout), group, progress if group.first else Progress())
        try:
            with GroupWatch(group):
                said, chosen = settings_of(recipe, changes_of(settings, keywords))
                if not resume:
                    check_models(said.get("initialize", {}).get("source"), torchvision="vgg")
                job.run = RunFolder(_run_path(data, out, job, resume=resume))
                return TrainResult(job.run.path, _run(job, chosen, said, resume=resume))
        except MachineError as error:
            raise _with_way_on(error, job.run) from error


@dataclass
class _Job:
    """A call of :func:`train`.

    Attributes:
        source: The data.
        group: Processes that train together.
        progress: Progress reporting; silent in all processes but the first.
        run: Run folder, once it is known.
    """

    source: DataSource
    group: Group
    progress: Progress
    run: RunFolder | None = None


def settings_of(
    recipe: Recipe | str | Path, changes: Mapping[str, Any] | Iterable[str]
) -> tuple[Said, Recipe | None]:
    """Return the given settings, and the recipe that they make; None for an automatic one."""
    auto = recipe == AUTO
    said = said_settings(None if auto else recipe, changes)
    if auto:
        return said, None
    return said, check(said, origin="" if isinstance(recipe, Recipe) else str(recipe))


def _run(job: _Job, chosen: Recipe | None, said: Said, *, resume: bool) -> dict[str, Any]:
    """Train in the run folder, which the first process holds for all."""
    assert job.run is not None
    stop = StopAtOnce(f"; if the run has begun, go on with {_way_on()}")
    with job.run.opened(resume=resume) if job.group.first else nullcontext(), stop:
        return _begin_or_go_on(job, job.run, chosen, said)


def changes_of(
    settings: Mapping[str, Any] | Iterable[str] | None, keywords: Mapping[str, Any]
) -> Mapping[str, Any] | Iterable[str]:
    """Return the changes to a recipe from settings and keywords."""
    if not keywords:
        return settings or ()
    if settings is not None and not isinstance(settings, Mapping):
        raise InputError("settings must be a mapping where other changes are keywords")
    return {**(settings or {}), **keyword_settings(keywords)}


def _begin_or_go_on(job: _Job, run: RunFolder, chosen: Recipe | None, said: Said) -> dict[str, Any]:
    """Train by the given or an automatic recipe, or resume the run with its own."""
    group, progress = job.group, job.progress
    if group.broadcast(run.started):
        go_on = group.broadcast(extend(run, said, progress) if group.first else False)
        recipe = _resumed(run, said)
        return train_net(job.source, recipe, run, group, progress, go_on=go_on)
    if chosen is None and group.first:
        machine = choose_machine(*_machine_in(said))
        undrawn = _read_undrawn(job.source, said, progress)
        chosen = choose_recipe(job.source, undrawn, said, machine, progress)
    chosen = group.broadcast(chosen)
    assert chosen is not None
    return _train_chain(job, chosen, run)


def _machine_in(said: Said) -> tuple[str | None, str | None]:
    training = said.get("training", {})
    return training.get("device"), training.get("precision")


def _read_undrawn(source: DataSource, said: Said, progress: Progress) -> Dataset:
    """Read a data set without drawing missing splits, to choose the recipe by."""
    data = said.get("data", {})
    return read_dataset(
        source.data,
        layout=source.layout,
        draw=False,
        stream=data.get("stream"),
        task=data.get("task"),
        progress=progress,
    )


def _way_on() -> str:
    return f"the same {command_or_call()} and {option('resume', True)}"


def _with_way_on(error: MachineError, run: RunFolder | None) -> MachineError:
    """Return the error with advice for resuming once the machine works again."""
    if run is None:
        return error
    kept = "the last good checkpoint is kept; " if has_checkpoint(run.checkpoints) else ""
    begun = run.started or (run.path / "stages").is_dir()
    way = _way_on() if begun else f"the same {command_or_call()}"
    more = type(error)(f"{error} ({kept}then go on with {way})")
    more.reported = error.reported
    return more


def _run_path(data: Data, out: str | Path | None, job: _Job, *, resume: bool) -> Path:
    if out is not None:
        return expanded(out)
    path = default_out(DataSource(data).name, resume=resume) if job.group.first else Path()
    path = job.group.broadcast(path)
    job.progress.log(f"run {path}")
    return path


def _train_chain(job: _Job, recipe: Recipe, run: RunFolder) -> dict[str, Any]:
    """Train the nets of ``initialize.stages``, each from the previous one, then the net itself."""
    source, group = recipe.initialize.source, job.group
    for stage in recipe.initialize.stages:
        job.progress.log(f"stage {stage}, to initialise the next net:")
        folder = RunFolder(run.path / "stages" / stage)
        staged = recipe.replace(net__name=stage, initialize__stages=[], initialize__source=source)
        with folder.held() if group.first else nullcontext():
            begun = group.broadcast(folder.started)
            own = folder.read_recipe() if begun else staged
            train_net(job.source, own, folder, group, job.progress)
        source = str(folder.path)
    last = recipe.replace(initialize__source=source)
    return train_net(job.source, last, run, group, job.progress)


def _resumed(run: RunFolder, said: Said) -> Recipe:
    """Return the recipe of a run, with the number of workers given now.

    A stream keeps its number, since its order depends on it; elsewhere it affects no result.
    """
    recipe = run.read_recipe()
    workers = said.get("data", {}).get("workers")
    if workers is None or recipe.data.stream:
        return recipe
    return recipe.replace(data__workers=workers)
