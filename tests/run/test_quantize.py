"""Quantization as people use it: a variant in the model folder, judged on other images."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from kills import kill_after
from tiny import Outcome

import verydeep as package
from verydeep import Compute
from verydeep.errors import FolderInUse, InputError, MachineError
from verydeep.models.engines import trial
from verydeep.models.engines.net_files import files_of, passed_guard
from verydeep.run.testing import quantize as module
from verydeep.run.testing.quantize import forget_int8, quantize
from verydeep.system.locks import hold

pytestmark = pytest.mark.usefixtures("own_cache")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

ORT = Compute(engine="onnxruntime")
INT8 = Compute(engine="onnxruntime", precision="int8")


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    """A run that may be changed."""
    shutil.copytree(trained_run, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(scope="module")
def quantized(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an int8 variant, not to be changed."""
    folder = tmp_path_factory.mktemp("quantized") / "run"
    shutil.copytree(trained_run, folder)
    assert quantize(folder, compute=ORT, images=12).kept
    return folder


def files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "model").iterdir()}


def test_a_variant_is_kept_with_its_figures(quantized: Path) -> None:
    assert {"int8.onnx", "int8.json", "model.safetensors"} <= files(quantized)
    assert not any(name.startswith(".int8") for name in files(quantized))
    kept = json.loads((quantized / "model" / "int8.json").read_text())
    assert kept["kept"]
    assert kept["within"]
    assert kept["split"] == "val"
    assert kept["images"] == 12
    assert kept["calibrated_on"]["images"] == 12
    assert kept["engine"] == "onnxruntime"
    low, high = kept["error_interval"]
    assert low <= kept["error_difference"] <= high


def test_the_copy_of_a_model_on_the_hub_is_not_changed() -> None:
    with pytest.raises(InputError, match=r"hf:ada/pets: an int8 variant .* save one of your own"):
        quantize("hf:ada/pets")
    with pytest.raises(InputError, match="is not changed"):
        forget_int8("hf:ada/pets")


def test_a_run_may_be_named_from_the_current_folder(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "model" / ".int8-killed").mkdir()  # left by a process that was killed
    monkeypatch.chdir(run.parent)
    monkeypatch.setenv("VERYDEEP_CACHE", "cache")  # without verdicts on this variant
    assert quantize("run", compute=ORT, images=12).kept
    assert not any(name.startswith(".int8") for name in files(run))
    assert package.load("run", INT8).engine.to_dict()["precision"] == "int8"


