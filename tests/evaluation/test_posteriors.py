"""Averages over positions, views, scales and nets, against one view at a time through the net."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.by_hand import (
    LARGE,
    PROTOCOLS,
    A,
    B,
    K,
    Which,
    answer,
    by_hand,
    classifier,
    mixed,
    mixture,
    noise,
    rescaled,
    soft_max,
)
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.errors import ModelError
from verydeep.evaluation import view_batching as waiting_views
from verydeep.evaluation.posteriors import ViewGroup, mix_posteriors
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.views import Center, Dense, TenCrop
from verydeep.models.classifier import Classifier


@pytest.fixture
def images() -> list[Image.Image]:
    return list(noise())


@pytest.mark.parametrize("average", ["paper", "scores", "posteriors"])
def test_scores_that_are_no_numbers_are_refused(average: str, images: list[Image.Image]) -> None:
    net = copy.deepcopy(classifier(*A))
    net.net.classifier.fc8.bias.data[1] = torch.nan
    with pytest.raises(ModelError, match="not finite numbers"):
        mixed([net], images, TestProtocol("center", (40,), flip=False, average=average))


@pytest.mark.parametrize("average", ["paper", "scores", "posteriors"])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    ("nets", "scales"),
    [([A], (40,)), ([A, B], (33, 50)), ([A, LARGE], (64, 96))],
    ids=["one net", "two nets", "two input sizes"],
)
@pytest.mark.parametrize("name", PROTOCOLS)
def test_averages_are_those_by_hand(
    name: str,
    nets: list[Which],
    scales: tuple[int, ...],
    flip: bool,
    average: str,
    images: list[Image.Image],
) -> None:
    kind, grid = PROTOCOLS[name]
    protocol = TestProtocol(kind, scales, flip=flip, grid=grid, average=average)
    ours = mixed([classifier(*which) for which in nets], images, protocol)
    theirs = by_hand(nets, protocol)
    assert theirs.std(0).min() > 2e-3  # the images do differ to the nets
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5)


def test_the_averages_differ(images: list[Image.Image]) -> None:
    answers = [
        mixed([classifier(*A)], images, TestProtocol("both", (50, 64), average=average, flip=True))
        for average in ("paper", "scores", "posteriors")
    ]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(answers[one] - answers[other]).max() > 1e-3


@pytest.mark.parametrize("average", ["paper", "scores", "posteriors"])
@torch.no_grad()
def test_dense_is_the_mean_over_windows_of_the_last_map(
    average: str, images: list[Image.Image]
) -> None:
    """The fully connected layers at every place where their 2x2 window fits, one by one."""
    model = classifier(*LARGE)
    dense = mixed([model], images, TestProtocol("dense", (150,), flip=False, average=average))
    mean_rgb, divisor = model.preprocessing.mean, model.preprocessing.divisor
    for number, likely in enumerate(dense):
        pixels = np.asarray(rescaled(number, 150), np.float32)
        x = torch.from_numpy((pixels - np.float32(mean_rgb)) / np.float32(divisor))
        last = model.net.features(x.permute(2, 0, 1)[None])
        height, width = last.shape[2:]
        scores = np.zeros((K, height - 1, width - 1))
        for y in range(height - 1):
            for x in range(width - 1):
                window = last[:, :, y : y + 2, x : x + 2]
                scores[:, y, x] = model.net.classifier(window.reshape(1, -1))[0].numpy()
        assert scores[0].size >= 9
        theirs = answer(scores, average)
        theirs = soft_max(theirs) if average == "scores" else theirs
        np.testing.assert_allclose(likely, theirs, rtol=0, atol=2e-5)


def test_dense_equals_center_on_pictures_of_exactly_input_size() -> None:
    generator = np.random.default_rng(1)
    squares = [Image.fromarray(generator.integers(0, 256, (32, 32, 3), np.uint8)) for _ in range(5)]
    dense, center = (
        mixed([classifier(*A)], squares, TestProtocol(name, (32,), flip=True))
        for name in ("dense", "center")
    )
    assert np.allclose(dense, center, rtol=0, atol=1e-6)


def test_one_central_crop_is_a_grid_of_one(images: list[Image.Image]) -> None:
    grid, center = (
        mixed([classifier(*A)], images, TestProtocol(name, (50,), grid=(1, 1), flip=True))
        for name in ("crops", "center")
    )
    assert np.array_equal(grid, center)


def test_order_and_company_do_not_matter(images: list[Image.Image]) -> None:
    models, protocol = [classifier(*A)], TestProtocol("both", (40, 56), grid=(2, 2), flip=True)
    together = mixed(models, images, protocol)
    order = np.random.default_rng(2).permutation(len(images))
    shuffled = mixed(models, [images[i] for i in order], protocol)
    alone = np.concatenate([mixed(models, [image], protocol) for image in images])
    assert np.allclose(shuffled, together[order], rtol=0, atol=1e-6)
    assert np.allclose(alone, together, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("at_once", "waiting", "block"),
    [(1, 1, 1), (5000, 10**9, 256), (10**9, 1, 256), (10**9, 10**5, 4), (10**9, 10**9, 3)],
)
def test_the_size_of_batches_and_blocks_does_not_matter(
    at_once: int,
    waiting: int,
    block: int,
    images: list[Image.Image],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models, protocol = [classifier(*A)], TestProtocol("both", (40, 56), grid=(2, 2), flip=True)
    many = 2 * images
    together = mixed(models, many, protocol)
    monkeypatch.setattr(Classifier, "pixels_at_once", at_once)
    monkeypatch.setattr(waiting_views, "PENDING_BYTES", waiting)
    parts = mixed(models, many, protocol, block=block)
    assert np.allclose(parts, together, rtol=0, atol=1e-6)


def test_a_block_gives_the_same_numbers_to_the_last_digit_wherever_it_is_computed(
    images: list[Image.Image],
) -> None:
    models, protocol = [classifier(*A)], TestProtocol("both", (40, 56), grid=(2, 2), flip=True)
    together = mixed(models, images, protocol, block=2)
    apart = [mixed(models, images[i : i + 2], protocol, block=2) for i in range(0, len(images), 2)]
    assert np.array_equal(together, np.concatenate(apart))


def test_several_mixtures_at_once_are_each_alone(images: list[Image.Image]) -> None:
    models = [classifier(*A), classifier(*B)]
    single = [
        mixture(2, TestProtocol("both", (40, 56), grid=(2, 3), flip=True)),
        mixture(1, TestProtocol("dense", (56,), flip=True)),
        mixture(2, TestProtocol("crops", (40,), grid=(2, 3), flip=False)),
        {
            ViewGroup(1, 40, Center()): 0.7,
            ViewGroup(0, 56, TenCrop()): 0.2,
            ViewGroup(0, 40, Dense()): 0.1,
        },
        mixture(1, TestProtocol("googlenet", (56,), flip=True)),
    ]
    together = mix_posteriors(models, K, TestPictures(images, (40, 56)), single)
    assert together.shape == (5, len(images), K)
    for weights, likely in zip(single, together, strict=True):
        (alone,) = mix_posteriors(models, K, TestPictures(images, (40, 56)), [weights])
        assert np.allclose(likely, alone, rtol=0, atol=1e-6)


def test_the_weights_of_a_mixture_are_its_shares(images: list[Image.Image]) -> None:
    models = [classifier(*A), classifier(*B)]
    shares = {
        ViewGroup(1, 40, Center()): 0.7,
        ViewGroup(0, 56, TenCrop()): 0.2,
        ViewGroup(0, 40, Dense()): 0.1,
    }
    (ours,) = mix_posteriors(models, K, TestPictures(images, (40, 56)), [shares])
    theirs = (
        0.7 * by_hand([B], TestProtocol("center", (40,), flip=True))
        + 0.2 * by_hand([A], TestProtocol("ten-crop", (56,), flip=True))
        + 0.1 * by_hand([A], TestProtocol("dense", (40,), flip=True))
    )
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5)


@pytest.mark.parametrize("average", ["paper", "scores", "posteriors"])
def test_rows_sum_to_one_and_those_of_unreadable_files_to_zero(
    average: str, images: list[Image.Image], tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    images[0].save(tmp_path / "good.png")
    files = [tmp_path / "broken.png", tmp_path / "good.png", tmp_path / "broken.png"]
    pictures = TestPictures(files, (40, 56))
    protocol = TestProtocol("dense", (40, 56), average=average, flip=True)
    tests = [
        mixture(1, protocol),
        mixture(1, TestProtocol("crops", (40,), average=average, flip=True)),
    ]
    likely = mix_posteriors([classifier(*A)], K, pictures, tests, average=average)
    assert likely.sum(2).tolist() == [pytest.approx([0, 1, 0])] * 2
    assert not likely[:, [0, 2]].any()
    assert sorted(pictures.unreadable) == [0, 2]
    alone = mixed([classifier(*A)], images[:1], protocol)
    assert np.allclose(likely[0, 1:2], alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("average", ["paper", "scores", "posteriors"])
def test_files_that_are_all_broken_give_zeros(average: str, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"")
    protocol = TestProtocol("dense", (40,), average=average, flip=True)
    assert not mixed([classifier(*A)], [tmp_path / "broken.png"], protocol).any()


def test_no_pictures_give_no_rows() -> None:
    assert mixed([classifier(*A)], [], TestProtocol("dense", (40,), flip=True)).shape == (0, K)
