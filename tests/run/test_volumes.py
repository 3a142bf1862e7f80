"""Volumes from training to explanation, against sums written out by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from random_nets import random_classifier
from torch.nn import functional as F

import verydeep
from verydeep.data.builtin.solid_digits import make_solid_digits
from verydeep.data.read import DataSource, read_dataset
from verydeep.data.shards.write import write_shards
from verydeep.errors import DataError, InputError, ModelError, PictureError, RecipeError
from verydeep.inspection.attribution import grad_cam
from verydeep.inspection.subject import make_subject
from verydeep.models.classifier import Classifier, load_classifier
from verydeep.nets.inflate import Inflation, inflate
from verydeep.nets.vgg import VGG
from verydeep.recipe.recipe import load_recipe
from verydeep.run.bulk.predictions import PredictWork
from verydeep.run.bulk.vectors import FeaturesWork
from verydeep.run.photograph_figures import photograph_figures
from verydeep.run.testing.walkthrough import explain_test
from verydeep.run.training.auto import choose_recipe
from verydeep.run.training.machine_settings import suit_dimensions, suit_machine
from verydeep.run.training.net_and_optimizer import make_net
from verydeep.system.device import Machine
from verydeep.system.progress import PlainProgress, Progress
from verydeep.system.settings import Compute
from verydeep.transfer.descriptor import Descriptor
from verydeep.visualization.inspection.volumes import grad_cam_of_volume

EXACT = Compute("cpu", "fp32")

SETTINGS: dict[str, Any] = {
    "net.width": 0.05,
    "training.epochs": 1,
    "training.batch": 8,
    "training.precision": "fp32",
}


def train(data: Path, out: Path, **more: Any) -> Any:
    settings = SETTINGS | more
    return verydeep.train(data, "demo-volumes", out, settings=settings, progress=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("solid")
    for digit in make_solid_digits(0, {"train": 20, "val": 10, "test": 10}):
        path = folder / digit.file
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, digit.voxels)
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "solid"
    metrics = train(data, out)
    assert metrics["images"] == 10
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "data:image/jpeg" in report
    assert "not shown" not in report
    assert json.loads((out / "model/config.json").read_text())["net"]["dimensions"] == 3
    return out


def posteriors(model: Classifier, path: Path, *, flip: bool) -> torch.Tensor:
    """Return the probabilities of the whole volume, and perhaps its mirror image, by hand."""
    x = torch.from_numpy(np.load(path)).float().expand(1, 3, -1, -1, -1)
    mean = torch.tensor(model.preprocessing.mean).view(1, 3, 1, 1, 1)
    x = (x - mean) / model.preprocessing.divisor
    with torch.no_grad():
        answers = [model.net(one).softmax(1)[0] for one in ([x, x.flip(4)] if flip else [x])]
    return torch.stack(answers).mean(0)


@pytest.mark.slow
def test_a_trained_model_predicts_what_the_net_answers(run: Path, data: Path) -> None:
    model = verydeep.load(run, EXACT)
    folder = data / "test" / "3"
    found = model.predict(folder, progress=False)
    paths = sorted(folder.iterdir())
    assert [one.source for one in found] == paths
    for one, path in zip(found, paths, strict=True):
        expected = posteriors(model, path, flip=False)
        assert np.abs(one.probabilities - expected.numpy()).max() < 1e-5


@pytest.mark.slow
def test_protocols_are_the_means_that_they_say(run: Path, data: Path) -> None:
    model = verydeep.load(run, EXACT)
    dense = verydeep.evaluate(model, data, verydeep.TestProtocol("dense", 32, flip=True))
    paths = sorted((data / "test").rglob("*.npy"), key=lambda path: (path.parent.name, path.name))
    answers = torch.stack([posteriors(model, path, flip=True) for path in paths])
    assert np.abs(dense.answers.posteriors - answers.numpy()).max() < 1e-5
    assert dense.views == 2
    crops = verydeep.TestProtocol("crops", 34, flip=False, grid=(2, 2))
    both = verydeep.TestProtocol("both", 34, flip=False, grid=(2, 2))
    apart = [verydeep.evaluate(model, data, how) for how in (crops, both)]
    assert [one.views for one in apart] == [8, 9]
    assert "2x2x2 crops of 32x32x32" in " ".join(apart[0].steps)
    whole = verydeep.evaluate(model, data, verydeep.TestProtocol("dense", 34, flip=False))
    mean = (apart[0].answers.posteriors + whole.answers.posteriors) / 2
    assert np.abs(apart[1].answers.posteriors - mean).max() < 1e-6


@pytest.mark.slow
def test_training_again_gives_the_same_weights(run: Path, data: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "again")
    one, other = (load_classifier(path).net.state_dict() for path in (run, tmp_path / "again"))
    assert all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.mark.slow
def test_the_page_shows_slices_through_the_peak(run: Path, data: Path, tmp_path: Path) -> None:
    found = verydeep.explain(run, data / "test" / "7", tmp_path / "page", progress=False)
    (picture, *_) = found["pictures"]
    assert (picture["depth"], picture["height"], picture["width"]) == (32, 32, 32)
    assert [*picture["sections"]] == ["saliency", "grad-cam"]
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "32x32x32 voxels" in page
    for section in picture["sections"].values():
        assert all((tmp_path / "page" / file).is_file() for file in section["files"])


@pytest.mark.slow
def test_features_are_the_mean_over_the_last_map(run: Path, data: Path) -> None:
    model = verydeep.load(run, EXACT)
    how = verydeep.Descriptor((32,), flip=False, layer="pool5")
    found = verydeep.features(model, data, how, progress=False).split("test")
    path = data / found.files[0]
    x = torch.from_numpy(np.load(path)).float().expand(1, 3, -1, -1, -1)
    x = (x - torch.tensor(model.preprocessing.mean).view(1, 3, 1, 1, 1)) / 64
    with torch.no_grad():
        expected = F.normalize(model.net.feature_map(x).mean((2, 3, 4)))[0]
    assert np.abs(found.vectors[0] - expected.numpy()).max() < 1e-5


@pytest.mark.slow
def test_what_is_of_images_is_refused(run: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="of images"):
        verydeep.evaluate(run, data, "ten-crop", progress=False)
    with pytest.raises(InputError, match="takes volumes, and the data are images"):
        verydeep.evaluate(run, "digits", progress=False)
    for_volumes = "the net is for volumes, and {} is for images".format
    with pytest.raises(ModelError, match=for_volumes("an exported file")):
        verydeep.export(run, tmp_path / "f.onnx", progress=False)
    with pytest.raises(ModelError, match=for_volumes("a figure")):
        photograph_figures(run, tmp_path / "figures", progress=False)
    with pytest.raises(ModelError, match=for_volumes("a test step by step")):
        explain_test(run, picture=next((data / "test").rglob("*.npy")))
    with pytest.raises(ModelError, match=for_volumes("bulk")):
        PredictWork(str(run), str(run), Compute(), 5, None, None).load(10)
    with pytest.raises(ModelError, match=for_volumes("bulk")):
        FeaturesWork(str(run), str(run), Compute(), Descriptor()).load(10)
    with pytest.raises(InputError, match="volumes, and only images are checked"):
        verydeep.check(data, progress=False)
    with pytest.raises(RecipeError, match="for images, and the data are volumes"):
        verydeep.train(data, "transfer", tmp_path / "t", init_from=str(run), progress=False)
    with pytest.raises(RecipeError, match="must be 2, as the data are images, got 3"):
        verydeep.train("digits", "demo-volumes", tmp_path / "u", progress=False)
    with pytest.raises(ModelError, match=for_volumes("an int8 variant")):
        verydeep.quantize(run, progress=False)
    with pytest.raises(DataError, match="a shard is of images"):
        write_shards(verydeep.read_dataset(data), tmp_path / "s")
    with pytest.raises(DataError, match="a study of the paper is of images"):
        verydeep.reproduce(data, tmp_path / "r", progress=False)
    with pytest.raises(InputError, match="of images only"):
        verydeep.explain(run, data / "test", tmp_path / "e", only=["maps"], progress=False)
    with pytest.raises(PictureError, match="no such file"):
        verydeep.load(run).sources(tmp_path / "nothing", Progress())


@pytest.mark.parametrize(
    ("settings", "section"),
    [
        ({"among": "AMONG"}, "exciting"),
        ({"steps": 3}, "class-model"),
        ({"layers": ["fc6"]}, "maps"),
    ],
)
def test_settings_of_what_volumes_do_not_have_are_refused(
    settings: dict[str, Any], section: str, tmp_path: Path
) -> None:
    model = random_classifier(name="A", dimensions=3)
    np.save(tmp_path / "scan.npy", np.zeros((32, 32, 32), np.uint8))
    given = {key: tmp_path if value == "AMONG" else value for key, value in settings.items()}
    with pytest.raises(InputError, match=f"^{section}: of images only; volumes have saliency"):
        verydeep.explain(model, tmp_path / "scan.npy", tmp_path.parent / "e", **given)


@pytest.mark.parametrize(
    ("device", "asked", "found"),
    [("cpu", None, "fp32"), ("cpu", "bf16", "bf16"), ("cuda", None, "bf16")],
)
def test_volumes_are_trained_in_fp32_on_a_cpu_unless_said(
    device: str, asked: str | None, found: str, pictures: Path
) -> None:
    images = read_dataset(pictures)
    volumes = replace(images, dimensions=3)
    machine = Machine(torch.device(device), "bf16")
    recipe = load_recipe("demo-volumes").replace(training__precision=asked)
    assert suit_machine(machine, recipe, volumes).precision == found
    assert suit_machine(machine, recipe, images) == machine


@pytest.mark.parametrize("how", ["repeat", "center"])
def test_a_net_for_images_is_the_beginning_of_one_for_volumes(
    how: Inflation, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flat = random_classifier(name="A", width=0.05, hidden=40, input_size=64)
    flat.save(tmp_path / "flat")
    settings = {
        "net.name": "A",
        "net.norm": None,
        "net.width": 0.05,
        "net.hidden": 40,
        "net.input_size": 64,
        "data.train_scale": 64,
        "test.scales": [64],
        "initialize.source": str(tmp_path / "flat"),
        "initialize.layers": "all",
        "initialize.inflate": how,
    }
    volumes = read_dataset(data)
    recipe = suit_dimensions(load_recipe("demo-volumes", settings), volumes)
    net = make_net(recipe, volumes, PlainProgress(), outputs=10)
    assert isinstance(net, VGG)
    assert isinstance(flat.net, VGG)
    expected = inflate(flat.net, how)
    own, theirs = net.state_dict(), expected.state_dict()
    same = [name for name in own if torch.equal(own[name], theirs.get(name, torch.empty(0)))]
    assert [name for name in own if name not in same] == [
        "classifier.fc8.weight",  # of other classes
        "classifier.fc8.bias",
    ]
    assert f"kernels: {how}" in capsys.readouterr().err


def test_auto_takes_no_sizes_from_a_net_for_images(data: Path, tmp_path: Path) -> None:
    random_classifier(name="B", width=0.05, input_size=64).save(tmp_path / "flat")
    said: Any = {"initialize": {"source": str(tmp_path / "flat")}}
    source, cpu = DataSource(str(data)), Machine(torch.device("cpu"), "fp32")
    recipe = choose_recipe(source, read_dataset(data), said, cpu, Progress())
    assert (recipe.net.name, recipe.net.width, recipe.net.input_size) == ("B", 0.05, 32)
    assert recipe.initialize.layers == "all"
    assert suit_dimensions(recipe, read_dataset(data)).net.dimensions == 3


def narrow() -> Classifier:
    torch.manual_seed(0)
    net = verydeep.vgg("A", 3, input_size=32, width=0.1, hidden=64, dimensions=3).eval()
    preprocessing = verydeep.models.preprocessing.Preprocessing((100.0, 100.0, 100.0))
    return Classifier(net, ("a", "b", "c"), preprocessing, (32, 32), (32,))


def test_grad_cam_of_a_volume_is_its_definition() -> None:
    model = narrow()
    voxels = torch.randint(0, 256, (3, 64, 32, 32), dtype=torch.uint8)
    subject = make_subject(model, "v", voxels, label=1)
    found = grad_cam(subject, "conv3_2")
    x = (voxels[None].float() - 100) / 64
    lower = model.net.features[: [*dict(model.net.features.named_children())].index("relu3_2") + 1]
    upper = model.net.features[len(lower) :]
    maps = lower(x).detach().requires_grad_()
    scores = verydeep.nets.dense.classify_densely(model.net.classifier, upper(maps))
    (gradient,) = torch.autograd.grad(scores.flatten(2).mean(2)[0, 1], maps)
    cells = F.relu((gradient.mean((2, 3, 4), keepdim=True) * maps).sum(1))[0].detach()
    assert torch.allclose(found.cells, cells, rtol=1e-4, atol=1e-9)
    assert found.heat.shape == (64, 32, 32)
    assert grad_cam_of_volume(subject).title == "Grad-CAM at conv4_2"
