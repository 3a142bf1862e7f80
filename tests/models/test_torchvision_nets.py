"""Nets of torchvision: their names, their weights, and what they answer on an image of any size.

Nothing here downloads: where weights would be published ones, the test makes them.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny import write_class_folders
from torch import Tensor, nn
from torchvision import models
from torchvision.models import WeightsEnum

from verydeep.data.samples import Sample
from verydeep.errors import InputError, ModelError
from verydeep.evaluation.evaluate import evaluate_samples
from verydeep.evaluation.protocol import TestProtocol
from verydeep.models.path import is_torchvision
from verydeep.models.torchvision import (
    Evaluation,
    TorchvisionClassifier,
    torchvision_classifier,
)
from verydeep.system.settings import Compute

CPU = Compute("cpu", "fp32")
ABC = ("a", "b", "c")
SMALL = "squeezenet1_1"
"""A net of global pooling with 0.7 M weights."""


def classifier(text: str, classes: tuple[str, ...] = ABC) -> TorchvisionClassifier:
    return torchvision_classifier(f"torchvision/{text}", classes, compute=CPU)


def theirs(pictures: Tensor) -> Tensor:
    """Return pixels as torchvision's nets want them, by torchvision's own means."""
    from torchvision.transforms.functional import normalize

    return normalize(pictures.float() / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def noise(*shape: int, seed: int = 0) -> Tensor:
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return torch.from_numpy(pixels)


def other_weights(name: str = SMALL, classes: int = 3) -> dict[str, Tensor]:
    """Return weights of a net that random ones of seed 0 are not."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(77)
        return models.get_model(name, weights=None, num_classes=classes).state_dict()


def same(net: nn.Module, weights: dict[str, Tensor]) -> bool:
    found = net.state_dict()
    return found.keys() == weights.keys() and all(found[k].equal(weights[k]) for k in weights)


# ---- names ----


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("torchvision/resnet18", True),
        ("torchvision/resnet18:DEFAULT", True),
        ("torchvision/nonsense", True),
        ("torchvision", False),
        ("runs/torchvision/resnet18", False),
        (Path("torchvision/resnet18"), False),
        (None, False),
    ],
)
def test_a_model_is_torchvisions_by_its_name_alone(name: object, known: bool) -> None:
    assert is_torchvision(name) == known


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet19", "torchvision/resnet19: torchvision has no classifier of that name; did you"),
        ("ResNet18", "did you mean 'resnet18'"),
        ("", "no classifier of that name"),
        ("qqqqq:DEFAULT", "torchvision/qqqqq: torchvision has no classifier of that name"),
        ("fcn_resnet50", "no classifier of that name"),  # it names pixels, not images
    ],
)
def test_a_net_that_torchvision_does_not_have_is_refused(name: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        classifier(name)


# ---- weights ----


def test_random_weights_are_the_same_every_time() -> None:
    torch.manual_seed(1)
    first = classifier(SMALL)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    second = classifier(SMALL)
    assert same(second.net, first.net.state_dict())
    assert torch.equal(torch.random.get_rng_state(), before)  # nobody else's numbers change
    assert not same(second.net, other_weights())
    assert first.weights == second.weights == "random"
    assert not first.net.training
    assert not any(weight.requires_grad for weight in first.net.parameters())


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_weights_come_from_a_file(ending: str, tmp_path: Path) -> None:
    weights, path = other_weights(), tmp_path / f"weights{ending}"
    (save_file if ending == ".safetensors" else torch.save)(weights, path)
    found = classifier(f"{SMALL}:{path}")
    assert same(found.net, weights)
    assert found.weights == str(path)
    assert found.classes == ABC
    assert (found.input_size, found.resize_size, found.test_scales) == (224, 256, (256,))


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "shufflenet_v2_x0_5"])
def test_the_outputs_of_a_file_are_counted_whatever_the_order_of_its_weights(
    name: str, tmp_path: Path
) -> None:
    save_file(other_weights(name, 7), tmp_path / "w.safetensors")
    found = torchvision_classifier(f"torchvision/{name}:{tmp_path / 'w.safetensors'}", compute=CPU)
    assert found.classes == tuple("0123456")


