"""``--resume`` with more epochs, and with settings that a run did not begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from progresses import Listening
from test_resume import cut, result, run_here
from tiny import recipe, write_splits
from whole_runs import log, metrics, weights

from verydeep import train
from verydeep.recipe.recipe import load_recipe
from verydeep.run.training.resume_settings import ignored

pytestmark = pytest.mark.slow  # many whole runs, or drawings

QUICK = ("training.precision=fp32", "net.norm=batch")
CURVE = (*QUICK, "training.schedule=one-cycle")
PLATEAU = (*QUICK, "plateau.patience=1", "plateau.drops=0")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("extend") / "data", train=6, val=2, test=2)


def go_on(data: Path, run: Path, *settings: str) -> tuple[dict[str, Any], list[str]]:
    said = Listening()
    found = train(data, recipe(*QUICK), run, settings=settings, resume=True, progress=said)
    return found, said.lines


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "polynomial"])
def test_a_finished_curve_trains_on_as_one_with_a_restart(
    schedule: str, data: Path, tmp_path: Path
) -> None:
    settings = (*QUICK, f"training.schedule={schedule}")
    whole, run = tmp_path / "whole", tmp_path / "run"
    run_here(data, whole, *settings, "training.epochs=5", "training.restarts=[2]")
    run_here(data, run, *settings, "training.epochs=2")
    run_here(data, run, "training.epochs=5", resume=True)
    ours, theirs = result(run), result(whole)
    assert ours["recipe"] == theirs["recipe"]
    assert ours["weights"] == theirs["weights"]
    assert ours["log"] == theirs["log"]
    assert (metrics(run)["epochs"], metrics(run)["kept_epoch"]) == (5, 5)


def test_a_constant_rate_goes_on_as_if_planned_longer(data: Path, tmp_path: Path) -> None:
    settings = (*QUICK, "training.schedule=constant")
    whole, run = tmp_path / "whole", tmp_path / "run"
    run_here(data, whole, *settings, "training.epochs=3")
    run_here(data, run, *settings, "training.epochs=2")
    run_here(data, run, "training.epochs=3", resume=True)
    ours, theirs = result(run), result(whole)
    assert ours["recipe"] == theirs["recipe"]
    assert ours["weights"] == theirs["weights"]
    assert metrics(run)["epochs"] == 3


def test_training_on_that_is_cut_short_goes_on_the_same(data: Path, tmp_path: Path) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    for folder in (whole, run):
        run_here(data, folder, *CURVE, "training.epochs=2")
    run_here(data, whole, "training.epochs=4", resume=True)
    for writes in (0, 1, 2, 4):
        cut(data, run, "training.epochs=4", writes=writes, resume=True)
        assert not (run / "metrics.json").exists()
    run_here(data, run, "training.epochs=4", resume=True)
    assert result(run)["weights"] == result(whole)["weights"]
    assert result(run)["log"] == result(whole)["log"]


def test_a_plateau_that_ended_waits_for_another_end(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run_here(data, run, *PLATEAU, "training.learning_rate=1e-9", "training.epochs=6")
    first = metrics(run)
    assert first["epochs"] < 6
    found, _ = go_on(data, run, "training.epochs=20")
    assert first["epochs"] < found["epochs"] < 20
    assert [row["epoch"] for row in log(run)] == list(range(1, found["epochs"] + 1))


def test_a_plateau_that_met_the_ceiling_goes_on(data: Path, tmp_path: Path) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    run_here(data, whole, *QUICK, "training.epochs=4")
    run_here(data, run, *QUICK, "training.epochs=2")
    found, said = go_on(data, run, "training.epochs=4")
    assert found["epochs"] == 4
    assert weights(run) == weights(whole)
    assert any("trains on to epoch 4" in line for line in said)


@pytest.mark.parametrize("epochs", [1, 2])
def test_no_more_epochs_than_it_has_leave_a_finished_run_as_it_is(
    epochs: int, data: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run_here(data, run, *CURVE, "training.epochs=2")
    before = result(run)
    found, said = go_on(data, run, f"training.epochs={epochs}")
    assert found == metrics(run)
    assert result(run) == before
    assert any(f"epochs={epochs}" in line for line in said) == (epochs < 2)


@pytest.mark.parametrize("stream", [False, True])
def test_another_number_of_workers_is_refused_in_a_stream_alone(*, stream: bool) -> None:
    own = load_recipe("paper", [f"data.stream={str(stream).lower()}", "data.workers=2"])
    said = list(ignored(own, {"data": {"workers": 0}, "training": {"epochs": 3, "seed": 0}}))
    assert said == ["not taken: data.workers=0; a resumed run keeps its own (2)"] * stream


def test_settings_that_are_not_taken_are_named(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run_here(data, run, *CURVE, "training.epochs=1")
    _, said = go_on(data, run, "net.name=D", "training.batch=4", "training.seed=0")
    named = [line for line in said if line.startswith("not taken")]
    for path, count in {"net.name": 1, "training.batch": 1, "training.seed": 0}.items():
        assert sum(path in line for line in named) == count
    assert yaml.safe_load((run / "recipe.yaml").read_text())["net"]["name"] == "A"
