"""VGG nets of torchvision as nets of this package, against torchvision's own.

Nothing here downloads: the weights are made, and lie where torchvision keeps downloaded ones.
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
from tiny import write_class_folders
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms.functional import normalize

import verydeep
from verydeep.errors import ModelError
from verydeep.models.path import VGG_NETS
from verydeep.models.torchvision import torchvision_classifier
from verydeep.models.weights.torchvision import find_weights
from verydeep.models.weights.torchvision_vgg import read_vgg, source_config
from verydeep.recipe.recipe import Recipe
from verydeep.run.training.setup import make_net
from verydeep.system.progress import Progress
from verydeep.system.settings import Compute
from verydeep.transfer.descriptor import Descriptor

pytestmark = pytest.mark.slow  # many whole runs, or drawings

CPU = Compute("cpu", "fp32", 0)
PICTURES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 224, 224), np.uint8))


def theirs(name: str, classes: int) -> nn.Module:
    """Return torchvision's net without memory."""
    with torch.device("meta"):
        return models.get_model(name, weights=None, num_classes=classes, init_weights=False)


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


def rich_weights(net: nn.Module) -> dict[str, Tensor]:
    """Return weights that differ everywhere, of every layer."""
    generator = torch.Generator().manual_seed(1)
    state = {}
    for key, value in net.state_dict().items():
        drawn = torch.rand(value.shape, generator=generator)
        if value.dim() > 1:
            state[key] = (drawn - 0.5) * (24 / value[0].numel()) ** 0.5
        else:
            state[key] = drawn + 0.5 if "features" in key else drawn - 0.5
    return state


