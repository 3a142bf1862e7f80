"""A temperature for a model: fitted, kept in its folder, used from then on, and refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from progresses import Listening
from scipy import optimize
from tiny import Outcome, strict_json, write_class_folders

import verydeep
from verydeep.errors import DataError, InputError, ModelError
from verydeep.evaluation.calibration import Calibration, fit_calibration, temper
from verydeep.evaluation.protocol import TestProtocol
from verydeep.run.testing.calibrate import calibrate
from verydeep.run.testing.evaluate import evaluate
from verydeep.system.settings import Compute

CPU = Compute("cpu", "fp32", 0)


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    """A run whose net looks through other eyes than it was trained with, and errs."""
    folder = tmp_path / "run"
    shutil.copytree(trained_run, folder)
    path = folder / "model" / "config.json"
    config = json.loads(path.read_text("utf-8"))
    config["preprocessing"] = {"mean": [140.0, 80.0, 170.0], "divisor": 90.0}
    path.write_text(json.dumps(config), "utf-8")
    return folder


def kept(run: Path) -> dict | None:
    return strict_json((run / "model" / "config.json").read_text("utf-8"))["calibration"]


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def program(request: pytest.FixtureRequest) -> Callable[..., Outcome]:
    """The program as a function; the package has its name here."""
    return request.getfixturevalue("verydeep")


# ---- what is fitted ----


@pytest.mark.parametrize("protocol", ["dense", "crops"])
def test_the_temperature_is_the_one_of_least_loss(run: Path, protocol: str) -> None:
    before = evaluate(run, None, protocol, split="val", compute=CPU)
    assert 0 < before.top1_error < 100
    found = calibrate(run, "val", protocol=protocol, compute=CPU)
    likely = before.answers.posteriors.astype(np.float64)
    labels = before.answers.labels

    def loss(temperature: float) -> float:
        powers = likely ** (1 / temperature)
        right = (powers / powers.sum(1, keepdims=True))[np.arange(len(labels)), labels]
        return float(-np.log(right).mean())

    grid = np.geomspace(0.05, 20, 400)
    best = grid[np.argmin([loss(t) for t in grid])]
    bounds = (best / 1.05, min(best * 1.05, 20))
    exact = optimize.minimize_scalar(loss, bounds=bounds, method="bounded")
    assert found.temperature == pytest.approx(exact.x, rel=1e-2)
    assert found.loss_before == pytest.approx(loss(1.0), rel=1e-5)
    assert found.loss_after == pytest.approx(exact.fun, rel=1e-5)
    assert found.loss_after < found.loss_before
    assert (found.split, found.images) == ("val", 12)
    assert found.protocol.startswith(f"{protocol} ")


def test_the_test_is_the_one_that_is_asked_for(run: Path) -> None:
    chosen = evaluate(run, protocol=TestProtocol(scales=[32, 48]), split="val", compute=CPU)
    found = calibrate(run, "val", protocol=TestProtocol(scales=[32, 48]), compute=CPU)
    assert found.loss_before == chosen.loss
    assert "Q = 32, 48" in found.protocol


def test_data_can_be_named(run: Path, tmp_path: Path) -> None:
    data = tmp_path / "more"
    write_class_folders(data / "held out", 5, seed=9)
    write_class_folders(data / "train", 2, seed=10)
    write_class_folders(data / "val", 1, seed=11)
    shutil.move(data / "held out", data / "test")
    # Its test split is the tested one, its validation split is not.
    with pytest.raises(InputError, match="fitted on test cannot be judged on test"):
        calibrate(run, "test", data, compute=CPU)
    found = calibrate(run, "test", data, tested="val", compute=CPU)
    assert (found.split, found.images) == ("test", 15)


# ---- where it is kept, and what it does ----


def test_the_temperature_is_kept_in_the_model_folder_and_loaded_again(run: Path) -> None:
    assert kept(run) is None
    assert verydeep.load(run, compute=CPU).calibration is None
    found = calibrate(run, "val", compute=CPU)
    assert kept(run) == json.loads(json.dumps(dataclasses.asdict(found)))
    for folder in (run, run / "model"):
        assert verydeep.load(folder, compute=CPU).calibration == found


def test_all_else_of_the_model_stays(run: Path) -> None:
    before, weights = content(run), verydeep.load(run, compute=CPU).net.state_dict()
    config = strict_json(before["model/config.json"].decode())
    calibrate(run, "val", compute=CPU)
    after = content(run)
    changed = {name for name in before if before[name] != after[name]}
    assert set(after) == set(before)
    assert changed <= {"model/config.json", "model/README.md", "model/model.safetensors"}
    now = strict_json(after["model/config.json"].decode())
    assert {**now, "calibration": None} == {"calibration": None, **config}
    for key, weight in verydeep.load(run, compute=CPU).net.state_dict().items():
        assert torch.equal(weight, weights[key])


def test_predictions_are_tempered_from_then_on(run: Path, pictures: Path) -> None:
    files = sorted((pictures / "test").rglob("*.png"))
    before = verydeep.load(run, compute=CPU).predict(files, top=3)
    temperature = calibrate(run, "val", compute=CPU).temperature
    assert abs(temperature - 1) > 0.05
    after = verydeep.load(run, compute=CPU).predict(files, top=3)
    for raw, tempered in zip(before, after, strict=True):
        assert [name for name, _ in raw.ranking] == [name for name, _ in tempered.ranking]
        expected = temper([[p for _, p in raw.ranking]], temperature)[0]
        found = [p for _, p in tempered.ranking]
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_test_reports_loss_and_error_at_the_temperature_besides_those_without(
    run: Path,
) -> None:
    before = evaluate(run, compute=CPU)
    assert before.calibrated is None
    temperature = calibrate(run, "val", compute=CPU).temperature
    after = evaluate(run, compute=CPU)
    assert np.array_equal(after.answers.posteriors, before.answers.posteriors)
    assert (after.loss, after.calibration_error) == (before.loss, before.calibration_error)
    tempered = temper(after.answers.posteriors.astype(np.float64), temperature)
    right = np.take_along_axis(tempered, after.answers.labels[:, None], 1)
    assert after.calibrated["temperature"] == temperature
    assert after.calibrated["loss"] == pytest.approx(-np.log(right).mean(), rel=1e-5)
    assert set(after.calibrated) == {"temperature", "loss", "calibration_error"}
    # Of two fused, neither's temperature holds.
    assert evaluate([run, run], compute=CPU).calibrated is None


def test_on_the_pictures_it_was_fitted_on_a_test_reports_the_loss_after(run: Path) -> None:
    found = calibrate(run, "val", compute=CPU)
    on_them = evaluate(run, split="val", compute=CPU)
    assert on_them.loss == found.loss_before
    assert on_them.calibrated["loss"] == pytest.approx(found.loss_after)


def test_a_second_time_the_temperature_is_fitted_anew_and_not_on_top(run: Path) -> None:
    first = calibrate(run, "val", compute=CPU)
    assert calibrate(run, "val", compute=CPU) == first
    assert kept(run) == json.loads(json.dumps(dataclasses.asdict(first)))


# ---- refusals ----


@pytest.mark.parametrize(("split", "tested"), [("test", None), ("test", "test"), ("val", "val")])
def test_the_tested_split_is_refused(run: Path, split: str, tested: str | None) -> None:
    before = content(run)
    with pytest.raises(InputError, match=f"fitted on {split} cannot be judged on {split}"):
        calibrate(run, split, tested=tested, compute=CPU)
    assert content(run) == before


def test_without_a_test_split_the_validation_split_is_the_tested_one(
    run: Path, tmp_path: Path
) -> None:
    data = tmp_path / "two"
    write_class_folders(data / "train", 2)
    write_class_folders(data / "val", 2, seed=1)
    with pytest.raises(InputError, match="fitted on val cannot be judged on val"):
        calibrate(run, "val", data, compute=CPU)


def test_the_training_pictures_are_advised_against(run: Path) -> None:
    progress = Listening()
    calibrate(run, "train", compute=CPU, progress=progress)
    assert any("surer of them than of others" in line for line in progress.lines)
    progress = Listening()
    calibrate(run, "val", compute=CPU, progress=progress)
    assert not any("surer" in line for line in progress.lines)


def test_a_split_without_errors_tells_nothing(trained_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    assert evaluate(run, split="val", compute=CPU).top1_error == 0
    before = content(run)
    with pytest.raises(InputError, match="all 12 images of val are recognised"):
        calibrate(run, "val", compute=CPU)
    assert content(run) == before


def test_what_is_not_there_is_refused(run: Path, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no split 'vall'"):
        calibrate(run, "vall", compute=CPU)
    with pytest.raises(InputError, match="must be one of"):
        calibrate(run, "val", protocol="nonsense", compute=CPU)
    with pytest.raises(ModelError, match="no such folder"):
        calibrate(tmp_path / "nowhere", "val", pictures, compute=CPU)
    shutil.copytree(run / "model", tmp_path / "alone")
    with pytest.raises(InputError, match="data="):
        calibrate(tmp_path / "alone", "val", compute=CPU)
    assert kept(run) is None


def test_torchvisions_nets_have_no_folder_to_keep_it_in(pictures: Path) -> None:
    with pytest.raises(ModelError):
        calibrate("torchvision/squeezenet1_1", "val", pictures, compute=CPU)


def test_a_temperature_can_be_removed(run: Path, program: Callable[..., Outcome]) -> None:
    calibrate(run, "val", compute=CPU)
    assert kept(run) is not None
    for said in ("was removed", "has no temperature"):
        outcome = program("evaluate", run, "--calibrate", "none", "--precision", "fp32")
        assert outcome.code == 0
        assert said in outcome.out
        assert kept(run) is None


def test_a_temperature_of_no_use_is_not_kept(
    run: Path, program: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def useless(posteriors: torch.Tensor, labels: torch.Tensor, **how: str) -> Calibration:
        return dataclasses.replace(fit_calibration(posteriors, labels, **how), kept=False)

    monkeypatch.setattr("verydeep.run.testing.calibrate.fit_calibration", useless)
    before = content(run)
    outcome = program("evaluate", run, "--calibrate", "val", "--precision", "fp32")
    assert outcome.code == 0
    assert "not kept" in outcome.out
    assert content(run) == before
