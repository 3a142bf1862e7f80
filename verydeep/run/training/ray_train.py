"""Training on a Ray cluster: Ray starts the processes and replaces lost ones; the training is ours.

Ray Train gives each worker its place in a process group and calls a function there, and calls it
anew in a new group when a worker is lost. The function is :func:`verydeep.train`, which resumes the
run from its own checkpoint.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verydeep.data.read import Data, DataSource
from verydeep.errors import InputError, MachineError, TrainingStopped, plural
from verydeep.recipe.auto import AUTO, Said
from verydeep.recipe.recipe import Recipe
from verydeep.run.ray_session import check_installed, ray_session
from verydeep.run.training.default_out import default_out
from verydeep.run.training.result import TrainResult
from verydeep.run.training.train import changes_of, settings_of, train
from verydeep.system.files import expanded, from_anywhere, make_folder
from verydeep.system.group.distributed import joined
from verydeep.system.option_names import option
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.system.relay import FileProgress, followed
from verydeep.training.run_folder import RunFolder

_RAYS_FILES = ".ray"
"""Folder in the run folder for what Ray Train writes, which a finished run does not need."""

_WHAT = "training on a Ray cluster"


def ray_train(
    data: Data,
    recipe: Recipe | str | Path = AUTO,
    out: str | Path | None = None,
    *,
    workers: int | tuple[int, int] = 2,
    gpus: bool | None = None,
    cpus_per_worker: int = 1,
    retries: int = 3,
    address: str | None = None,
    resume: bool = False,
    layout: str | None = None,
    settings: Mapping[str, Any] | Iterable[str] | None = None,
    progress: ProgressWish = None,
    **keywords: Any,
) -> TrainResult:
    """Train a net with several workers of a Ray cluster, in a run folder.

    The workers share every batch, as several processes of :func:`verydeep.train` do. When a worker
    or its machine is lost, Ray starts a new group, with fewer workers if ``workers`` is a range,
    which resumes the run from its last checkpoint.

    Args:
        data: As for :func:`verydeep.train`; a folder that all machines of the cluster see.
        recipe: As for :func:`verydeep.train`.
        out: Run folder, which all machines see; None takes the first free one of ``runs/DATA``.
        workers: Number of workers, or the least and the most of them.
        gpus: Whether each worker takes a GPU; None takes them if the cluster has some.
        cpus_per_worker: Cores of each worker, which compute or decode images.
        retries: Number of times that a lost worker is replaced; −1 sets no limit.
        address: Address of the cluster, as for ``ray.init``; None uses the one that this program is
            connected to, that of the variable ``RAY_ADDRESS``, or starts one on this machine and
            ends it afterwards.
        resume: Resume the run in ``out``.
        layout: Folder layout of the data; None detects it.
        settings: Changes to the recipe by dotted path.
        progress: Progress reporting; None enables it in notebooks and terminals, True everywhere,
            False nowhere.
        keywords: Changes to the recipe by name of the setting.

    Returns:
        The run, with the content of ``metrics.json``.

    Raises:
        MissingExtra: Ray is not installed.
        InputError: The data, the recipe, a keyword or the folder cannot be used.
        TrainingStopped: The loss is not finite.
        MachineError: More workers were lost than are replaced.
    """
    check_installed(_WHAT)
    folder = expanded(out or default_out(DataSource(data).name, resume=resume)).absolute()
    run = RunFolder(folder)
    with run.opened(resume=resume):
        pass  # refused here, before any worker starts
    said, chosen = settings_of(recipe, changes_of(settings, keywords))
    job = _Job(from_anywhere(data), *_from_anywhere(said, chosen), folder, layout)
    make_folder(folder / _RAYS_FILES)
    job.progress.path.unlink(missing_ok=True)
    shown = choose_progress(progress)
    with (
        ray_session(address or os.environ.get("RAY_ADDRESS"), _WHAT),
        followed(job.progress.path, shown),
    ):
        metrics = _fit(job, workers, gpus, cpus_per_worker, retries)
    shutil.rmtree(folder / _RAYS_FILES, ignore_errors=True)
    return TrainResult(expanded(out) if out else folder, metrics)


@dataclass(frozen=True)
class _Job:
    """A call of :func:`verydeep.train` for the workers."""

    data: Data
    recipe: Recipe | str
    settings: Mapping[str, Any]
    folder: Path
    layout: str | None

    @property
    def progress(self) -> FileProgress:
        """Where the workers report."""
        return FileProgress(self.folder / _RAYS_FILES / "progress.log")

    def begin_or_resume(self) -> TrainResult:
        """Train in the group that exists, from the run's checkpoint if there is one."""
        run = RunFolder(self.folder)
        with joined() as group:
            progress = self.progress if group.rank == 0 else Progress()
            progress.log(f"training with {plural(group.size, 'worker')} on Ray")
            # Rank 0 looks, before any of them begins the run.
            resume, *_ = group.gather(run.started or (run.path / "stages").is_dir())
            return train(
                self.data,
                self.recipe,
                self.folder,
                resume=resume,
                layout=self.layout,
                settings=self.settings,
                progress=progress,
            )


def _from_anywhere(said: Said, chosen: Recipe | None) -> tuple[Recipe | str, dict[str, Any]]:
    """Return a recipe and settings that mean the same in the workers' own working directories."""
    source = said.get("initialize", {}).get("source")
    moved = {} if source is None else {"initialize.source": str(from_anywhere(source))}
    if chosen is not None:
        return chosen, moved
    given = {f"{section}.{key}": value for section in said for key, value in said[section].items()}
    return AUTO, given | moved


def _work(config: dict[str, _Job]) -> dict[str, Any]:
    """Train in a worker; return the metrics, or an error that another try would only repeat."""
    try:
        return {"metrics": dict(config["job"].begin_or_resume().metrics)}
    except (InputError, TrainingStopped) as error:
        return {"error": error}


def _fit(
    job: _Job,
    workers: int | tuple[int, int],
    gpus: bool | None,
    cpus_per_worker: int,
    retries: int,
) -> dict[str, Any]:
    """Let Ray Train call the job in every worker, again after a loss."""
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    if gpus is None:
        gpus = ray.cluster_resources().get("GPU", 0) > 0
    try:
        trainer = TorchTrainer(
            _work,
            train_loop_config={"job": job},
            scaling_config=ScalingConfig(
                num_workers=workers,
                use_gpu=gpus,
                resources_per_worker={"CPU": cpus_per_worker, **({"GPU": 1} if gpus else {})},
            ),
            torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if gpus else "gloo"),
            run_config=RunConfig(
                name=job.folder.name,
                storage_path=str(job.folder / _RAYS_FILES),
                failure_config=FailureConfig(max_failures=retries),
            ),
        )
    except ValueError as error:  # of a number of workers
        raise InputError(f"{option('workers')}: {error}") from error
    try:
        found = trainer.fit().return_value
    except TrainingFailedError as error:
        raise MachineError(
            f"{_cause(error)} (after {retries} new starts; the last checkpoint is kept: go on with "
            "the same call and resume=True)"
        ) from error
    if "error" in found:
        raise found["error"]
    return dict(found["metrics"])


def _cause(error: Exception) -> str:
    """Return why the workers failed, in one line."""
    failures = getattr(error, "worker_failures", {})
    for rank, failure in failures.items():
        base = getattr(failure, "_base_exc", failure)
        lines = str(base).strip().splitlines()
        return f"worker {rank}: {lines[0] if lines else type(base).__name__}"
    return str(error).strip().splitlines()[-1]
