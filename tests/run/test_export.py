"""Exports as users make them: files, proof, faults, and what is left behind."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kills import kill_after
from tiny import Outcome

import verydeep
from verydeep import Classifier, TestProtocol
from verydeep.errors import FolderInUse, InputError, MissingExtra, ModelError
from verydeep.evaluation.calibration import Calibration
from verydeep.models.export import targets
from verydeep.models.exported.classifier import ExportedClassifier
from verydeep.models.exported.reading import read_metadata, weights_beside
from verydeep.run import export as exporting
from verydeep.run.export import export
from verydeep.system.locks import hold
from verydeep.system.settings import Compute

PROGRAM = Path(__file__).parents[1] / "models" / "exported" / "no_torch.py"
FILES = {"onnx": "a.onnx", "openvino": "a.xml", "torch": "a.pt2"}


@pytest.fixture(scope="module")
def model(trained_run: Path) -> Classifier:
    loaded = verydeep.load(trained_run, compute=Compute("cpu", "fp32"))
    source = {"licence": "CC BY 4.0", "file": "w.pth", "format": "PyTorch"}
    return dataclasses.replace(
        loaded,
        calibration=Calibration(1.5, "val", "dense", 12, 1.0, 0.9),
        source=source,
    )


@pytest.fixture(scope="module")
def exported(
    model: Classifier, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[bool, Path]:
    """Return ONNX files of crops and of any size."""
    folder = tmp_path_factory.mktemp("exported")
    for dense, name in ((False, "crops.onnx"), (True, "any.onnx")):
        export(model, folder / name, dense=dense, pictures=pictures / "test" / "red")
    return {False: folder / "crops.onnx", True: folder / "any.onnx"}


# ---- what is written ----


@pytest.mark.parametrize(
    ("to", "dense"),
    [
        *(("onnx", False), ("onnx", True), ("openvino", False)),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("openvino", True), ("torch", False), ("torch", True))
        ),
    ],
)
def test_every_target_answers_as_the_model(
    to: str, dense: bool, model: Classifier, pictures: Path, tmp_path: Path
) -> None:
    if to == "openvino":
        pytest.importorskip("openvino")
    out = tmp_path / FILES[to]
    said = to if dense else None  # the name of the file says the same
    result = export(model, out, to=said, dense=dense, pictures=pictures / "test")
    assert result.target == to
    assert result.parity.largest_difference < 1e-5
    assert len(result.parity.pictures) == 12
    assert (result.parity.changed, result.out) == (0, out)
    assert sorted(result.files) == sorted(tmp_path.iterdir())
    names = {f"{out.name}{end}" for end in (".example.py", ".parity.json", ".parity.txt")}
    assert names < {path.name for path in result.files}
    image = pictures / "test" / "red" / "00.png"
    protocol: dict[str, Any] = {"flip": False, "scales": result.metadata.proof_scale}
    (ours,) = verydeep.load(out).predict(image, **protocol)
    done = subprocess.run(
        [sys.executable, f"{out}.example.py", image], capture_output=True, text=True, check=True
    )
    words = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert [name for _, name in words] == [name for name, _ in ours.ranking]
    np.testing.assert_allclose(
        [float(share) for share, _ in words], [share for _, share in ours.ranking], atol=2e-6
    )


def test_the_metadata_say_what_the_net_is(exported: dict[bool, Path], model: Classifier) -> None:
    found = read_metadata(exported[True])
    assert (found.net, found.classes, found.input_size) == ("A", model.classes, 32)
    assert (found.dense, found.protocol) == (True, "dense")
    assert (found.test_scales, found.test_flip) == (model.test_scales, model.test_flip)
    assert found.licence == "CC BY 4.0"
    assert found.calibration is not None
    assert found.calibration["temperature"] == 1.5
    assert found.measured is not None
    assert found.measured["top1_error"] == model.measured["top1_error"]
    assert found.version == verydeep.__version__


def test_weights_of_large_nets_lie_beside_the_file(
    model: Classifier, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "BESIDE_FROM", 1000)
    monkeypatch.setattr(targets, "LARGEST_CONSTANT", 100)
    out = tmp_path / "new" / "a.onnx"
    export(model, out, pictures=pictures / "test")
    assert (tmp_path / "new" / "a.onnx.data").stat().st_size > 100_000
    assert out.stat().st_size < 100_000
    moved = tmp_path / "moved"
    (tmp_path / "new").rename(moved)
    assert verydeep.load(moved / "a.onnx").predict(pictures / "test" / "red" / "00.png")
    (moved / "a.onnx.data").unlink()
    with pytest.raises(ModelError, match="file of its weights may be missing"):
        verydeep.load(moved / "a.onnx").predict(pictures / "test" / "red" / "00.png")


@pytest.mark.parametrize("name", ["a.onnx", "a.xml"])
def test_a_kill_leaves_no_graph_with_the_weights_of_another(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    weights = weights_beside(path)
    assert weights is not None
    states = set()
    for steps in range(8):
        folder = tmp_path / "new"
        folder.mkdir(exist_ok=True)
        for one in (path, weights):
            one.write_text("old")
            (folder / one.name).write_text("new")
        (folder / f"{name}.parity.txt").write_text("new")
        with monkeypatch.context() as patch:
            kill_after(patch, steps)
            try:
                exporting._move(folder, path)
            except KeyboardInterrupt:
                states.add("killed")
        assert not path.exists() or path.read_text() == weights.read_text()
        states.add(path.read_text() if path.exists() else "none")
    assert states == {"killed", "old", "none", "new"}


def test_weights_of_an_older_file_are_removed(tmp_path: Path) -> None:
    folder, path = tmp_path / "new", tmp_path / "a.onnx"
    folder.mkdir()
    (folder / "a.onnx").write_text("new")
    for name in ("a.onnx", "a.onnx.data", "a.bin", "b.onnx.data"):
        (tmp_path / name).write_text("old")
    assert exporting._move(folder, path) == (path,)
    left = {one.name: one.read_text() for one in tmp_path.iterdir() if one.is_file()}
    assert left == {"a.onnx": "new", "a.bin": "old", "b.onnx.data": "old"}


def test_two_exports_of_a_name_do_not_mix(tmp_path: Path) -> None:
    folder, path = tmp_path / "new", tmp_path / "a.onnx"
    folder.mkdir()
    (folder / "a.onnx").write_text("new")
    with (
        hold(tmp_path / ".a.onnx.lock"),
        ThreadPoolExecutor(1) as other,
        pytest.raises(FolderInUse),
    ):
        other.submit(exporting._move, folder, path).result()
    assert not path.exists()
    exporting._move(folder, path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.onnx", "new"]


def test_a_run_is_compared_on_its_training_images(trained_run: Path, tmp_path: Path) -> None:
    result = export(trained_run, tmp_path / "a.onnx")
    assert len(result.parity.pictures) == 16
    assert {Path(one.image).parent.name for one in result.parity.pictures} == {
        "blue",
        "green",
        "red",
    }


# ---- predictions and tests with the file ----


def test_a_file_of_any_size_predicts_and_tests_as_the_model(
    exported: dict[bool, Path], model: Classifier, pictures: Path
) -> None:
    loaded = verydeep.load(exported[True])
    assert isinstance(loaded, ExportedClassifier)
    ours, theirs = (one.predict_proba(pictures / "test") for one in (loaded, model))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    for name in ("both", "googlenet"):
        protocol = TestProtocol(name, grid=(2, 2))
        mine, yours = (verydeep.evaluate(one, pictures, protocol) for one in (loaded, model))
        assert mine.answers.names == yours.answers.names
        np.testing.assert_allclose(mine.answers.posteriors, yours.answers.posteriors, atol=1e-5)
        assert mine.steps == yours.steps
        assert mine.calibrated == pytest.approx(yours.calibrated, abs=1e-4)


def test_a_file_of_crops_is_tested_by_crops(
    exported: dict[bool, Path], model: Classifier, pictures: Path
) -> None:
    loaded = verydeep.load(exported[False])
    for name in ("center", "ten-crop"):
        mine, yours = (verydeep.evaluate(one, pictures, name) for one in (loaded, model))
        np.testing.assert_allclose(mine.answers.posteriors, yours.answers.posteriors, atol=1e-5)
    with pytest.raises(InputError, match="takes images of 32 pixels only; test it by crops"):
        verydeep.evaluate(loaded, pictures, "dense")
    with pytest.raises(InputError, match="this file takes 32x32"):
        loaded.score_map(np.zeros((1, 3, 64, 64), np.uint8))


def test_without_torch_a_file_predicts_and_is_tested(
    exported: dict[bool, Path], pictures: Path
) -> None:
    """Every import of torch fails in that process."""
    image = pictures / "test" / "red" / "00.png"
    done = subprocess.run(
        [sys.executable, PROGRAM, *map(str, (exported[False], exported[True], image, pictures))],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    # Once by crops, once densely.
    assert done.stdout.count(" %  red") >= 2
    assert done.stdout.count("top-1 error") >= 2


# ---- faults ----


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_spoiled_file_is_refused_and_removed(
    model: Classifier, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = targets._WRITERS["onnx"]

    def spoiled(one: Classifier, *rest: Any) -> None:
        net = verydeep.vgg(**one.net.settings(), num_classes=3)  # other weights
        write(dataclasses.replace(one, net=net.eval()), *rest)

    monkeypatch.setitem(targets._WRITERS, "onnx", spoiled)
    out = tmp_path / "a.onnx"
    with pytest.raises(ModelError, match="refused and removed") as raised:
        export(model, out, pictures=pictures / "test")
    assert "of 12 images" in str(raised.value)
    assert left(tmp_path) == []
    assert export(model, out, pictures=pictures / "test", bound=1).parity.changed >= 0


def test_an_interrupted_export_leaves_nothing_and_keeps_the_old_file(
    model: Classifier, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a.onnx"
    out.write_text("old")

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("verydeep.run.export.open_session", stopped)
    with pytest.raises(KeyboardInterrupt):
        export(model, out, pictures=pictures / "test")
    assert left(tmp_path) == ["a.onnx"]
    assert out.read_text() == "old"


def test_a_truncated_file_is_named(exported: dict[bool, Path], tmp_path: Path) -> None:
    """The description lies at the end, so that a cut file has none, or its weights are short."""
    content = exported[False].read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match=r"cut\.onnx"):
        verydeep.load(path)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"to": "onyx"}, "to= must be one of onnx, openvino, torch, web, got 'onyx'.*did you mean"),
        ({"to": "openvino"}, r"must end in .xml: name it a.xml \(out=\)"),
        ({"bound": 0}, "bound= must be above 0"),
        ({"pictures": None}, "name images to compare the answers of the file on: pictures="),
        ({"pictures": []}, "pictures= names no images"),
    ],
)
def test_settings_without_sense_are_refused(
    change: dict[str, Any], fault: str, model: Classifier, pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=fault):
        export(model, tmp_path / "a.onnx", **{"pictures": pictures / "test", **change})
    assert left(tmp_path) == []


def test_a_folder_an_export_and_a_net_without_classes_are_refused(
    exported: dict[bool, Path], model: Classifier, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.onnx").mkdir()
    with pytest.raises(InputError, match="a folder; name a file"):
        export(model, tmp_path / "a.onnx", pictures=pictures / "test")
    with pytest.raises(ModelError, match="exported already"):
        export(exported[False], tmp_path / "b.onnx", pictures=pictures / "test")
    headless = dataclasses.replace(
        model, net=verydeep.vgg("A", 0, input_size=32, width=0.03), classes=(), calibration=None
    )
    with pytest.raises(ModelError, match="no fully connected layers"):
        export(headless, tmp_path / "b.onnx", pictures=pictures / "test")


def test_a_folder_that_may_not_be_written_is_named(model: Classifier, pictures: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        export(model, "/proc/nowhere/a.onnx", pictures=pictures / "test")


def test_a_missing_library_is_named(
    exported: dict[bool, Path],
    model: Classifier,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r"pip install 'verydeep\[export\]'"):
        export(model, tmp_path / "a.onnx", pictures=pictures / "test")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match="running this file with ONNX Runtime needs an extra"):
        verydeep.load(exported[False]).predict(pictures / "test")
    assert left(tmp_path) == []


# ---- the program ----


@pytest.fixture
def program(request: pytest.FixtureRequest) -> Callable[..., Outcome]:
    """Return the program as a function; the name ``verydeep`` is the package here."""
    return request.getfixturevalue("verydeep")


def test_the_program_exports_predicts_and_tests(
    trained_run: Path, pictures: Path, tmp_path: Path, program: Callable[..., Outcome]
) -> None:
    out = tmp_path / "a.onnx"
    done = program("export", trained_run, "--out", out, "--pictures", pictures / "val" / "red")
    assert done.code == 0, done.err
    assert "likeliest class changed: 0 of 4" in done.out
    assert f"{out}.example.py" in done.out
    done = program("predict", out, pictures / "test" / "red" / "00.png")
    assert (done.code, "red" in done.out) == (0, True)
    done = program("evaluate", out, "--data", pictures)  # by the central crop, as no other fits
    assert (done.code, "central 32x32 crop" in done.out) == (0, True)
    done = program("export", trained_run, "--out", tmp_path / "a.txt")
    assert done.code == 2
    assert "must end in .onnx, .xml, .pt2, .html (--out)" in done.err
    done = program("features", out, pictures, "--out", tmp_path / "f.npz")
    assert (done.code, "needs the model or run folder" in done.err) == (2, True)
    other = tmp_path / "other.xml"
    other.write_text("<net/>")
    done = program("predict", other, pictures / "test" / "red" / "00.png")
    assert (done.code, "not exported by verydeep" in done.err) == (2, True)
