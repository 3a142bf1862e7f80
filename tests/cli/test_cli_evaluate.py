"""The verb evaluate: every protocol and flag, files, explanations, temperatures, two processes."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny import Outcome, strict_json, write_class_folders, write_splits

import verydeep as package
from verydeep.evaluation.protocol import NAMES
from verydeep.system.settings import Compute

Program = Callable[..., Outcome]

KEYS = {
    *("top1_error", "top5_error", "loss", "images", "unreadable", "protocol", "scales", "seconds"),
}
FP32 = ("--device", "cpu", "--precision", "fp32", "--workers", "0")
FILES = {
    *("result.json", "posteriors.csv", "classes.csv", "confusion.csv", "reliability.csv"),
    *("confusion.png", "reliability.png"),
}


@pytest.fixture(scope="module")
def unsure(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose net looks through other eyes than it was trained with, and errs."""
    folder = tmp_path_factory.mktemp("unsure") / "run"
    shutil.copytree(trained_run, folder)
    path = folder / "model" / "config.json"
    config = json.loads(path.read_text("utf-8"))
    config["preprocessing"] = {"mean": [140.0, 80.0, 170.0], "divisor": 90.0}
    path.write_text(json.dumps(config), "utf-8")
    return folder


@pytest.fixture
def own(unsure: Path, tmp_path: Path) -> Path:
    """A copy of that run, which may be changed."""
    return Path(shutil.copytree(unsure, tmp_path / "own"))


@pytest.fixture
def evaluate(verydeep: Program) -> Callable[..., dict[str, Any]]:
    """Evaluate with ``--json`` and return the one object on stdout."""

    def run(*arguments: object) -> dict[str, Any]:
        outcome = verydeep("evaluate", *arguments, *FP32, "--json")
        assert outcome.code == 0, outcome.err
        value = strict_json(outcome.out)
        assert isinstance(value, dict)
        return value

    return run


def fault(outcome: Outcome) -> str:
    """Return the one message of a fault of the user."""
    assert (outcome.code, outcome.out) == (2, ""), outcome
    assert "Traceback" not in outcome.err
    assert outcome.err.count("verydeep: ") == 1
    return outcome.err[outcome.err.index("verydeep: ") + len("verydeep: ") :]


def without_seconds(value: Any) -> Any:
    """Return plain values without what a clock measured."""
    if isinstance(value, dict):
        return {k: without_seconds(v) for k, v in value.items() if k != "seconds"}
    return [without_seconds(part) for part in value] if isinstance(value, list) else value


# ---- protocols ----


@pytest.mark.parametrize("name", NAMES)
def test_each_protocol_by_its_flag(name: str, evaluate: Callable, unsure: Path) -> None:
    found = evaluate(unsure, "--protocol", name)
    assert set(found) >= KEYS
    assert (found["protocol"], found["images"], found["unreadable"]) == (name, 12, [])
    expected = package.evaluate(
        unsure, None, name, compute=Compute(device="cpu", precision="fp32", workers=0)
    )
    assert without_seconds(found) == without_seconds(json.loads(json.dumps(expected.to_dict())))


@pytest.mark.parametrize("name", NAMES)
def test_each_protocol_for_people(name: str, verydeep: Program, unsure: Path) -> None:
    outcome = verydeep("evaluate", unsure, "--protocol", name, *FP32)
    assert (outcome.code, outcome.err) == (0, "")
    assert re.search(rf"^protocol +{name}, Q = ", outcome.out, re.MULTILINE)
    assert re.search(r"^images +12 counted, 0 unreadable$", outcome.out, re.MULTILINE)
    assert "  1. rescale: smallest side" in outcome.out


@pytest.mark.parametrize(
    ("scales", "expected"),
    [
        ("single", [36]),  # of a training scale from 32 to 40
        ("multi", [32, 36, 40]),
        ("44", [44]),
        ("48,33", [33, 48]),
        ("33, 48", [33, 48]),
        (None, [36]),
    ],
)
def test_scales_by_name_or_number(
    scales: str | None, expected: list[int], evaluate: Callable, unsure: Path
) -> None:
    found = evaluate(unsure, *(("--scales", scales) if scales else ()))
    assert found["scales"] == expected


