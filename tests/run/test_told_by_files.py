"""Exported files refuse images unlike the training images, as their model does."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from random_nets import random_classifier
from telling_nets import odd_images, plain_distances, telling
from tiny import COLOURS, Outcome, strict_json, write_splits

import verydeep
from verydeep.errors import InputError, ModelError
from verydeep.models.classifier import Classifier
from verydeep.models.engines.quantization import write_int8
from verydeep.models.export import targets
from verydeep.models.exported.classifier import ExportedClassifier
from verydeep.models.exported.metadata import KEY
from verydeep.models.exported.reading import read_metadata
from verydeep.run.export import export
from verydeep.serve.decoding import Decoded, decode_for
from verydeep.serve.models import load_models
from verydeep.system.settings import Compute

pytest.importorskip("onnxruntime")

CPU = Compute("cpu", "fp32", 0)
FILES = {"onnx": "a.onnx", "openvino": "a.xml", "torch": "a.pt2"}
PROGRAM = Path(__file__).parents[1] / "models" / "exported" / "no_torch.py"
UNLIKE = "unlike the training images: distance"


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    return odd_images(12)


@pytest.fixture(scope="module")
def files(images: list[Image.Image], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("odd")
    for number, image in enumerate(images):
        image.save(folder / f"{number:02}.png")
    return sorted(folder.iterdir())


def teller(images: list[Image.Image], test: str = "dense", **settings: object) -> Classifier:
    """Return a net of random weights that refuses half of the images as unlike."""
    plain = random_classifier(name="A", num_classes=3)
    options = {"test_scales": (32, 45), "test_flip": True, "classes": tuple(COLOURS), **settings}
    model = dataclasses.replace(plain, **options)  # type: ignore[arg-type]
    return telling(model, odd_images(6, seed=1), images, test)


@pytest.fixture(scope="module")
def model(images: list[Image.Image]) -> Classifier:
    return teller(images)


@pytest.fixture(scope="module")
def dense(model: Classifier, files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an ONNX file of any size."""
    path = tmp_path_factory.mktemp("dense") / "a.onnx"
    export(model, path, dense=True, pictures=files)
    return path


def refused(model: Classifier, files: list[Path]) -> Path:
    """Return the first image that a model refuses."""
    return next(file for file in files if model.predict(file)[0].abstained)


# ---- predictions ----


@pytest.mark.parametrize("to", FILES)
@pytest.mark.parametrize("views", ["one", "several"])
def test_a_file_refuses_what_its_model_refuses(
    to: str, views: str, images: list[Image.Image], files: list[Path], tmp_path: Path
) -> None:
    if to == "openvino":
        pytest.importorskip("openvino")
    several = views == "several"
    model = teller(images, test_scales=(32, 45) if several else (40,), test_flip=several)
    result = export(model, tmp_path / FILES[to], to=to, dense=True, pictures=files)
    assert result.parity.largest_distance_difference is not None
    assert result.parity.largest_distance_difference < 1e-5
    file = verydeep.load(tmp_path / FILES[to])
    assert file.abstention == model.abstention
    assert model.abstention is not None
    assert model.abstention.familiar is not None
    limit = model.abstention.familiar.limit
    far = plain_distances(model, images, "dense")
    found = file.predict(files)
    assert [one.abstained for one in found] == (far > limit).tolist()
    assert sum(far > limit) == 6
    reasons = [f"{UNLIKE} {one:.3g}, limit {limit:.3g}" if one > limit else None for one in far]
    assert [one.reason for one in found] == reasons
    assert [one.reason for one in model.predict(files)] == reasons
    np.testing.assert_allclose(
        [one.probabilities for one in found],
        [one.probabilities for one in model.predict(files)],
        atol=1e-5,
    )


def test_a_file_of_crops_refuses_in_the_test_of_crops(
    images: list[Image.Image], files: list[Path], tmp_path: Path
) -> None:
    model = teller(images, "center")
    assert model.abstention is not None
    assert model.abstention.familiar is not None
    export(model, tmp_path / "a.onnx", pictures=files)
    found = verydeep.load(tmp_path / "a.onnx").predict(files)
    far = plain_distances(model, images, "center") > model.abstention.familiar.limit
    assert [one.abstained for one in found] == far.tolist()


