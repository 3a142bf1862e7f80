"""Batches of views: any net, memory, and each view pixel by pixel."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.by_hand import (
    soft_max,
)
from verydeep.data.geometry import View, Window
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.evaluation import view_batching as waiting_views
from verydeep.evaluation.posteriors import ViewGroup, mix_posteriors
from verydeep.evaluation.view_batching import show
from verydeep.evaluation.views import Center, Dense, GoogLeNetCrops, Grid, TenCrop


class Shades:
    """No VGG: its score of a colour is that colour's mean, in each 8x8 square of an image."""

    def __init__(self, pixels_at_once: int = 2**30) -> None:
        self.input_size = 8
        self.pixels_at_once = pixels_at_once
        self.batches: list[np.ndarray] = []

    def score_map(self, pictures: np.ndarray) -> np.ndarray:
        assert pictures.dtype == np.uint8
        self.batches.append(pictures.copy())
        x = torch.from_numpy(pictures).float()
        return torch.nn.functional.avg_pool2d(x, 8).numpy() / 100

    @property
    def shown(self) -> int:
        return sum(len(batch) for batch in self.batches)

    @property
    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.batches]


def plain(count: int, height: int, width: int, seed: int = 0) -> list[Image.Image]:
    generator = np.random.default_rng(seed)
    shape = (count, height, width, 3)
    return [Image.fromarray(pixels) for pixels in generator.integers(0, 256, shape, np.uint8)]


def shades_mixed(
    net: Shades, images: list[Image.Image], *parts: ViewGroup, **how: object
) -> np.ndarray:
    pictures = TestPictures(images, tuple({part.scale for part in parts}))
    weights = dict.fromkeys(parts, 1 / len(parts))
    (likely,) = mix_posteriors([net], 3, pictures, [weights], **how)
    return likely


def test_a_net_that_is_no_vgg_works() -> None:
    images = plain(3, 16, 24)
    likely = shades_mixed(Shades(), images, ViewGroup(0, 16, Dense()))
    for row, image in zip(likely, images, strict=True):
        colour = np.asarray(image, np.float64).mean((0, 1)) / 100
        np.testing.assert_allclose(row, soft_max(colour), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "size", "different", "views"),
    [
        (Grid(5, 5), (8, 8), 2, 50),
        (Grid(5, 5, flip=False), (8, 9), 2, 25),
        (Grid(5, 5, flip=False), (10, 8), 3, 25),
        (Grid(5, 5), (13, 12), 50, 50),
        (TenCrop(), (8, 8), 2, 10),
        (TenCrop(), (9, 9), 8, 10),  # the centre is a corner
        (GoogLeNetCrops(flip=False), (20, 20), 6, 18),
        (GoogLeNetCrops(), (20, 40), 36, 36),
    ],
)
def test_equal_views_are_shown_once_and_weigh_as_often_as_they_occur(
    kind: Grid, size: tuple[int, int], different: int, views: int
) -> None:
    net = Shades()
    images = plain(2, *size)
    likely = shades_mixed(net, images, ViewGroup(0, min(size), kind))
    assert net.shown == 2 * different
    for image, row in zip(images, likely, strict=True):
        pixels = np.asarray(image)
        seen = [show(pixels, view) for view in kind(*size, 8)]
        assert len(seen) == views
        theirs = mean_of_shades(seen)
        np.testing.assert_allclose(row, theirs, rtol=0, atol=1e-6)


def mean_of_shades(views: list[np.ndarray]) -> np.ndarray:
    total = np.zeros(3)
    for view in views:
        total += soft_max(view.astype(np.float64).mean((0, 1)) / 100)
    return total / len(views)


def test_parts_that_tests_share_are_shown_once() -> None:
    net, images = Shades(), plain(3, 16, 24)
    crops, dense = ViewGroup(0, 16, Grid(2, 2)), ViewGroup(0, 16, Dense())
    tests = [{crops: 1.0}, {dense: 1.0}, {crops: 0.5, dense: 0.5}]
    likely = mix_posteriors([net], 3, TestPictures(images, (16,)), tests)
    assert net.shown == 3 * (8 + 2)
    assert np.allclose(likely[2], (likely[0] + likely[1]) / 2, rtol=0, atol=1e-6)


def test_views_of_one_size_go_through_together_from_all_scales_and_pictures() -> None:
    net, images = Shades(), plain(3, 16, 24)
    shades_mixed(net, images, ViewGroup(0, 16, Grid(2, 2)), ViewGroup(0, 24, Center()))
    assert [tuple(batch.shape) for batch in net.batches] == [(3 * (8 + 2), 3, 8, 8)]