def put(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put made-up weights where torchvision looks for published ones."""
    monkeypatch.setenv("TORCH_HOME", str(folder))
    path = folder / "hub" / "checkpoints" / Path(models.get_model_weights(name).DEFAULT.url).name
    path.parent.mkdir(parents=True)
    torch.save(light_weights(name, 1000), path)
    return path


SLOW = {"vgg13", "vgg16", "vgg19", "vgg13_bn", "vgg19_bn", "vgg11"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in VGG_NETS]
)
def test_the_scores_are_torchvisions(name: str, tmp_path: Path) -> None:
    net = theirs(name, 3)
    state = rich_weights(net)
    torch.save(state, tmp_path / "w.pth")
    net.load_state_dict(state, assign=True)
    with torch.inference_mode():
        given = normalize(PICTURES / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        expected = net.eval()(given)
    model = verydeep.load(f"torchvision/{name}:{tmp_path / 'w.pth'}", compute=CPU)
    found = model.score_map(PICTURES)[:, :, 0, 0]
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
    assert (expected[0] - expected[1]).abs().max() > 1e-2 * expected.abs().max()
    assert model.classes == ("0", "1", "2")
    assert (model.net.name, model.net.batch_norm) == (
        {"11": "A", "13": "B", "16": "D", "19": "E"}[name[3:5]],
        name.endswith("_bn"),
    )


def test_published_weights_know_the_classes_of_imagenet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("vgg11", tmp_path, monkeypatch)
    model = verydeep.load("torchvision/vgg11", compute=CPU)
    categories = models.VGG11_Weights.DEFAULT.meta["categories"]
    assert len(set(model.classes)) == 1000
    assert all(map(str.startswith, model.classes, categories))  # twice the same: with a number
    picture = Image.fromarray(PICTURES[0].permute(1, 2, 0).numpy())
    (seen,) = model.predict(picture, top=3)
    assert seen.class_name == model.classes[int(seen.probabilities.argmax())]


def test_the_net_that_evaluate_tests_has_the_same_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("vgg11", tmp_path, monkeypatch)
    other = torchvision_classifier("torchvision/vgg11", compute=CPU)
    model = verydeep.load("torchvision/vgg11", compute=CPU)
    assert other.classes == model.classes
    wide = torch.cat([PICTURES, PICTURES[:, :, :, :64]], 3)[:1]
    expected = other.score_map(wide)
    assert expected.shape == (1, 1000, 1, 3)
    assert torch.allclose(model.score_map(wide), expected, atol=1e-4 * expected.abs().max())


def test_a_saved_copy_answers_as_the_net(tmp_path: Path) -> None:
    torch.save(light_weights("vgg11", 2), tmp_path / "w.pth")
    model = verydeep.load(f"torchvision/vgg11:{tmp_path / 'w.pth'}", compute=CPU)
    model.save(tmp_path / "model")
    again = verydeep.load(tmp_path / "model", compute=CPU)
    assert torch.equal(again.score_map(PICTURES[:1]), model.score_map(PICTURES[:1]))


# ---- faults ----


def test_weights_that_cannot_be_downloaded_can_be_put_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def fail(*_: object, **__: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(ModelError) as found:
        verydeep.load("torchvision/vgg16")
    address = models.VGG16_Weights.DEFAULT.url
    where = tmp_path / "hub" / "checkpoints" / Path(address).name
    for part in (address, str(where), "torchvision/vgg16:FILE", "no route"):
        assert part in str(found.value)


@pytest.mark.parametrize("content", [b"", b"half a file", b"PK\x03\x04"])
def test_a_broken_download_is_named(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put("vgg11", tmp_path, monkeypatch)
    path.write_bytes(content)
    with pytest.raises(ModelError, match=f"{path.name}.*delete"):
        verydeep.load("torchvision/vgg11")


@pytest.mark.parametrize("name", ["resnet18", "vgg", "vgg17", "VGG16", ""])
def test_other_nets_are_refused(name: str) -> None:
    for ask in (verydeep.load, source_config):
        with pytest.raises(ModelError, match="vgg11, vgg13"):
            ask(f"torchvision/{name}")


@pytest.mark.parametrize("other", ["vgg13", "vgg11_bn"])
def test_weights_of_another_net_are_refused(other: str, tmp_path: Path) -> None:
    torch.save(light_weights(other, 3), tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"w\.pth: not weights of torchvision's vgg11 with 3"):
        read_vgg(f"torchvision/vgg11:{tmp_path / 'w.pth'}")


@pytest.mark.parametrize("value", [{}, [1], {"a": 1}, {"a": torch.zeros(())}, None])
def test_a_file_of_something_else_is_refused(value: object, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "w.pth")
    for ask in (read_vgg, torchvision_classifier):
        with pytest.raises(ModelError, match=r"w\.pth: not weights"):
            ask(f"torchvision/vgg11:{tmp_path / 'w.pth'}")


def test_weights_without_classes_are_refused_before_they_are_fetched() -> None:
    with pytest.raises(ModelError, match="know no classes"):
        read_vgg("torchvision/vgg16:IMAGENET1K_FEATURES")


# ---- wherever a model is named ----


def test_features_come_from_a_net_of_torchvision(tmp_path: Path) -> None:
    torch.save(light_weights("vgg11", 2), tmp_path / "w.pth")
    name = f"torchvision/vgg11:{tmp_path / 'w.pth'}"
    data = write_class_folders(tmp_path / "data", 3, names=["red", "blue"])
    found = verydeep.features(name, data, Descriptor(scales=(224,), flip=False), compute=CPU)
    assert found.vectors.shape == (6, 4096)
    vectors = verydeep.FeatureExtractor(
        name, scales=(224,), flip=False, precision="fp32"
    ).transform([data / file for file in found.files])
    assert np.allclose(vectors, found.vectors, atol=1e-5)


def test_a_net_begins_with_layers_of_torchvisions(tmp_path: Path) -> None:
    state = light_weights("vgg11", 2)
    torch.save(state, tmp_path / "w.pth")
    name = f"torchvision/vgg11:{tmp_path / 'w.pth'}"
    dataset = verydeep.read_dataset(
        write_class_folders(tmp_path / "data", 4, names=["red", "blue"]), draw=True
    )
    recipe = Recipe().replace(
        net__name="B",
        net__hidden=64,
        net__input_size=32,
        initialize__source=name,
        initialize__layers="all",
    )
    said: list[str] = []
    net = make_net(recipe, dataset, _Saying(said), outputs=2)
    assert torch.equal(net.features.conv5_2.weight, state["features.18.weight"])
    assert "  conv5_2: copied" in said
    assert "  conv1_2: new (the shallower net has no such layer)" in said
    assert any(line.startswith("  fc6: new (shape") for line in said)


class _Saying(Progress):
    def __init__(self, said: list[str]) -> None:
        self.said = said

    def log(self, text: str) -> None:
        self.said.append(text)


def test_the_recipe_follows_torchvisions_net(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # nothing is there, and nothing is fetched
    config = source_config("torchvision/vgg16_bn")
    assert (config.net.name, config.net.norm, config.net.input_size) == ("D", "batch", 224)
    assert config.preprocessing.mean == pytest.approx((123.675, 116.28, 103.53))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg11", "squeezenet1_1"])
def test_the_program_names_what_is_on_a_picture(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(name, tmp_path, monkeypatch)
    Image.fromarray(PICTURES[0].permute(1, 2, 0).numpy()).save(tmp_path / "a.png")
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


def test_a_net_of_one_size_is_shown_the_central_square(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.pth"
    torch.save(light_weights("vit_b_32", 3), path)
    model = torchvision_classifier(f"torchvision/vit_b_32:{path}", compute=CPU)
    assert model.classes == ("0", "1", "2")
    wide = np.random.default_rng(0).integers(0, 256, (224, 300, 3), np.uint8)
    found = model.predict_proba(wide, scales=(224,), flip=False)
    square = torch.from_numpy(wide[:, 38:262]).permute(2, 0, 1)[None]
    expected = model.score_map(square)[:, :, 0, 0].softmax(1)
    assert np.allclose(found, expected, atol=1e-5)


def test_a_name_alone_stands_for_the_recommended_weights() -> None:
    found = find_weights("torchvision/resnet50", default=True)
    assert found.published is models.ResNet50_Weights.DEFAULT
    assert find_weights("torchvision/resnet50").published is None