def test_engines_that_all_failed_are_tried_again(
    quantized: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VERYDEEP_CACHE", str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(trial, "_run_child", lambda *args: "it failed: OSError: the disk is full")
        with pytest.raises(MachineError, match="the disk is full"):
            package.load(quantized, Compute(precision="int8")).engine  # noqa: B018
    found = package.load(quantized, Compute(precision="int8"))
    assert found.engine.to_dict()["precision"] == "int8"


def test_the_variant_answers_where_it_is_asked_for(quantized: Path, pictures: Path) -> None:
    exact = package.load(quantized, Compute("cpu", "fp32"))
    variant = package.load(quantized, INT8)
    first, second = (model.predict(pictures / "test") for model in (exact, variant))
    assert (first.engine, first.precision) == ("torch", "fp32")
    assert (second.engine, second.precision) == ("onnxruntime", "int8")
    likely = [np.stack([p.probabilities for p in found]) for found in (first, second)]  # type: ignore[misc]
    difference = np.abs(likely[0] - likely[1]).max()
    assert 0 < difference < 0.2
    assert [p.label for p in first] == [p.label for p in second]


def test_openvino_runs_the_same_variant(quantized: Path, pictures: Path) -> None:
    pytest.importorskip("openvino")
    found = package.load(quantized, Compute(engine="openvino", precision="int8"))
    other = package.load(quantized, INT8)
    a, b = (model.predict_proba(pictures / "test") for model in (found, other))
    assert found.engine.to_dict() == {"engine": "openvino", "precision": "int8"}
    np.testing.assert_allclose(a, b, atol=0.03)


def test_layers_of_the_variant_come_from_torch(quantized: Path) -> None:
    variant, exact = package.load(quantized, INT8), package.load(quantized, Compute("cpu", "fp32"))
    assert variant.engine.engine_of("fc7").to_dict() == {"engine": "torch", "precision": "fp32"}
    shown = torch.randint(0, 256, (2, 3, 40, 40), dtype=torch.uint8)
    assert variant.activation_map(shown, "fc7").equal(exact.activation_map(shown, "fc7"))


def spoil(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibrate on black images, whose narrow ranges cut off all that others activate."""
    usual = module._calibration_images
    monkeypatch.setattr(
        module,
        "_calibration_images",
        lambda *given: (np.zeros_like(image) for image in usual(*given)),
    )


def test_a_spoiled_variant_is_not_kept(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch)
    before = files(run)
    result = quantize(run, compute=ORT, images=4)
    assert not result.kept
    assert not result.within
    assert result.error_difference > 1 or result.loss_difference > 0.05
    assert files(run) == before
    forced = quantize(run, compute=ORT, images=4, force=True)
    assert forced.kept
    assert forced.forced
    assert {"int8.onnx", "int8.json"} <= files(run)
    assert forget_int8(run)
    assert files(run) == before
    assert not forget_int8(run)


def test_a_kill_leaves_no_graph_with_the_record_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = set()
    for steps in range(5):
        for folder, text in (("model", "old"), ("part", "new")):
            (tmp_path / folder).mkdir(exist_ok=True)
            for name in ("int8.onnx", "int8.json"):
                (tmp_path / folder / name).write_text(text)
        with monkeypatch.context() as patch:
            kill_after(patch, steps)
            with contextlib.suppress(KeyboardInterrupt):
                module._put_in_place(tmp_path / "part", tmp_path / "model")
        found = {one.name: one.read_text() for one in (tmp_path / "model").iterdir()}
        assert "int8.json" not in found or found["int8.json"] == found["int8.onnx"]
        states.add(found.get("int8.json", "none"))
    assert states == {"old", "none", "new"}


def test_a_variant_is_not_removed_while_another_process_writes(quantized: Path) -> None:
    with hold(quantized), ThreadPoolExecutor(1) as other, pytest.raises(FolderInUse):
        other.submit(forget_int8, quantized).result()
    assert "int8.onnx" in files(quantized)


def test_a_relative_path_is_tried_from_another_folder(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert quantize("run", compute=ORT, images=5).kept
    assert {"int8.onnx", "int8.json"} <= files(run)


def test_images_of_the_calibration_cannot_judge(run: Path) -> None:
    with pytest.raises(InputError, match="calibrated on train cannot be judged on train"):
        quantize(run, split="train", compute=ORT)


def test_without_a_variant_int8_is_refused(trained_run: Path, pictures: Path) -> None:
    model = package.load(trained_run, INT8)
    with pytest.raises(InputError, match=r"no int8 variant: write one .* verydeep quantize"):
        model.predict(pictures / "test")


def test_a_variant_of_other_weights_is_refused(quantized: Path, tmp_path: Path) -> None:
    shutil.copytree(quantized, tmp_path / "run")
    model = package.load(tmp_path / "run", INT8)
    next(model.net.parameters()).data.add_(1)
    with pytest.raises(InputError, match="made from other weights; quantize the model again"):
        files_of(model, "int8")
    (tmp_path / "run" / "model" / "int8.json").write_text("[]")
    with pytest.raises(InputError, match="not the record of an int8 variant"):
        files_of(model, "int8")
    (tmp_path / "run" / "model" / "int8.json").unlink()
    for read in (lambda: files_of(model, "int8"), lambda: passed_guard(model.int8)):
        with pytest.raises(InputError, match="not the record of an int8 variant"):
            read()


def test_a_broken_variant_is_an_error(quantized: Path, tmp_path: Path, pictures: Path) -> None:
    shutil.copytree(quantized, tmp_path / "run")
    (tmp_path / "run" / "model" / "int8.onnx").write_bytes(b"no graph")
    model = package.load(tmp_path / "run", INT8)
    with pytest.raises(MachineError, match=r"onnxruntime.*int8.*cannot be used"):
        model.predict(pictures / "test")


def test_the_verb(
    run: Path, verydeep: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("quantize", run, "--engine", "onnxruntime", "--images", "4")
    told = verydeep(*arguments)
    assert told.code == 0, told.err
    assert "kept: use it with --precision int8" in told.out
    answered = verydeep("evaluate", run, "--precision", "int8", "--engine", "onnxruntime", "--json")
    value = json.loads(answered.out)
    assert (value["engine"], value["precision"]) == ("onnxruntime", "int8")
    spoil(monkeypatch)
    refused = verydeep(*arguments, "--json")
    assert refused.code == 1
    assert json.loads(refused.out)["kept"] is False


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_the_variant_is_exported(
    to: str, dense: bool, quantized: Path, pictures: Path, tmp_path: Path
) -> None:
    if to == "openvino":
        pytest.importorskip("openvino")
    out = tmp_path / {"onnx": "a.onnx", "openvino": "a.xml"}[to]
    shown = pictures / "test" / "red"
    result = package.export(quantized, out, to=to, dense=dense, int8=True, pictures=shown)
    assert result.metadata.precision == "int8"
    file = package.load(out)
    assert file.answered_by["precision"] == "int8"
    model = package.load(quantized, INT8)
    size = model.input_size
    images = np.random.default_rng(0).integers(0, 256, (2, 3, size, size), np.uint8)
    assert np.allclose(file.score_map(images), model.score_map(images), atol=1e-3)
    if dense:
        large = np.random.default_rng(0).integers(0, 256, (1, 3, size + 40, size), np.uint8)
        assert np.allclose(file.score_map(large), model.score_map(large), atol=1e-3)


def test_a_model_without_a_variant_is_not_exported_in_int8(
    trained_run: Path, pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no int8 variant; quantize it first"):
        package.export(trained_run, tmp_path / "a.onnx", int8=True, pictures=pictures)
    assert not list(tmp_path.iterdir())
