"""VGG nets of torchvision as nets of this package, against torchvision's own.

Nothing here downloads: the weights are made, of nets with an eighth of the channels.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from progresses import Listening
from tiny import write_class_folders
from torch import Tensor
from torchvision import models
from torchvision.transforms.functional import normalize
from torchvision_nets import narrow_vgg, save_narrow

import verydeep
from verydeep.errors import ModelError
from verydeep.models.path import VGG_NETS
from verydeep.models.torchvision import torchvision_classifier
from verydeep.models.weights import named
from verydeep.models.weights.download import Fetched
from verydeep.models.weights.named import import_source, source_config, split_name
from verydeep.models.weights.torchvision import find_weights
from verydeep.recipe.recipe import Recipe
from verydeep.run.training.net_and_optimizer import make_net
from verydeep.system.settings import Compute
from verydeep.transfer.descriptor import Descriptor

CPU = Compute("cpu", "fp32", 0)
IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 224, 224), np.uint8))


@pytest.mark.parametrize("name", VGG_NETS)
def test_the_scores_are_torchvisions(name: str, tmp_path: Path) -> None:
    path = save_narrow(name, tmp_path / "w.pth")
    with torch.inference_mode():
        given = normalize(IMAGES / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        expected = narrow_vgg(name)(given)
    model = verydeep.load(f"torchvision/{name}:{path}", compute=CPU)
    found = model.score_map(IMAGES)[:, :, 0, 0]
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
    assert (expected[0] - expected[1]).abs().max() > 1e-3 * expected.abs().max()
    assert model.classes == ("0", "1", "2")
    assert (model.net.name, model.net.batch_norm) == (
        {"11": "A", "13": "B", "16": "D", "19": "E"}[name[3:5]],
        name.endswith("_bn"),
    )


def test_in_double_precision_the_scores_are_equal(tmp_path: Path) -> None:
    path = save_narrow("vgg16", tmp_path / "w.pth")
    made = named.import_file(path, dtype=torch.float64)
    mean = torch.tensor(made.config.preprocessing.mean, dtype=torch.float64).view(3, 1, 1)
    found = made.net((IMAGES.double() - mean) / made.config.preprocessing.divisor)
    given = normalize(IMAGES.double() / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    expected = narrow_vgg("vgg16").double()(given)
    assert (found - expected).abs().max() < 1e-9 * expected.abs().max()


def test_published_weights_know_the_classes_of_imagenet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_narrow("vgg11", tmp_path / "w.pth", classes=1000)
    monkeypatch.setattr(named, "fetch", lambda *_: Fetched(path, None))
    model = verydeep.load("torchvision/vgg11", compute=CPU)
    categories = models.VGG11_Weights.DEFAULT.meta["categories"]
    assert len(set(model.classes)) == 1000
    assert list(model.classes) == sorted(model.classes)  # WordNet ids
    assert [model.title(label) for label in range(1000)] == [
        {134: "crane bird", 639: "maillot tank suit"}.get(k, word)
        for k, word in enumerate(categories)
    ]
    assert model.source is not None
    assert model.source["published"]["top1_error"] == pytest.approx(100 - 69.02)


def test_a_saved_copy_answers_as_the_net(tmp_path: Path) -> None:
    path = save_narrow("vgg11", tmp_path / "w.pth")
    model = verydeep.load(f"torchvision/vgg11:{path}", compute=CPU)
    model.save(tmp_path / "model")
    again = verydeep.load(tmp_path / "model", compute=CPU)
    assert torch.equal(again.score_map(IMAGES[:1]), model.score_map(IMAGES[:1]))
    assert again.source == model.source


# ---- faults ----


@pytest.mark.parametrize("name", ["resnet18", "vgg", "vgg17", "VGG16", ""])
def test_other_nets_are_refused(name: str) -> None:
    for ask in (verydeep.load, source_config):
        with pytest.raises(ModelError, match="vgg11, vgg13"):
            ask(f"torchvision/{name}")


@pytest.mark.parametrize("other", ["vgg13", "vgg11_bn"])
def test_weights_of_another_net_are_refused(other: str, tmp_path: Path) -> None:
    path = save_narrow(other, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="the file holds net"):
        import_source(f"torchvision/vgg11:{path}")


@pytest.mark.parametrize("value", [{}, [1], {"a": 1}, {"a": torch.zeros(())}, None])
def test_a_file_of_something_else_is_refused(value: object, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "w.pth")
    for ask in (import_source, torchvision_classifier):
        with pytest.raises(ModelError, match=r"w\.pth"):
            ask(f"torchvision/vgg11:{tmp_path / 'w.pth'}")


def test_names_and_files_after_a_colon_are_told_apart(tmp_path: Path) -> None:
    path = save_narrow("vgg11", tmp_path / "w.pth")
    assert split_name("torchvision/vgg16:IMAGENET1K_V1") == ("torchvision/vgg16", None)
    assert split_name("torchvision/vgg16:IMAGENET1K_FEATURES") == (
        "torchvision/vgg16-features",
        None,
    )
    assert split_name(f"keras/vgg16:{path}") == ("keras/vgg16", path)
    assert split_name("runs/a") == (None, None)
    with pytest.raises(ModelError, match="IMAGENET1K_V1"):
        split_name("torchvision/vgg16:IMAGENET1K_V2")


# ---- wherever a model is named ----


def test_features_come_from_a_net_of_torchvision(tmp_path: Path) -> None:
    name = f"torchvision/vgg11:{save_narrow('vgg11', tmp_path / 'w.pth')}"
    data = write_class_folders(tmp_path / "data", 3, names=["red", "blue"])
    found = verydeep.features(name, data, Descriptor(scales=(224,), flip=False), compute=CPU)
    assert found.vectors.shape == (6, 24)
    vectors = verydeep.FeatureExtractor(
        name, scales=(224,), flip=False, precision="fp32"
    ).transform([data / file for file in found.files])
    assert np.allclose(vectors, found.vectors, atol=1e-5)


def test_a_net_begins_with_layers_of_torchvisions(tmp_path: Path) -> None:
    path = save_narrow("vgg11", tmp_path / "w.pth")
    dataset = verydeep.read_dataset(
        write_class_folders(tmp_path / "data", 4, names=["red", "blue"]), draw=True
    )
    recipe = Recipe().replace(
        net__name="B",
        net__width=0.125,
        net__hidden=64,
        net__input_size=32,
        initialize__source=f"torchvision/vgg11:{path}",
        initialize__layers="all",
    )
    heard = Listening()
    net = make_net(recipe, dataset, heard, outputs=2)
    state = narrow_vgg("vgg11").state_dict()
    assert torch.equal(net.features.conv5_2.weight, state["features.18.weight"])
    assert "  conv5_2: copied" in heard.lines
    assert "  conv1_2: new (the shallower net has no such layer)" in heard.lines
    assert any(line.startswith("  fc6: new (shape") for line in heard.lines)


def test_the_recipe_follows_torchvisions_net(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "fetch", None)  # nothing is fetched
    config = source_config("torchvision/vgg16_bn")
    assert (config.net.name, config.net.norm, config.net.input_size) == ("D", "batch", 224)
    assert config.preprocessing.mean == pytest.approx((123.675, 116.28, 103.53))
    assert source_config("keras/vgg19-notop").classes == ()


def test_a_name_alone_stands_for_the_recommended_weights() -> None:
    found = find_weights("torchvision/resnet50", default=True)
    assert found.published is models.ResNet50_Weights.DEFAULT
    assert find_weights("torchvision/resnet50").published is None


# ---- nets of other kinds ----


def light_weights(name: str, classes: int, seed: int = 0) -> dict[str, Tensor]:
    """Return weights that take little room on disk: all that feed one output are the same."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    with torch.device("meta"):
        net = models.get_model(name, weights=None, num_classes=classes)
    for key, value in net.state_dict().items():
        if value.dim() > 1:
            one = torch.randn(len(value), *[1] * (value.dim() - 1), generator=generator)
            state[key] = (one * (2 / value[0].numel()) ** 0.5).expand(value.shape)
        elif value.dim() == 0:
            state[key] = torch.tensor(1)
        else:
            state[key] = 0.5 + torch.rand(value.shape, generator=generator)
    return state