def test_the_grid(evaluate: Callable, unsure: Path) -> None:
    assert evaluate(unsure, "--protocol", "crops", "--grid", "2x3")["views"] == 12
    assert evaluate(unsure, "--protocol", "crops", "--grid", "3")["views"] == 18
    assert evaluate(unsure, "--protocol", "crops")["views"] == 50
    assert evaluate(unsure, "--protocol", "both", "--grid", "1x1", "--no-flip")["views"] == 2


def test_mirror_images(evaluate: Callable, unsure: Path) -> None:
    with_them, without = evaluate(unsure, "--flip"), evaluate(unsure, "--no-flip")
    assert (with_them["flip"], without["flip"]) == (True, False)
    assert with_them["loss"] != without["loss"]
    assert without_seconds(evaluate(unsure)) == without_seconds(with_them)  # as it was trained


def test_what_is_averaged(evaluate: Callable, unsure: Path) -> None:
    found = {
        average: evaluate(unsure, "--scales", "80", "--average", average)
        for average in ("paper", "scores", "posteriors")
    }
    assert all(result["average"] == average for average, result in found.items())
    assert len({result["loss"] for result in found.values()}) == 3


def test_torchvisions_preset(evaluate: Callable, unsure: Path) -> None:
    found = evaluate(unsure, "--protocol", "center", "--preset", "torchvision")
    assert (found["scales"], found["flip"], found["views"]) == ([37], False, 1)
    assert any("rounded down" in step for step in found["steps"])


def test_all_protocols_at_once(evaluate: Callable, unsure: Path) -> None:
    found = evaluate(unsure, "--protocol", "all", "--grid", "2x2")
    assert set(found) >= KEYS
    assert found["protocol"] == "all"
    assert (found["images"], found["unreadable"]) == (12, [])
    assert [test["row"] for test in found["tests"]] == list("abcdefg")
    for test in found["tests"]:
        assert set(test) >= KEYS
    assert len(found["comparisons"]) == 21
    top = next(test for test in found["tests"] if test["row"] == found["top_row"])
    assert top["protocol"] == "both"
    for key in ("top1_error", "top5_error", "loss"):
        assert found[key] == top[key]
    alone = evaluate(unsure, "--protocol", "both", "--grid", "2x2", "--scales", "multi")
    assert top["loss"] == pytest.approx(alone["loss"], rel=1e-5)


def test_all_protocols_for_people(verydeep: Program, unsure: Path) -> None:
    outcome = verydeep("evaluate", unsure, "--protocol", "all", "--grid", "2x2", *FP32)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("12 images of test, 0 unreadable; ")
    for part in ("(Table 3)", "(Table 4)", "(Table 5)", "ten-crop", "googlenet", "McNemar"):
        assert part in outcome.out
    for letter in "abcdefg":
        assert re.search(rf"^{letter} +A ", outcome.out, re.MULTILINE)


@pytest.mark.parametrize("protocol", ["dense", "all"])
def test_two_nets_are_fused(
    protocol: str, evaluate: Callable, unsure: Path, trained_run: Path
) -> None:
    found = evaluate(unsure, trained_run, "--protocol", protocol, "--grid", "2x2")
    assert found["models"] == ["A", "A"]
    if protocol == "all":
        assert sum(len(test["models"]) == 2 for test in found["tests"]) == 3
        return
    models = [unsure, trained_run]
    how = {"compute": Compute("cpu", "fp32", 0)}
    alone = [package.evaluate(model, **how).answers for model in models]
    mean = (alone[0].posteriors.astype(np.float64) + alone[1].posteriors) / 2
    loss = -np.log(np.take_along_axis(mean, alone[0].labels[:, None], 1)).mean()
    assert found["loss"] == pytest.approx(loss, rel=1e-5)