def test_a_file_may_hold_auxiliary_classifiers_and_stand_under_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = other_weights("googlenet")
    assert any(key.startswith("aux") for key in weights)
    torch.save(weights, tmp_path / "g.pth")
    monkeypatch.setenv("HOME", str(tmp_path))
    found = classifier("googlenet:~/g.pth")
    assert same(found.net, {k: v for k, v in weights.items() if not k.startswith("aux")})


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def test_a_pickle_is_not_executed(tmp_path: Path) -> None:
    for number, save in enumerate((torch.save, lambda x, p: p.write_bytes(pickle.dumps(x)))):
        path, touched = tmp_path / f"{number}.pth", tmp_path / f"touched{number}"
        save({"weight": Evil(touched)}, path)
        with pytest.raises(ModelError, match="cannot be read"):
            classifier(f"{SMALL}:{path}")
        assert not touched.exists()


def test_a_whole_net_instead_of_its_weights_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 3), tmp_path / "net.pth")
    with pytest.raises(ModelError, match=r"net\.pth: cannot be read"):
        classifier(f"{SMALL}:{tmp_path / 'net.pth'}")


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
@pytest.mark.parametrize(
    "content", [b"", b"this is not weights at all", b"\x80\x04", b"PK\x03\x04"]
)
def test_a_file_that_is_broken_is_refused(content: bytes, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"broken{ending}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=f"broken{ending}: "):
        classifier(f"{SMALL}:{path}")


@pytest.mark.parametrize("value", [[torch.zeros(2)], torch.zeros(2), {1: torch.zeros(2)}, {}, None])
def test_a_file_that_holds_something_else_is_refused(value: object, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=f"w.pth: not weights of torchvision's {SMALL} with 3"):
        classifier(f"{SMALL}:{tmp_path / 'w.pth'}")


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
@pytest.mark.parametrize(("name", "classes"), [("squeezenet1_0", 3), (SMALL, 4)])
def test_weights_of_another_net_or_of_other_classes_are_refused(
    name: str, classes: int, ending: str, tmp_path: Path
) -> None:
    path, weights = tmp_path / f"w{ending}", other_weights(name, classes)
    (save_file if ending == ".safetensors" else torch.save)(weights, path)
    with pytest.raises(ModelError, match=f"w{ending}: not weights of torchvision's {SMALL} with 3"):
        classifier(f"{SMALL}:{path}")


@pytest.mark.parametrize("name", ["nowhere.pth", "nowhere.safetensors", "IMAGENET1K_V9", "default"])
def test_weights_that_are_not_there_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"{name}: neither a file nor the name of weights"):
        classifier(f"{SMALL}:{name}")
    with pytest.raises(ModelError, match=f"{tmp_path}: not weights of torchvision's"):
        classifier(f"{SMALL}:{tmp_path}")


@pytest.mark.parametrize("name", ["meta", "url", "mro", "__doc__"])
def test_what_torchvisions_enumerations_happen_to_have_is_no_name_of_weights(name: str) -> None:
    with pytest.raises(ModelError, match="neither a file nor the name of weights"):
        classifier(f"{SMALL}:{name}")


# ---- published weights ----

THOUSAND = tuple(f"class {number}" for number in range(1000))


@pytest.mark.parametrize("name", ["DEFAULT", "IMAGENET1K_V1"])
def test_published_weights_are_torchvisions(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, asked = other_weights(SMALL, 1000), []

    def published(chosen: WeightsEnum, *_: object, **__: object) -> dict[str, Tensor]:
        asked.append(chosen)
        return weights

    monkeypatch.setattr(WeightsEnum, "get_state_dict", published)
    found = classifier(f"{SMALL}:{name}", THOUSAND)
    assert same(found.net, weights)
    assert asked == [models.get_model_weights(SMALL).IMAGENET1K_V1]
    assert (found.weights, found.classes) == (name, THOUSAND)


def test_each_publication_has_its_own_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = other_weights("resnet50", 1000)
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_, **__: weights)
    assert classifier("resnet50:IMAGENET1K_V1", THOUSAND).resize_size == 256
    assert classifier("resnet50:IMAGENET1K_V2", THOUSAND).resize_size == 232


