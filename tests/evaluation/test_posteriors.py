"""Averages over positions, views, scales and nets, against one picture at a time through the net.

The reference rescales with Pillow, calls the net itself, applies the soft-max by its formula and
adds up in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from verydeep.classifier import Classifier, Preprocessing
from verydeep.data import testing
from verydeep.data.testing import TestPictures
from verydeep.evaluation.protocol import Protocol, make_protocol
from verydeep.evaluation.views import views
from verydeep.nets.vgg import vgg
from verydeep.posteriors import average_posteriors, whole
from verydeep.runtime import choose_machine

SIZES = ((40, 48), (48, 40), (44, 44), (41, 60), (33, 90), (64, 64), (40, 48), (120, 100), (20, 30))
K = 4


def classifier(seed: int, name: str = "A", input_size: int = 32) -> Classifier:
    torch.manual_seed(seed)
    net = vgg(name, K, input_size=input_size, width=0.125, hidden=64, norm="batch")
    for module in net.modules():  # as after training: statistics and answers that differ
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    torch.nn.init.normal_(net.classifier.fc8.weight, 0, 2)
    return Classifier(
        net=net.eval(),
        classes=tuple("abcd"),
        preprocessing=Preprocessing((120.0 + seed, 110.0, 100.0), 50.0),
        train_scale=(40, 40),
        test_scales=(40,),
        machine=choose_machine("cpu", "fp32"),
    )


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    """Return noise in a colour of its own on each."""
    generator = np.random.default_rng(0)
    pixels = (
        generator.normal(generator.integers(0, 256, 3), 60, (height, width, 3)).clip(0, 255)
        for height, width in SIZES
    )
    return [Image.fromarray(picture.astype(np.uint8)) for picture in pixels]


@torch.no_grad()
def posterior(model: Classifier, pixels: np.ndarray) -> np.ndarray:
    """Return the net's answer to one picture (H, W, 3), a mean over positions."""
    mean, divisor = model.preprocessing.mean, model.preprocessing.divisor
    x = torch.from_numpy((pixels.astype(np.float32) - np.float32(mean)) / np.float32(divisor))
    side, step = model.input_size, 32
    height, width = pixels.shape[:2]
    scores = model.net.score_map(x.permute(2, 0, 1)[None])[0].double().numpy()
    assert scores.shape[1:] == ((height - side) // step + 1, (width - side) // step + 1)
    score = scores.mean((1, 2))
    likely = np.exp(score - score.max())
    return likely / likely.sum()


def rescaled(image: Image.Image, scale: int) -> np.ndarray:
    short = min(image.size)
    size = [max(scale, round(side * scale / short)) for side in image.size]
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR))


def shown(pixels: np.ndarray, protocol: Protocol, side: int) -> Iterator[np.ndarray]:
    if protocol.name == "center":
        top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
        pixels = pixels[top : top + side, left : left + side]
    yield pixels
    if protocol.flip:
        yield pixels[:, ::-1]


def by_hand(models: list[Classifier], images: list[Image.Image], protocol: Protocol) -> np.ndarray:
    rows = []
    for image in images:
        answers = [
            posterior(model, view)
            for model in models
            for scale in protocol.scales
            for view in shown(rescaled(image, scale), protocol, model.input_size)
        ]
        rows.append(np.mean(answers, axis=0))
    return np.array(rows)


def averaged(models: list[Classifier], images: list, protocol: Protocol) -> Tensor:
    pictures = TestPictures(images, protocol.scales)
    return average_posteriors(models, K, pictures, partial(views, protocol=protocol))