def test_torchvisions_nets_by_the_same_tests(verydeep: Program, pictures: Path) -> None:
    arguments = ("--data", pictures, "--protocol", "center", "--preset", "torchvision", *FP32)
    outcome = verydeep("evaluate", "torchvision/squeezenet1_1", *arguments, "--json")
    assert outcome.code == 0
    found = strict_json(outcome.out)
    assert (found["models"], found["scales"]) == (["squeezenet1_1"], [256])
    assert "weights random" in outcome.err


# ---- files ----


@pytest.mark.parametrize("as_json", [False, True])
def test_files_of_a_test(as_json: bool, verydeep: Program, unsure: Path, tmp_path: Path) -> None:
    out = tmp_path / "a" / "out"
    flags = ("--json",) if as_json else ()
    outcome = verydeep("evaluate", unsure, "--out", out, *FP32, *flags)
    assert outcome.code == 0
    assert {path.name for path in out.iterdir()} == {*FILES, "report.html"}
    written = strict_json((out / "result.json").read_text("utf-8"))
    page = (out / "report.html").read_text("utf-8")
    assert f"<td>{written['top1_error']:.2f} <small>" in page
    assert "Test procedure" in page
    assert page.count('src="data:image/jpeg;base64,') >= 12
    if as_json:
        assert strict_json(outcome.out) == written
    else:
        assert outcome.out.rstrip().endswith(f"files in {out}")
    with (out / "posteriors.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    wrong = sum(row["class"] != row["likeliest"] for row in rows)
    assert 100 * wrong / len(rows) == pytest.approx(written["top1_error"])


def test_files_of_the_table(evaluate: Callable, unsure: Path, tmp_path: Path) -> None:
    found = evaluate(unsure, "--protocol", "all", "--grid", "1x2", "--out", tmp_path)
    assert strict_json((tmp_path / "result.json").read_text("utf-8")) == found
    for test in found["tests"]:
        folder = tmp_path / test["row"]
        assert {path.name for path in folder.iterdir()} == FILES
        written = strict_json((folder / "result.json").read_text("utf-8"))
        assert written.items() <= test.items()


# ---- explanations ----


def test_an_explanation_of_the_first_picture(
    evaluate: Callable, unsure: Path, pictures: Path
) -> None:
    found = evaluate(unsure, "--explain")
    first = sorted((pictures / "test" / "blue").iterdir())[0]
    assert found["file"] == str(first)
    (prediction,) = package.load(unsure, compute=Compute(device="cpu", precision="fp32")).predict(
        first
    )
    assert found["class"] == prediction.label
    assert found["probability"] == pytest.approx(prediction.ranking[0][1])


@pytest.mark.parametrize("explain", [("--explain",), ()])
def test_an_explanation_of_a_picture_of_ones_own(
    explain: tuple[str, ...], verydeep: Program, unsure: Path, pictures: Path, tmp_path: Path
) -> None:
    picture, out = pictures / "train" / "red" / "03.png", tmp_path / "views"
    arguments = (unsure, *explain, "--picture", picture, "--protocol", "both", *FP32)
    outcome = verydeep("evaluate", *arguments, "--out", out)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == str(picture)
    assert any(line.startswith("averaged over all: ") for line in lines)
    assert lines[-1] == f"files in {out}"
    with Image.open(out / "views.png") as image:
        image.load()
    found = strict_json(verydeep("evaluate", *arguments, "--json").out)
    assert [stage["kind"] for stage in found["stages"]] == ["dense", "grid"]
    assert [len(stage["views"]) for stage in found["stages"]] == [2, 50]


# ---- temperatures ----


def test_a_temperature_is_fitted_first_and_kept(evaluate: Callable, own: Path) -> None:
    before = evaluate(own)
    assert (before["calibrated"], "calibration" in before) == (None, False)
    found = evaluate(own, "--calibrate", "val")
    kept = strict_json((own / "model" / "config.json").read_text("utf-8"))["calibration"]
    assert found["calibration"] == kept
    assert kept["split"] == "val"
    assert found["calibrated"]["temperature"] == kept["temperature"]
    assert (found["loss"], found["split"]) == (before["loss"], "test")
    later = evaluate(own)
    assert later["calibrated"] == found["calibrated"]
    assert "calibration" not in later


def test_a_temperature_for_people(verydeep: Program, own: Path) -> None:
    outcome = verydeep("evaluate", own, "--calibrate", "val", *FP32)
    assert (outcome.code, outcome.err) == (0, "")
    first, *others = outcome.out.splitlines()
    assert re.match(r"temperature [\d.]+, fitted on 12 images of val", first)
    assert any(line.startswith("at temperature ") for line in others)


def test_on_the_tested_split_no_temperature_is_fitted(verydeep: Program, own: Path) -> None:
    config = (own / "model" / "config.json").read_bytes()
    for arguments in (("test",), ("val", "--split", "val"), ("test", "--protocol", "center")):
        message = fault(verydeep("evaluate", own, "--calibrate", *arguments, *FP32))
        assert "cannot be judged on" in message
    several = fault(verydeep("evaluate", own, own, "--calibrate", "val", *FP32))
    assert "--calibrate takes one model" in several
    assert (own / "model" / "config.json").read_bytes() == config


def test_a_temperature_is_fitted_by_the_test_that_is_asked_for(
    evaluate: Callable, own: Path
) -> None:
    found = evaluate(own, "--calibrate", "val", "--scales", "32,48")
    assert "Q = 32, 48" in found["calibration"]["protocol"]


def test_a_temperature_and_all_protocols(evaluate: Callable, own: Path) -> None:
    found = evaluate(own, "--calibrate", "val", "--protocol", "all", "--grid", "1x1")
    assert found["calibration"]["split"] == "val"
    assert found["protocol"] == "all"


def test_a_temperature_is_fitted_where_the_test_computes(
    own: Path, verydeep: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    from verydeep.run.testing import calibration_setup as module

    asked = []
    load = module.load_classifier

    def watched(model: object, compute: Compute, **more: object) -> object:
        asked.append(compute)
        return load(model, compute, **more)

    monkeypatch.setattr(module, "load_classifier", watched)
    assert verydeep("evaluate", own, "--calibrate", "val", *FP32).code == 0
    assert asked == [Compute("cpu", "fp32", 0)]


def test_a_command_that_fails_leaves_the_model_as_it_was(own: Path, verydeep: Program) -> None:
    config = (own / "model" / "config.json").read_bytes()
    fault(verydeep("evaluate", own, "--calibrate", "val", "--average", "nonsense", *FP32))
    assert (own / "model" / "config.json").read_bytes() == config


# ---- faults ----


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--protocol", "crop"], "did you mean 'crops'?"),
        (["--protocol", "nonsense"], "protocol must be one of center, dense, crops"),
        (["--scales", "nonsense"], "--scales must be single, multi, or whole numbers"),
        (["--scales", "36,,40"], "--scales must be single, multi, or whole numbers"),
        (["--scales", ""], "--scales must be"),
        (["--scales", "36,36"], "each test scale once"),
        (["--scales", "31"], "at least 32"),
        (["--grid", "5y5"], "--grid must be like 5x5"),
        (["--grid", "0x5"], "got 0x5"),
        (["--grid", "x"], "--grid must be like 5x5"),
        (["--protocol", "crops", "--grid", "101x1"], "1 to 100 rows"),
        (["--average", "mean"], "average must be one of paper, scores, posteriors"),
        (["--preset", "pytorch"], "preset must be one of paper, torchvision"),
        (["--preset", "torchvision"], "protocol dense has none"),
        (["--protocol", "all", "--scales", "36"], "--protocol all has its own --scales"),
        (["--protocol", "all", "--preset", "torchvision"], "no --preset"),
        (["--protocol", "all", "--average", "mean"], "average must be one of"),
        (["--explain", "--protocol", "all"], "protocol must be one of"),
        (["--picture", "nowhere.png"], "nowhere.png: no such file"),
        (["--explain", "--split", "tests"], "no split 'tests'"),
        (["--explain", "--calibrate", "val"], "leave out --calibrate"),
        (["--picture", "a.png", "--calibrate", "val"], "leave out --calibrate"),
        (["--calibrate", "vall"], "no split 'vall'"),
        (["--split", "vall"], "did you mean 'val'?"),
        (["--data", "nowhere"], "no such file or folder"),
        (["--precision", "fp8"], "bf16 or fp32"),
    ],
)
def test_faults_are_one_message(
    arguments: list[str], words: str, verydeep: Program, unsure: Path
) -> None:
    assert words in fault(verydeep("evaluate", unsure, *arguments))
    assert words in fault(verydeep("evaluate", unsure, *arguments, "--json"))


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (["nowhere"], "no such folder"),
        (["torchvision/resnet19"], "name the data"),
        (["torchvision/squeezenet1_1"], "--data"),
    ],
)
def test_models_that_are_not_there(models: list[str], words: str, verydeep: Program) -> None:
    assert words in fault(verydeep("evaluate", *models))
    assert verydeep("evaluate").code == 2