@pytest.mark.parametrize("classes", [ABC, THOUSAND[:999], (*THOUSAND, "one more")])
def test_published_weights_of_other_classes_are_refused_before_they_are_fetched(
    classes: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_net(*_: object, **__: object) -> nn.Module:
        raise AssertionError("fetched")

    monkeypatch.setattr(models, "get_model", no_net)
    words = f"torchvision/resnet18: the published weights know 1000 classes, .* {len(classes)}$"
    with pytest.raises(ModelError, match=words):
        classifier("resnet18:DEFAULT", classes)


@pytest.mark.parametrize(
    "error",
    [OSError("the disk is full"), URLError("no route"), ConnectionError("no line"), TimeoutError()],
)
def test_a_download_that_fails_says_where_from_and_what_else_can_be_done(
    error: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> nn.Module:
        raise error

    monkeypatch.setattr(models, "get_model", fail)
    with pytest.raises(ModelError) as found:
        classifier("resnet18:IMAGENET1K_V1", THOUSAND)
    message = str(found.value)
    url = models.get_model_weights("resnet18").IMAGENET1K_V1.url
    for part in ("torchvision/resnet18", url, str(error), "torchvision/resnet18:FILE"):
        assert part in message
    assert found.value.__cause__ is error


def test_a_file_of_the_name_of_published_weights_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = other_weights()
    torch.save(weights, tmp_path / "DEFAULT")
    monkeypatch.chdir(tmp_path)
    assert same(classifier(f"{SMALL}:DEFAULT").net, weights)


def test_published_weights_for_other_classifiers_than_of_imagenet_are_refused() -> None:
    # vgg16's IMAGENET1K_FEATURES has no classes and a classifier of NaN.
    with pytest.raises(ModelError, match="classes"):
        classifier("vgg16:IMAGENET1K_FEATURES", THOUSAND)


def test_a_file_of_published_weights_answers_as_the_published_net(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = other_weights("googlenet", 1000)
    for weight in weights.values():
        if weight.dim() > 1:  # so that something of the image reaches the end
            weight.normal_(0, (2 / weight[0].numel()) ** 0.5)
    # Known by its name.
    file = tmp_path / Path(models.get_model_weights("googlenet").DEFAULT.url).name
    torch.save(weights, file)
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_, **__: weights)
    by_name = classifier("googlenet:DEFAULT", THOUSAND)
    by_file = classifier(f"googlenet:{file}", THOUSAND)
    picture = noise(1, 3, 224, 224)
    expected = by_name.score_map(picture)
    difference = by_file.score_map(picture) - expected
    assert difference.abs().max() < 1e-3 * expected.std()


# ---- nets of global pooling ----


@pytest.fixture(scope="module")
def resnet() -> TorchvisionClassifier:
    return classifier("resnet18")


@pytest.mark.parametrize("size", [(224, 224), (224, 301), (257, 224), (64, 64)])
def test_global_pooling_answers_once_for_a_picture_of_any_size(
    size: tuple[int, int], resnet: TorchvisionClassifier
) -> None:
    pictures = noise(2, 3, *size)
    with torch.no_grad():
        expected = resnet.net(theirs(pictures))
    found = resnet.score_map(pictures)
    assert found.shape == (2, 3, 1, 1)
    assert found.dtype == torch.float32
    assert torch.allclose(found[:, :, 0, 0], expected, atol=1e-5)
    assert resnet.any_size
    assert "global average pooling" in resnet.density


def test_the_picture_is_not_changed(resnet: TorchvisionClassifier) -> None:
    pictures = noise(1, 3, 64, 64)
    before = pictures.clone()
    resnet.score_map(pictures)
    assert pictures.equal(before)


def test_googlenet_answers_without_its_auxiliary_classifiers() -> None:
    found = classifier("googlenet")
    assert found.net.aux1 is None
    assert found.score_map(noise(1, 3, 224, 224)).shape == (1, 3, 1, 1)
    assert found.any_size


def test_a_scale_below_the_crops_is_refused(resnet: TorchvisionClassifier) -> None:
    resnet.check_scale(224)
    with pytest.raises(InputError, match=r"at least 224, the size that resnet18 .* got 223"):
        resnet.check_scale(223)


# ---- nets with fully connected layers ----


@pytest.fixture(scope="module")
def vgg() -> TorchvisionClassifier:
    return classifier("vgg11")  # 129 M weights


def test_vgg_on_a_crop_is_torchvisions_forward(vgg: TorchvisionClassifier) -> None:
    pictures = noise(2, 3, 224, 224)
    with torch.no_grad():
        expected = vgg.net(theirs(pictures))
    found = vgg.score_map(pictures)
    assert found.shape == (2, 3, 1, 1)
    assert torch.allclose(found[:, :, 0, 0], expected, rtol=1e-4, atol=1e-5)
    assert expected.std(1).min() > 100 * 1e-5  # or that would say nothing
    assert vgg.any_size
    assert "every position of the last map" in vgg.density


def test_vgg_on_a_larger_picture_is_its_classifier_at_every_window_of_its_map(
    vgg: TorchvisionClassifier,
) -> None:
    picture = noise(1, 3, 260, 300)
    found = vgg.score_map(picture)
    with torch.no_grad():
        features = vgg.net.features(theirs(picture))
        assert features.shape[2:] == (8, 9)  # 260 // 32, 300 // 32
        assert found.shape == (1, 3, 2, 3)
        for row in range(2):
            for column in range(3):
                window = features[:, :, row : row + 7, column : column + 7]
                expected = vgg.net.classifier(window.flatten(1))
                assert torch.allclose(found[:, :, row, column], expected, rtol=1e-4, atol=1e-5)
        # Which is not what torchvision's forward makes of it: that squeezes the map to 7x7.
        squeezed = vgg.net(theirs(picture))
    assert (found.mean((2, 3)) - squeezed).abs().max() > 1e-4


def test_alexnet_answers_densely_too() -> None:
    net = classifier("alexnet")
    crop, wide = noise(1, 3, 224, 224), noise(1, 3, 224, 260)
    with torch.no_grad():
        assert torch.allclose(net.score_map(crop)[:, :, 0, 0], net.net(theirs(crop)), atol=1e-5)
        features = net.net.features(theirs(wide))
        expected = [
            net.net.classifier(features[:, :, :, left : left + 6].flatten(1))
            for left in range(features.shape[3] - 5)
        ]
    found = net.score_map(wide)
    assert found.shape == (1, 3, 1, 2)
    assert torch.allclose(found[:, :, 0], torch.stack(expected, 2), atol=1e-5)


# ---- nets of one size ----


def of_one_size(name: str) -> TorchvisionClassifier:
    third = (0.5, 0.5, 0.5)
    how = Evaluation(224, 256, third, third, "bilinear")
    return TorchvisionClassifier(name, nn.Identity(), ABC, how, "random")


@pytest.mark.parametrize("name", ["vit_b_16", "vit_l_32", "maxvit_t"])
@pytest.mark.parametrize("protocol", ["dense", "both"])
def test_nets_of_one_size_are_not_tested_densely(name: str, protocol: str, tmp_path: Path) -> None:
    net = of_one_size(name)
    assert not net.any_size
    assert net.density.startswith("not at all")
    folder = write_class_folders(tmp_path, 1, names=["red"]) / "red"
    samples = [Sample(path, 0) for path in folder.iterdir()]
    with pytest.raises(InputError, match=f"net {name} takes images of 224 pixels only; .*center"):
        evaluate_samples([net], samples, TestProtocol(protocol, (256,), flip=True))


def test_the_size_of_a_net_of_one_size_is_that_which_it_is_made_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Built without memory: it has 632 M weights.
    with torch.device("meta"):
        made = models.get_model("vit_h_14", weights=None, num_classes=3)
    light = nn.Identity()
    light.image_size = made.image_size
    monkeypatch.setattr("verydeep.models.torchvision._make", lambda *_: light)
    assert classifier("vit_h_14").input_size == made.image_size
