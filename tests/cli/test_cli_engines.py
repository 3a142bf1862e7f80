"""The option ``--engine`` and the verb ``engines``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny import Outcome

Program = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERYDEEP_CACHE", str(tmp_path / "cache"))


def test_results_tell_engine_and_precision(
    verydeep: Program, trained_run: Path, pictures: Path, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    how = ("--engine", "openvino", "--precision", "fp32", "--json")
    features = tmp_path / "features.npz"
    commands: dict[str, tuple[object, ...]] = {
        "predict": (trained_run, pictures / "test"),
        "evaluate": (trained_run,),
        "features": (trained_run, pictures, "--out", features),
    }
    for verb, arguments in commands.items():
        told = verydeep(verb, *arguments, *how)
        assert told.code == 0, told.err
        value = json.loads(told.out)
        assert (value["engine"], value["precision"]) == ("openvino", "fp32")
    with np.load(features) as found:
        assert "openvino" in str(found["about"])


def test_torch_stands_in_results_of_small_jobs(
    verydeep: Program, trained_run: Path, pictures: Path
) -> None:
    value = json.loads(verydeep("predict", trained_run, pictures / "test", "--json").out)
    assert value["engine"] == "torch"
    table = json.loads(verydeep("evaluate", trained_run, "--protocol", "all", "--json").out)
    assert {row["engine"] for row in table["tests"]} == {"torch"}


def test_metrics_of_a_run_tell_the_engine_of_its_tests(trained_run: Path) -> None:
    metrics = json.loads((trained_run / "metrics.json").read_text())
    assert metrics["engine"] == "torch"
    assert metrics["precision"] == "fp32"


def test_an_unknown_engine_is_refused(verydeep: Program, trained_run: Path) -> None:
    told = verydeep("predict", trained_run, ".", "--engine", "openvin")
    assert told.code == 2
    assert "engine must be one of auto, torch, compile, openvino, onnxruntime" in told.err


def test_nets_of_torchvision_answer_through_torch_only(verydeep: Program, pictures: Path) -> None:
    told = verydeep("predict", "torchvision/resnet18", pictures / "test", "--engine", "onnxruntime")
    assert told.code == 2
    assert "torchvision/resnet18 answers through the engine torch in fp32 or bf16 only" in told.err


def test_engines_are_listed(verydeep: Program) -> None:
    told = verydeep("engines", "--json")
    names = [one["engine"] for one in json.loads(told.out)["engines"]]
    assert names == ["torch", "compile", "openvino", "onnxruntime"]
    assert "precisions" in verydeep("engines").out


def test_verdicts_are_listed(verydeep: Program, trained_run: Path) -> None:
    pytest.importorskip("onnxruntime")
    assert "onnxruntime: not tried; --try tries it" in verydeep("engines", trained_run).out
    how = ("--engine", "onnxruntime", "--precision", "fp32")
    verydeep("evaluate", trained_run, *how)
    assert "onnxruntime, fp32: passed" in verydeep("engines", trained_run).out
    listed = json.loads(verydeep("engines", trained_run, "--json").out)
    (verdict,) = next(x for x in listed["engines"] if x["engine"] == "onnxruntime")["verdicts"]
    assert verdict["passed"]
    assert verdict["difference"] < 1e-5