def test_torchvisions_faults_are_messages_too(
    verydeep: Program, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "w.pth").write_bytes(b"nothing")
    for name, words in (
        ("resnet19", "did you mean"),
        ("squeezenet1_1:nowhere.pth", "neither a file nor the name of weights"),
        (f"squeezenet1_1:{tmp_path / 'w.pth'}", "w.pth"),
        ("squeezenet1_1:DEFAULT", "know 1000 classes, the data have 3"),
    ):
        outcome = verydeep("evaluate", f"torchvision/{name}", "--data", pictures)
        assert words in fault(outcome)
    message = fault(
        verydeep("evaluate", "torchvision/squeezenet1_1", "--data", pictures, "--scales", "200")
    )
    assert "at least 224" in message


def test_a_picture_that_is_broken_cannot_be_explained(
    verydeep: Program, unsure: Path, tmp_path: Path
) -> None:
    (tmp_path / "p.png").write_bytes(b"no image")
    assert "p.png" in fault(verydeep("evaluate", unsure, "--picture", tmp_path / "p.png"))


def test_without_one_readable_picture_there_is_no_result(
    verydeep: Program, unsure: Path, tmp_path: Path
) -> None:
    data = write_class_folders(tmp_path / "data", 1)
    for path in data.rglob("*.png"):
        path.write_bytes(b"no image")
    message = fault(verydeep("evaluate", unsure, "--data", data, *FP32))
    assert "none of the 3 images to test on can be read" in message


# ---- two processes ----


@pytest.mark.slow
def test_two_processes_give_one_result_of_every_picture_once(
    unsure: Path, verydeep: Program, tmp_path: Path
) -> None:
    data = write_splits(tmp_path / "data", train=1, val=1, test=9)
    # Of 27 images eight neighbours go through together: number 4 and 11 in another process each.
    broken = ("test/blue/04.png", "test/green/02.png")
    for name in broken:
        (data / name).write_bytes(b"no image")
    arguments = ("evaluate", str(unsure), "--data", str(data), *FP32, "--json")
    alone = verydeep(*arguments, "--out", tmp_path / "alone")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "verydeep", *arguments, "--out", tmp_path / "both"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    found, expected = strict_json(done.stdout), strict_json(alone.out)
    assert without_seconds(found) == without_seconds(expected)
    assert (found["images"], found["unreadable"]) == (25, list(broken))
    assert done.stderr.count("2 images cannot be read") == 1
    for name in broken:
        assert done.stderr.count(f"  {name}\n") == 1
    for name in ("posteriors.csv", "classes.csv", "confusion.csv", "reliability.csv"):
        both = (tmp_path / "both" / name).read_bytes()
        assert both == (tmp_path / "alone" / name).read_bytes()
