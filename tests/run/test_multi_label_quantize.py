"""Quantization of a multi-label model: judged by the mean average precision."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny import Outcome

import verydeep as package
from verydeep import Compute
from verydeep.errors import InputError
from verydeep.evaluation.multi_label import MultiLabelResult
from verydeep.run.testing import quantization
from verydeep.run.testing import quantize as module
from verydeep.run.testing.quantization import MultiLabelQuantization, judge_labels
from verydeep.run.testing.quantize import quantize

pytestmark = pytest.mark.usefixtures("own_cache")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

ORT = Compute(engine="onnxruntime")
INT8 = Compute(engine="onnxruntime", precision="int8")


@pytest.fixture(scope="module")
def outcome(
    multi_label_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, MultiLabelQuantization]:
    """A run with an int8 variant, and the outcome of its quantization."""
    folder = shutil.copytree(multi_label_run, tmp_path_factory.mktemp("quantized") / "run")
    found = quantize(folder, compute=ORT, images=12)
    assert isinstance(found, MultiLabelQuantization)
    return folder, found


def test_a_variant_is_judged_by_its_mean_average_precision(
    outcome: tuple[Path, MultiLabelQuantization],
) -> None:
    run, found = outcome
    assert found.kept
    assert json.loads((run / "model" / "int8.json").read_text()) == found.to_dict()
    for compute, said in ((Compute("cpu", "fp32"), found.fp32), (INT8, found.int8)):
        result = package.evaluate(
            run, split="val", protocol="dense", compute=compute, progress=False
        )
        assert isinstance(result, MultiLabelResult)
        for name, value in said.items():
            assert getattr(result, name) == pytest.approx(value, abs=1e-3)
    low, high = found.precision_interval
    assert low <= found.precision_difference <= high
    assert found.precision_difference == pytest.approx(
        found.int8["mean_average_precision"] - found.fp32["mean_average_precision"]
    )


def test_labels_and_exported_files_of_the_variant(
    outcome: tuple[Path, MultiLabelQuantization], stripes: Path, tmp_path: Path
) -> None:
    run, _ = outcome
    images = [stripes.parent / f"test{number:02}.png" for number in range(8)]
    model = package.load(run, INT8)
    package.export(run, tmp_path / "a.onnx", to="onnx", dense=True, int8=True, pictures=images[:1])
    file = package.load(tmp_path / "a.onnx")
    assert (file.multi_label, file.answered_by["precision"]) == (True, "int8")
    for ours, theirs in zip(model.predict(images), file.predict(images), strict=True):
        assert ours.probabilities is not None
        np.testing.assert_allclose(ours.probabilities, theirs.probabilities, atol=1e-3)
        assert ours.labels == theirs.labels


def test_the_verb_refuses_a_worse_variant(
    multi_label_run: Path,
    tmp_path: Path,
    verydeep: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = shutil.copytree(multi_label_run, tmp_path / "run")
    usual = module._calibration_images
    monkeypatch.setattr(
        module,
        "_calibration_images",
        lambda *given: (np.zeros_like(image) for image in usual(*given)),
    )
    arguments = ("quantize", run, "--engine", "onnxruntime", "--images", "4")
    refused = verydeep(*arguments, "--json")
    value = json.loads(refused.out)
    assert (refused.code, value["kept"]) == (1, False)
    assert value["precision_difference"] < -1 or value["loss_difference"] > 0.01
    assert not (run / "model" / "int8.onnx").exists()
    text = verydeep(*arguments).out
    assert "mean average precision" in text
    assert "not kept: worse than the bound" in text
    assert "McNemar" not in text


def test_a_fall_beyond_the_bound_is_not_within(
    outcome: tuple[Path, MultiLabelQuantization], stripes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, found = outcome
    results = [
        package.evaluate(run, split="val", protocol="dense", compute=compute, progress=False)
        for compute in (Compute("cpu", "fp32"), INT8)
    ]
    facts = {
        name: getattr(found, name)
        for name in ("split", "protocol", "images", "calibrated_on", "engine", "processor")
    } | {"versions": {}, "net": ""}
    monkeypatch.setattr(quantization, "PRECISION_BOUND", -found.precision_difference - 1e-6)
    assert not judge_labels(*results, **facts).within  # type: ignore[arg-type]
    monkeypatch.setattr(quantization, "PRECISION_BOUND", -found.precision_difference + 1e-6)
    assert judge_labels(*results, **facts).within  # type: ignore[arg-type]
    results[0].answers.truth[:] = False
    with pytest.raises(InputError, match="no image has a label"):
        judge_labels(*results, **facts)  # type: ignore[arg-type]