def test_without_abstaining_every_image_is_answered(dense: Path, files: list[Path]) -> None:
    file = verydeep.load(dense)
    assert {one.abstained for one in file.predict(files, abstain=False)} == {None}
    assert {one.abstained for one in file.predict(files, scales=40)} == {None}
    with pytest.raises(InputError, match="which says nothing about dense at Q = 40"):
        file.predict(files, scales=40, abstain=True)


def test_the_first_output_alone_is_enough_for_others(dense: Path) -> None:
    """Programs that were made for files without the distance go on working."""
    import onnxruntime

    session = onnxruntime.InferenceSession(dense, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    assert names == ["probabilities", "scores", "distance", "features", "projections"]
    pixels = np.zeros((2, 32, 40, 3), np.uint8)
    (likely,) = session.run(names[:1], {"images": pixels})
    np.testing.assert_allclose(likely.sum(1), 1, atol=1e-5)


# ---- tests, service, programs ----


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("data") / "pictures")


def test_a_test_of_a_file_is_that_of_its_model(
    data: Path, files: list[Path], tmp_path: Path
) -> None:
    images = [Image.open(file) for file in sorted((data / "test").rglob("*.png"))]
    model = teller(images)
    export(model, tmp_path / "a.onnx", dense=True, pictures=files)
    ours = verydeep.evaluate(model, data, split="test", compute=CPU)
    theirs = verydeep.evaluate(verydeep.load(tmp_path / "a.onnx"), data, split="test", compute=CPU)
    assert theirs.abstention == ours.abstention
    assert theirs.abstention is not None
    assert theirs.abstention["unlike"] == 50
    assert theirs.answers.distances is not None
    far = plain_distances(model, images, "dense")
    np.testing.assert_allclose(theirs.answers.distances, far, atol=1e-5)


def test_the_service_refuses_too(dense: Path, model: Classifier, files: list[Path]) -> None:
    (served,) = load_models({"a": str(dense)})
    decoded = [decode_for(file.read_bytes(), served.plan) for file in files]
    given = served.answer([one for one in decoded if isinstance(one, Decoded)], 1)
    assert [one.abstained for one in given] == [one.abstained for one in model.predict(files)]
    refused = next(one for one in given if one.abstained)
    assert str(refused.reason).startswith(UNLIKE)
    assert refused.class_set


@pytest.fixture
def program(request: pytest.FixtureRequest) -> Callable[..., Outcome]:
    return request.getfixturevalue("verydeep")


def test_the_program_says_so(
    dense: Path, model: Classifier, files: list[Path], program: Callable[..., Outcome]
) -> None:
    said = strict_json(program("predict", dense, files[0].parent, "--json").out)["predictions"]
    assert [one["reason"] for one in said] == [one.reason for one in model.predict(files)]
    text = program("predict", dense, refused(model, files)).out
    assert f"I don't know: {UNLIKE}" in text


@pytest.mark.slow
def test_pytorch_is_not_needed_to_tell(
    data: Path, model: Classifier, dense: Path, files: list[Path], tmp_path: Path
) -> None:
    image, crops = refused(model, files), teller(odd_images(2), "center")
    assert crops.abstention is not None
    assert crops.abstention.familiar is not None
    strict = dataclasses.replace(crops.abstention.familiar, limit=-1.0)
    learned = dataclasses.replace(crops.abstention, familiar=strict)
    crops = dataclasses.replace(crops, abstention=learned)
    export(crops, tmp_path / "crops.onnx", pictures=files)
    done = subprocess.run(
        [sys.executable, PROGRAM, *map(str, (tmp_path / "crops.onnx", dense, image, data))],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"I don't know: {UNLIKE}") == 2
    assert "(100.00 % refused as unlike)" in done.stdout


@pytest.mark.parametrize("to", ["onnx", "openvino", pytest.param("torch", marks=pytest.mark.slow)])
def test_the_program_beside_the_file_tells_by_one_view(
    to: str, images: list[Image.Image], files: list[Path], tmp_path: Path
) -> None:
    if to == "openvino":
        pytest.importorskip("openvino")
    model = teller(images, test_scales=(40,), test_flip=False)
    export(model, tmp_path / FILES[to], to=to, dense=True, pictures=files)
    script = tmp_path / f"{FILES[to]}.example.py"
    assert "not told here" not in script.read_text("utf-8")
    assert max(map(len, script.read_text("utf-8").splitlines())) <= 100
    predicted = model.predict(files)
    (answered,) = [one for one in predicted if not one.abstained][:1]
    (unlike,) = [one for one in predicted if one.abstained][:1]
    for one in (answered, unlike):
        done = subprocess.run(
            [sys.executable, script, str(one.source)], capture_output=True, text=True, check=True
        )
        said = re.findall("I don't know: (.*)", done.stdout)
        assert said == ([one.reason] if one.abstained else [])