def test_a_batch_has_no_more_pixels_than_the_net_wants() -> None:
    net, images = Shades(pixels_at_once=5 * 16 * 24), plain(12, 16, 24)
    shades_mixed(net, images, ViewGroup(0, 16, Dense(flip=False)))
    assert net.sizes == [5, 5, 2]
    # An image that has too many by itself is shown alone.
    net = Shades(pixels_at_once=100)
    shades_mixed(net, images, ViewGroup(0, 16, Dense(flip=False)))
    assert net.sizes == [1] * 12


def test_nothing_waits_beyond_its_block() -> None:
    net, images = Shades(), plain(10, 16, 24)
    shades_mixed(net, images, ViewGroup(0, 16, Dense(flip=False)), block=4)
    assert net.sizes == [4, 4, 2]


def test_views_that_wait_are_shown_before_they_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images, part = plain(11, 16, 24), ViewGroup(0, 16, Dense(flip=False))
    net = Shades()
    patient = shades_mixed(net, images, part)
    assert net.sizes == [11]
    monkeypatch.setattr(waiting_views, "PENDING_BYTES", 3 * 16 * 24 * 3)
    net = Shades()
    likely = shades_mixed(net, images, part)
    assert net.sizes == [4, 4, 3]
    assert np.array_equal(likely, patient)


def test_pictures_of_other_sizes_count_in_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [
        image for pair in zip(plain(4, 16, 16), plain(4, 16, 24), strict=True) for image in pair
    ]
    part = ViewGroup(0, 16, Dense(flip=False))
    net = Shades()
    shades_mixed(net, images, part)
    assert net.sizes == [4, 4]
    # Two of each are too much, one more of the small ones is not.
    monkeypatch.setattr(waiting_views, "PENDING_BYTES", 16 * (16 + 24 + 16) * 3)
    net = Shades()
    shades_mixed(net, images, part)
    assert net.sizes == [2, 2, 2, 2]


def test_a_picture_counts_once_in_what_waits_however_many_its_views(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its views are windows of the same memory."""
    monkeypatch.setattr(waiting_views, "PENDING_BYTES", 3 * 16 * 24 * 3)
    net = Shades()
    shades_mixed(net, plain(3, 16, 24), ViewGroup(0, 16, Grid(2, 2, flip=False)))
    assert net.sizes == [12]


def test_pictures_that_have_been_shown_no_longer_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that fills up makes room for those that still wait."""
    monkeypatch.setattr(waiting_views, "PENDING_BYTES", 4 * 16 * 24 * 3)
    net = Shades(pixels_at_once=3 * 16 * 24)
    shades_mixed(net, plain(12, 16, 24), ViewGroup(0, 16, Dense(flip=False)))
    assert net.sizes == [3, 3, 3, 3]


def test_the_seconds_of_every_part_are_told() -> None:
    parts = [
        ViewGroup(0, 16, Dense()),
        ViewGroup(0, 20, Grid(2, 2)),
        ViewGroup(0, 16, GoogLeNetCrops()),
    ]
    seconds: dict[ViewGroup, float] = {}
    shades_mixed(Shades(), plain(3, 16, 24), *parts, seconds=seconds)
    assert set(seconds) == set(parts)
    assert all(spent > 0 for spent in seconds.values())
    before = dict(seconds)
    shades_mixed(Shades(), plain(3, 16, 24), parts[0], seconds=seconds)  # other images
    assert seconds[parts[0]] > before.pop(parts[0])
    assert before.items() <= seconds.items()


class Count:
    def __init__(self) -> None:
        self.seen: list[float] = []

    def update(self, done: float, note: str = "") -> None:
        self.seen.append(done)


def test_the_task_is_told_how_many_are_done() -> None:
    task = Count()
    shades_mixed(
        Shades(), plain(7, 16, 24), ViewGroup(0, 16, Dense()), ViewGroup(0, 20, Dense()), task=task
    )
    assert all(one <= next_one for one, next_one in pairwise(task.seen))
    assert task.seen[-1] == 7


@pytest.mark.parametrize("flip", [False, True])
def test_a_view_is_the_window_pixel_by_pixel(flip: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 13, 3), np.uint8)
    seen = show(pixels, View(Window(2, 3, 5, 7), flip))
    assert seen.shape == (5, 7, 3)
    for y in range(5):
        for x in range(7):
            there = 3 + (6 - x if flip else x)
            assert seen[y, x].tolist() == pixels[2 + y, there].tolist()
    assert np.shares_memory(seen, pixels)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("side", [4, 8, 12])
def test_a_square_is_resized_as_pillow_does(flip: bool, side: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 13, 3), np.uint8)
    seen = show(pixels, View(Window(1, 5, 8, 8), flip, side))
    square = Image.fromarray(pixels).crop((5, 1, 13, 9)).resize((side, side), 2)
    if flip:
        square = square.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert np.array_equal(seen, np.asarray(square))