def put(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put made-up weights where torchvision looks for published ones."""
    monkeypatch.setenv("TORCH_HOME", str(folder))
    path = folder / "hub" / "checkpoints" / Path(models.get_model_weights(name).DEFAULT.url).name
    path.parent.mkdir(parents=True)
    torch.save(light_weights(name, 1000), path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", ["squeezenet1_1"])
def test_the_program_names_what_is_on_a_picture(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(name, tmp_path, monkeypatch)
    Image.fromarray(IMAGES[0].permute(1, 2, 0).numpy()).save(tmp_path / "a.png")
    words = ["predict", f"torchvision/{name}", "a.png", "--json", "--top", "2", "--scales", "256"]
    done = subprocess.run(
        [sys.executable, "-m", "verydeep", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    (seen,) = json.loads(done.stdout)["predictions"]
    expected = torchvision_classifier(f"torchvision/{name}", compute=CPU)
    (ours,) = expected.predict(tmp_path / "a.png", top=2, scales=(256,))
    assert [one["class"] for one in seen["classes"]] == [label for label, _ in ours.ranking]


def test_a_net_of_one_size_is_shown_the_central_square(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(light_weights("vit_b_32", 3), path)
    model = torchvision_classifier(f"torchvision/vit_b_32:{path}", compute=CPU)
    assert model.classes == ("0", "1", "2")
    wide = np.random.default_rng(0).integers(0, 256, (224, 300, 3), np.uint8)
    found = model.predict_proba(wide, scales=(224,), flip=False)
    square = torch.from_numpy(wide[:, 38:262]).permute(2, 0, 1)[None]
    expected = model.score_map(square)[:, :, 0, 0].softmax(1)
    assert np.allclose(found, expected, atol=1e-5)
