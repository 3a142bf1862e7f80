"""Training on a local Ray cluster: as one process would, and on after the loss of a worker."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from leftovers import descendants
from tiny import recipe, strict_json

import verydeep
from verydeep.errors import DataError, InputError, MissingExtra, ModelError, RecipeError
from verydeep.recipe.recipe import Recipe
from verydeep.run.training import ray_train as ray_train_module
from verydeep.run.training.result import TrainResult

RAY = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: verydeep[ray]"
)
CALM = pytest.mark.filterwarnings("ignore")  # Ray leaves sockets open and warns of itself
PATIENCE = 300  # seconds until a worker has begun
SETTINGS = ("net.dropout=0", "training.precision=fp32", "data.workers=0")


@pytest.fixture(autouse=True)
def quiet_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    here = [str(Path(__file__).parents[2]), *filter(None, sys.path)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(here))


def weights(run: Path) -> dict[str, np.ndarray[Any, Any]]:
    checkpoint = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    return {name: tensor.numpy() for name, tensor in checkpoint["net"].items()}


def training_workers() -> list[int]:
    """Return the processes below this one that Ray has given a part of the training."""
    return [pid for pid, words in descendants().items() if "RayTrainWorker" in words]


def kill_one_worker_once(ready: Callable[[], bool], killed: list[int]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if ready() and (workers := training_workers()):
            killed.append(workers[-1])
            os.kill(killed[-1], signal.SIGKILL)
            return
        time.sleep(0.02)


def check_as_by_one_process(result: TrainResult, pictures: Path, chosen: Recipe) -> None:
    """Compare a run with that of one process."""
    run, alone = result.run, result.run.with_name("alone")
    assert result.epochs == chosen.training.epochs
    assert not (run / ".ray").exists()
    expected = verydeep.train(pictures, chosen, alone)
    rows = (run / "log.jsonl").read_text().splitlines()
    assert [strict_json(row)["epoch"] for row in rows] == [*range(1, result.epochs + 1)]
    assert result["top1_error"] == expected["top1_error"]
    found = weights(run)
    for name, tensor in weights(alone).items():
        np.testing.assert_allclose(found[name], tensor, rtol=1e-3, atol=1e-4, err_msg=name)


@RAY
@CALM
@pytest.mark.slow
def test_two_workers_of_which_one_is_lost_train_what_one_process_does(
    pictures: Path, tmp_path: Path
) -> None:
    chosen = recipe(*SETTINGS, "training.epochs=30")
    run, killed = tmp_path / "ray", list[int]()
    killer = threading.Thread(
        target=kill_one_worker_once, args=((run / "log.jsonl").exists, killed)
    )
    killer.start()
    result = verydeep.ray_train(pictures, chosen, run, workers=2, gpus=False, retries=2)
    killer.join()
    assert killed
    assert result.run == run
    check_as_by_one_process(result, pictures, chosen)


@RAY
@CALM
@pytest.mark.slow
def test_as_many_workers_as_there_is_room_for_train_what_one_process_does(
    pictures: Path, tmp_path: Path
) -> None:
    chosen = recipe(*SETTINGS, "training.epochs=3")
    result = verydeep.ray_train(
        pictures, chosen, tmp_path / "ray", workers=(1, 64), gpus=False, retries=0
    )
    check_as_by_one_process(result, pictures, chosen)


@RAY
@CALM
@pytest.mark.slow
def test_a_fault_of_the_input_is_told_and_not_tried_again(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing"):
        verydeep.ray_train(tmp_path / "nothing", recipe(), tmp_path / "ray", gpus=False)


@RAY
@CALM
@pytest.mark.slow
def test_a_range_that_is_none_is_refused(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"workers=: .*min_workers=3 must be <= max_workers=2"):
        verydeep.ray_train(pictures, recipe(), tmp_path / "ray", workers=(3, 2), gpus=False)


@RAY
def test_a_folder_with_a_run_is_refused_before_anything_starts(trained_run: Path) -> None:
    with pytest.raises(ModelError, match="already contains a run: continue it with resume=True"):
        verydeep.ray_train("digits", recipe(), trained_run)


def test_recipes_and_models_hold_in_the_folders_of_the_workers(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers have other working directories, so a job names no file by its place in this one."""
    jobs: list[Any] = []

    def take(job: Any, *others: Any) -> dict[str, Any]:
        jobs.append(job)
        return {"epochs": 1}

    monkeypatch.setattr(ray_train_module, "check_installed", lambda what: None)
    monkeypatch.setattr(ray_train_module, "ray_session", lambda *words: nullcontext())
    monkeypatch.setattr(ray_train_module, "_fit", take)
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("training: {epochs: 5}\n")
    Path("net").symlink_to(trained_run)
    verydeep.ray_train("digits", "mine.yaml", "a", init_from="net")
    verydeep.ray_train("digits", out="b", settings=["training.epochs=7", "initialize.source=net"])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    given, automatic = jobs
    assert isinstance(given.recipe, Recipe)
    assert given.recipe.training.epochs == 5
    assert automatic.recipe == "auto"
    assert automatic.settings["training.epochs"] == 7
    for job in jobs:
        assert Path(job.settings["initialize.source"]).samefile(trained_run)
    with pytest.raises(RecipeError, match="epoch"):  # told before a cluster starts
        verydeep.ray_train("digits", out="c", settings=["training.epoch=7"])
    assert len(jobs) == 2


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'verydeep\[ray\]'"):
        verydeep.ray_train("digits", recipe(), tmp_path / "ray")