# ---- int8 ----


@pytest.fixture(scope="module")
def quantized(model: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    path = tmp_path_factory.mktemp("int8") / "int8.onnx"
    shown = [np.asarray(image.resize((40, 40)))[None] for image in odd_images(6, seed=1)]
    write_int8(model, shown, path)
    return dataclasses.replace(model, int8=path)


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_the_int8_file_tells_by_its_own_features(
    to: str,
    quantized: Classifier,
    images: list[Image.Image],
    files: list[Path],
    tmp_path: Path,
) -> None:
    if to == "openvino":
        pytest.importorskip("openvino")
    result = export(
        quantized, tmp_path / FILES[to], to=to, dense=True, int8=True, pictures=files, bound=0.5
    )
    assert result.parity.largest_distance_difference is not None
    assert 0 < result.parity.largest_distance_difference < 0.1
    file = verydeep.load(tmp_path / FILES[to])
    assert file.answered_by["precision"] == "int8"
    assert quantized.abstention is not None
    assert quantized.abstention.familiar is not None
    limit = quantized.abstention.familiar.limit
    far = plain_distances(quantized, images, "dense")
    clear = np.abs(far - limit) > result.parity.largest_distance_difference
    assert clear.sum() > 6
    found = np.array([one.abstained for one in file.predict(files)])
    assert found[clear].tolist() == (far > limit)[clear].tolist()


# ---- faults ----


def test_a_spoiled_distance_is_refused(
    model: Classifier, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = targets._WRITERS["onnx"]

    def spoiled(model: Classifier, *more: object) -> None:
        assert model.familiarity is not None
        turned = dataclasses.replace(model.familiarity, means=model.familiarity.means[:, ::-1])
        write(dataclasses.replace(model, familiarity=turned), *more)  # type: ignore[arg-type]

    monkeypatch.setitem(targets._WRITERS, "onnx", spoiled)
    with pytest.raises(ModelError, match=r"a distance differs by 0\.\d+ for .*\(at most 0.0001"):
        export(model, tmp_path / "a.onnx", dense=True, pictures=files)
    assert not list(tmp_path.iterdir())


def test_a_file_without_the_outputs_of_its_description_is_damaged(
    dense: Path, files: list[Path], tmp_path: Path
) -> None:
    graph = onnx.load(dense)
    del graph.graph.output[3:]
    onnx.save_model(graph, tmp_path / "short.onnx")
    with pytest.raises(ModelError, match="outputs features and projections are not those of its"):
        verydeep.load(tmp_path / "short.onnx").predict(files)
    graph = onnx.load(dense)
    values = json.loads(graph.metadata_props[0].value)
    values["unlike"]["features"] += 1
    graph.metadata_props[0].value = json.dumps(values)
    onnx.save_model(graph, tmp_path / "other.onnx")
    with pytest.raises(ModelError, match="outputs features and projections are not those of its"):
        verydeep.load(tmp_path / "other.onnx").predict(files)


@pytest.mark.parametrize("unlike", [{"features": 5}, {"features": 5, "projections": "3"}, [5, 3]])
def test_sizes_that_no_export_writes_are_refused(
    unlike: object, dense: Path, tmp_path: Path
) -> None:
    graph = onnx.load(dense)
    (entry,) = (one for one in graph.metadata_props if one.key == KEY)
    entry.value = json.dumps({**json.loads(entry.value), "unlike": unlike})
    onnx.save_model(graph, tmp_path / "a.onnx")
    with pytest.raises(ModelError, match="unlike must be the sizes of features and projections"):
        read_metadata(tmp_path / "a.onnx")


def test_a_file_of_an_older_version_uses_the_threshold_without_distance(
    model: Classifier, files: list[Path], tmp_path: Path
) -> None:
    without = dataclasses.replace(model, familiarity=None)
    export(without, tmp_path / "a.onnx", dense=True, pictures=files)
    file = verydeep.load(tmp_path / "a.onnx")
    assert isinstance(file, ExportedClassifier)
    assert (file.familiarity, file.feature_size) == (None, 0)
    assert all(str(one.reason).endswith("100.0 % needed") for one in file.predict(files))