@pytest.mark.parametrize("name", ["center", "dense"])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scales", [(40,), (32, 50, 96)])
@pytest.mark.parametrize("count", [1, 2])
def test_averages_are_those_by_hand(
    name: str, flip: bool, scales: tuple[int, ...], count: int, images: list[Image.Image]
) -> None:
    models = [classifier(1), classifier(2, "B")][:count]
    protocol = make_protocol(name, scales, flip=flip)
    ours = averaged(models, images, protocol)
    theirs = by_hand(models, images, protocol)
    assert theirs.std(0).min() > 2e-3  # the pictures do differ to the nets
    assert ours.dtype == torch.float32
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=2e-5)


def test_nets_of_different_input_size_are_fused(images: list[Image.Image]) -> None:
    models = [classifier(1), classifier(2, "A", input_size=64)]
    protocol = make_protocol("center", (64,))
    ours = averaged(models, images[:4], protocol)
    np.testing.assert_allclose(ours, by_hand(models, images[:4], protocol), rtol=0, atol=2e-5)


def test_dense_equals_center_on_pictures_of_exactly_input_size() -> None:
    generator = np.random.default_rng(1)
    squares = [Image.fromarray(generator.integers(0, 256, (32, 32, 3), np.uint8)) for _ in range(5)]
    model = classifier(1)
    dense = averaged([model], squares, make_protocol("dense", (32,)))
    center = averaged([model], squares, make_protocol("center", (32,)))
    assert torch.allclose(dense, center, rtol=0, atol=1e-6)


def test_whole_pictures_are_what_the_dense_protocol_shows(images: list[Image.Image]) -> None:
    model = classifier(1)
    pictures = TestPictures(images, (40,))
    dense = averaged([model], images, make_protocol("dense", (40,)))
    assert torch.equal(average_posteriors([model], K, pictures), dense)
    batch = torch.zeros(1, 3, 40, 40)
    assert len(list(whole(batch, 32))) == 2


def test_order_and_company_do_not_matter(images: list[Image.Image]) -> None:
    model, protocol = classifier(1), make_protocol("dense", (40, 56))
    together = averaged([model], images, protocol)
    order = np.random.default_rng(2).permutation(len(images))
    shuffled = averaged([model], [images[i] for i in order], protocol)
    alone = torch.cat([averaged([model], [image], protocol) for image in images])
    assert torch.allclose(shuffled, together[order], rtol=0, atol=1e-6)
    assert torch.allclose(alone, together, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("at_once", "waiting"), [(1, 1), (3840, 10**9), (5760, 10**4), (10**9, 1), (10**9, 10**4)]
)
def test_the_size_of_batches_does_not_matter(
    at_once: int, waiting: int, images: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, protocol = classifier(1), make_protocol("dense", (40, 56))
    many = 3 * images
    together = averaged([model], many, protocol)
    monkeypatch.setattr(testing, "BATCH_PIXELS", at_once)
    monkeypatch.setattr(testing, "PENDING_PIXELS", waiting)
    assert torch.allclose(averaged([model], many, protocol), together, rtol=0, atol=1e-6)


def test_rows_sum_to_one_and_those_of_unreadable_files_to_zero(
    images: list[Image.Image], tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    images[0].save(tmp_path / "good.png")
    files = [tmp_path / "broken.png", tmp_path / "good.png", tmp_path / "broken.png"]
    pictures = TestPictures(files, (40, 56))
    likely = average_posteriors([classifier(1)], K, pictures)
    assert likely.sum(1).tolist() == pytest.approx([0, 1, 0])
    assert sorted(pictures.unreadable) == [0, 2]
    protocol = make_protocol("dense", (40, 56))
    assert torch.equal(likely[1:2], averaged([classifier(1)], images[:1], protocol))


class Count:
    def __init__(self) -> None:
        self.seen: list[float] = []

    def update(self, done: float, note: str = "") -> None:
        self.seen.append(done)


def test_the_task_is_told_how_many_are_done(images: list[Image.Image]) -> None:
    task = Count()
    average_posteriors([classifier(1)], K, TestPictures(images, (40, 56)), task=task)
    assert task.seen == sorted(task.seen)
    assert task.seen[-1] == len(images)
