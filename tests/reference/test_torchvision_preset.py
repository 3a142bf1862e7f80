"""Preset torchvision against torchvision's own transforms and forward, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.models import get_model_weights

from verydeep.data.samples import Sample
from verydeep.evaluation.evaluate import evaluate_samples
from verydeep.evaluation.protocol import TestProtocol
from verydeep.models.torchvision import TorchvisionClassifier, torchvision_classifier
from verydeep.system.settings import Compute

SIZES = (
    *((256, 256), (300, 451), (451, 300), (257, 259), (375, 500), (500, 333)),
    *((261, 1501), (1203, 283), (97, 131), (33, 20), (640, 427)),
)
"""Landscape, portrait, panorama, odd and even, larger and smaller than the scale."""


@pytest.fixture(scope="module")
def net() -> TorchvisionClassifier:
    classes = tuple(f"class {number}" for number in range(10))
    return torchvision_classifier(
        "torchvision/resnet18", classes, compute=Compute(device="cpu", precision="fp32")
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, generator = tmp_path_factory.mktemp("preset"), np.random.default_rng(5)
    paths = []
    for number, (height, width) in enumerate(SIZES):
        # Coarse blocks and fine noise: a shift by a pixel shows, and so does every resampling.
        blocks = generator.integers(0, 206, (height // 8 + 1, width // 8 + 1, 3))
        pixels = blocks.repeat(8, 0).repeat(8, 1)[:height, :width]
        pixels = pixels + generator.integers(0, 50, (height, width, 3))
        paths.append(folder / f"{number:02}.png")
        Image.fromarray(pixels.astype(np.uint8)).save(paths[-1])
    return paths


def published(net: TorchvisionClassifier, files: Sequence[Path]) -> Tensor:
    """Return the posteriors of torchvision's evaluation as it publishes it."""
    transform = get_model_weights(net.name).IMAGENET1K_V1.transforms()
    likely = []
    for path in files:
        with Image.open(path) as image, torch.no_grad():
            likely.append(net.net(transform(image.convert("RGB"))[None]).softmax(1))
    return torch.cat(likely)


def ours(
    net: TorchvisionClassifier, files: Sequence[Path], preset: str, scale: int = 256
) -> Tensor:
    protocol = TestProtocol("center", (scale,), flip=False, preset=preset)
    result = evaluate_samples([net], [Sample(path, 0) for path in files], protocol, workers=0)
    assert result.images == len(files)
    return torch.from_numpy(result.answers.posteriors)


def test_every_picture_is_tested_as_torchvision_publishes_it(
    net: TorchvisionClassifier, files: list[Path]
) -> None:
    difference = ours(net, files, "torchvision") - published(net, files)
    assert difference.abs().max() < 1e-6


def test_the_papers_preset_rounds_otherwise_on_some_pictures_and_not_on_others(
    net: TorchvisionClassifier, files: list[Path]
) -> None:
    difference = (ours(net, files, "paper") - published(net, files)).abs().amax(1)
    assert difference.max() > 1e-5
    assert difference.min() < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "resnet101",  # as the one above
        "efficientnet_b0",  # bicubic
        "efficientnet_v2_l",  # another mean and deviation; crops of 480
    ],
)
def test_every_net_is_tested_as_torchvision_publishes_it(
    name: str, net: TorchvisionClassifier, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What differs between nets is what they are shown; the weights may be those of any.
    monkeypatch.setattr("verydeep.models.torchvision._make", lambda *_: net.net)
    other = torchvision_classifier(
        f"torchvision/{name}", net.classes, compute=Compute(device="cpu", precision="fp32")
    )
    (size,) = get_model_weights(name).IMAGENET1K_V1.transforms().resize_size
    difference = ours(other, files[:6], "torchvision", size) - published(other, files[:6])
    assert difference.abs().max() < 1e-6


def test_photographs_are_tested_as_torchvision_publishes_it(
    net: TorchvisionClassifier, shared_data: Path
) -> None:
    folder = shared_data / "photos"
    if not folder.is_dir():
        pytest.skip("there is no folder shared/data/photos beside the checkout")
    files = sorted(folder.glob("*.JPEG"))[:6]
    assert len(files) == 6
    difference = ours(net, files, "torchvision") - published(net, files)
    assert difference.abs().max() < 1e-6
