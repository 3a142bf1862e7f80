"""GoogLeNet through the ordinary verbs: auxiliary heads, protocols, fusion, export, explain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import recipe, write_splits
from torch.nn import functional as F
from whole_runs import log

import verydeep
from verydeep.data.pipeline.batches import MicroBatch
from verydeep.errors import RecipeError
from verydeep.evaluation.walkthrough import explain as explain_views
from verydeep.models.classifier import Classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.senet import senet154
from verydeep.recipe.recipe import load_recipe
from verydeep.run.explain import explain
from verydeep.run.export import export
from verydeep.system.device import choose_machine
from verydeep.training.objective import Classification

SETTINGS = {
    "net.input_size": 32,
    "net.width": 0.05,
    "data.train_scale": 40,
    "training.batch": 8,
    "training.epochs": 2,
    "test.protocol": "dense",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("googlenet") / "data")


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("googlenet") / "run"
    verydeep.train(data, "googlenet", out, settings=SETTINGS)
    return out


def test_auxiliary_losses_are_added_with_weight_0_3() -> None:
    scores, labels = torch.randn(4, 3, 5), torch.tensor([0, 1, 2, 3])
    batch = MicroBatch(torch.empty(4), labels, torch.empty(4, 3), 0, 4, last=True)
    each = [F.cross_entropy(scores[:, head], labels, reduction="none") for head in range(3)]
    losses = Classification(5).losses(scores, batch)
    torch.testing.assert_close(losses, each[0] + 0.3 * each[1] + 0.3 * each[2])
    wrong = scores[:, 0].argmax(1) != labels
    assert Classification(5).wrong(scores, batch).tolist() == wrong.tolist()


def test_the_loss_that_is_told_is_without_auxiliary_heads(data: Path, tmp_path: Path) -> None:
    settings = {**SETTINGS, "training.epochs": 1, "training.learning_rate": 1e-9}
    verydeep.train(data, "googlenet", tmp_path / "run", settings=settings)
    (row,) = log(tmp_path / "run")
    assert row["train_loss"] == pytest.approx(row["val_loss"], rel=0.2)  # with them 60 % more


def test_all_heads_are_trained_and_kept(run: Path) -> None:
    net = verydeep.load(run, "cpu").net
    fresh = verydeep.googlenet(3, input_size=32, width=0.05)
    assert [*net.state_dict()] == [*fresh.state_dict()]
    assert any(name.startswith("heads.") for name in net.state_dict())


@pytest.mark.parametrize("protocol", ["center", "dense", "crops", "both", "ten-crop", "googlenet"])
def test_it_is_tested_by_every_protocol(run: Path, protocol: str) -> None:
    assert verydeep.evaluate(run, protocol=protocol).images == 12


def test_it_is_fused_with_a_net_of_another_size_and_preprocessing(
    run: Path, data: Path, tmp_path: Path
) -> None:
    other = recipe("training.epochs=1", "net.input_size=64", "data.train_scale=64")
    verydeep.train(data, other, tmp_path / "vgg")
    nets = [run, tmp_path / "vgg"]
    both = verydeep.evaluate(nets, data, "crops", split="test")
    assert both.models == ("googlenet", "A")
    assert both.images == 12
    pictures = sorted((data / "test").rglob("*.png"))[:2]
    how = verydeep.TestProtocol("crops")
    likely = []
    for model in map(verydeep.load, nets):
        found = model.predict_sources(pictures, how.for_model(model))
        likely.append(np.stack([one.probabilities for one in found]))
    explained = [explain_views([verydeep.load(net) for net in nets],
                               [how.for_model(verydeep.load(net)) for net in nets], picture)
                 for picture in pictures]  # fmt: skip
    fused = np.stack([one.likely for one in explained])
    np.testing.assert_allclose(fused, np.mean(likely, 0), atol=1e-5)


def test_an_ensemble_of_several_nets_is_tested_by_its_144_crops(run: Path, data: Path) -> None:
    result = verydeep.evaluate([run] * 3, data, "googlenet", split="test")
    alone = verydeep.evaluate(run, data, "googlenet", split="test")
    assert result.views == 3 * 144
    assert result.loss == pytest.approx(alone.loss, abs=1e-5)


def test_it_is_explained(run: Path, data: Path, tmp_path: Path) -> None:
    picture = next((data / "test" / "red").iterdir())
    result = explain(run, picture, tmp_path / "page")
    maps = result.pictures[0]["sections"]["maps"]["layers"]
    assert [one["layer"] for one in maps] == [
        *("pool1", "pool2", "inception3b", "inception4e", "inception5b", "fc")
    ]


def test_its_features_are_those_of_the_average(run: Path, data: Path) -> None:
    found = verydeep.features(run, data / "test")
    assert found.vectors.shape == (12, verydeep.load(run).net.activations("pool5"))


@pytest.mark.parametrize("dense", [False, True])
def test_it_is_exported_with_the_same_answers(run: Path, tmp_path: Path, dense: bool) -> None:
    pytest.importorskip("onnxruntime")
    assert export(run, tmp_path / "net.onnx", dense=dense).parity.largest_difference < 1e-5


def test_senet_is_exported_with_the_same_answers(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    model = Classifier(
        net=senet154(3, input_size=32, width=0.03).eval(),
        classes=("a", "b", "c"),
        preprocessing=Preprocessing((100.0, 100.0, 100.0)),
        train_scale=(40, 40),
        test_scales=(40,),
        machine=choose_machine("cpu", "fp32"),
    )
    for dense in (False, True):
        file = tmp_path / f"net{dense}.onnx"
        result = export(model, file, dense=dense, pictures=data / "test" / "red")
        assert result.parity.largest_difference < 1e-5


def test_it_has_no_box_regressor_and_no_transfer() -> None:
    for recipe_name in ("localization", "transfer"):
        with pytest.raises(RecipeError, match=r"the paper's nets"):
            load_recipe(recipe_name, {"net.name": "googlenet", "net.hidden": None})


def test_it_is_fine_tuned_for_other_classes(run: Path, data: Path, tmp_path: Path) -> None:
    settings = {**SETTINGS, "net.name": "googlenet", "training.epochs": 1}
    result = verydeep.train(
        data, "fine-tune", tmp_path / "b", init_from=str(run), settings=settings
    )
    assert result["images"] == 12
