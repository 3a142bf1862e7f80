"""The net of 1989 through the ordinary verbs: train, evaluate, predict, explain, export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import write_splits

import verydeep
from verydeep.errors import InputError, ModelError, RecipeError
from verydeep.recipe.recipe import load_recipe
from verydeep.run.explain import explain
from verydeep.run.export import export

SETTINGS = {"training.epochs": 2, "training.batch": 4, "data.cache": "none"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("1989") / "data")


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("1989") / "run"
    verydeep.train(data, "lecun1989", out, settings=SETTINGS)
    return out


def test_it_is_trained_by_squared_errors_on_grey_images(run: Path) -> None:
    model = verydeep.load(run, "cpu")
    assert model.net.channels == model.preprocessing.channels == 1
    assert model.preprocessing.mean == (127.5, 127.5, 127.5)
    red = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    red[:, 0] = 255
    x = model.preprocessing(red)
    torch.testing.assert_close(x, torch.full((1, 1, 16, 16), -1 / 3))
    assert model.score_map(red).abs().max() <= 1.7159


def test_it_is_tested_by_crops_and_not_densely(run: Path) -> None:
    by_crops = verydeep.evaluate(run, protocol="crops")
    assert by_crops.images == 12
    with pytest.raises(InputError, match=r"net lecun1989 takes images of 16 pixels only"):
        verydeep.evaluate(run, protocol="dense")


def test_it_predicts_images_of_any_shape_by_their_centre(run: Path, data: Path) -> None:
    prediction, *_ = verydeep.load(run).predict(data / "test" / "red")
    assert len(prediction.ranking) == 3


def test_it_is_explained(run: Path, data: Path, tmp_path: Path) -> None:
    picture = next((data / "test" / "red").iterdir())
    result = explain(run, picture, tmp_path / "page")
    sections = set(result.pictures[0]["sections"])
    assert {"maps", "receptive-field", "saliency", "grad-cam", "occlusion"} <= sections


def test_its_class_model_is_grey(run: Path, data: Path, tmp_path: Path) -> None:
    picture = next((data / "test" / "red").iterdir())
    explain(run, picture, tmp_path / "page", only=["class-model"], steps=2)


def test_it_is_exported_with_the_same_answers(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    result = export(run, tmp_path / "net.onnx")
    assert result.parity.holds
    assert result.parity.largest_difference < 1e-5


def test_it_is_exported_as_a_program(run: Path, tmp_path: Path) -> None:
    assert export(run, tmp_path / "net.pt2", to="torch").parity.holds


@pytest.mark.parametrize(("to", "file"), [("onnx", "net.onnx"), ("web", "net.html")])
def test_it_has_no_dense_file(run: Path, tmp_path: Path, to: str, file: str) -> None:
    with pytest.raises(ModelError, match=r"needs the dense form, which net lecun1989 does not"):
        export(run, tmp_path / file, to=to, dense=True)


def test_it_has_no_features(run: Path, data: Path) -> None:
    with pytest.raises(ModelError, match=r"needs the dense form"):
        verydeep.features(run, data)


def test_the_recipe_is_refused_where_it_does_not_fit() -> None:
    for setting, message in (
        ("net.input_size=32", r"takes images of exactly 16 pixels"),
        ("test.protocol=dense", r"has no dense form"),
        ("training.label_smoothing=0.1", r"must be 0 with training.loss=squared-error"),
        ("net.norm=batch", r"net.norm: net lecun1989 has no such setting"),
    ):
        with pytest.raises(RecipeError, match=message):
            load_recipe("lecun1989", [setting])
    with pytest.raises(RecipeError, match=r"net.activation: net D has no such setting"):
        load_recipe("paper", ["net.activation=relu"])
    with pytest.raises(RecipeError, match=r"net.input_size: must be greater than or equal to 32"):
        load_recipe("paper", ["net.input_size=16"])


def test_the_automatic_recipe_names_its_own(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"net lecun1989 has a recipe of its own \(recipe="):
        verydeep.train(data, out=tmp_path / "run", net="lecun-1989")


def test_a_modern_optimizer_learns_what_the_paper_could(data: Path, tmp_path: Path) -> None:
    modern = {"net.output": "linear", "training.loss": "cross-entropy", "net.activation": "relu"}
    modern |= {"training.optimizer": "adamw", "training.momentum": 0.9, "training.batch": 4}
    modern |= {"training.learning_rate": 0.01, "training.epochs": 6, "initialize.scheme": "he"}
    result = verydeep.train(data, "lecun1989", tmp_path / "run", settings={**SETTINGS, **modern})
    assert np.isfinite(result["loss"])
