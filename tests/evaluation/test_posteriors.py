"""Averages over positions, views, scales and nets, against one view at a time through the net.

The reference finds the views with geometry of its own, rescales with Pillow, calls the net itself,
applies the softmax by its formula, and adds up in loops and float64, every view as often as it
occurs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from verydeep.data.geometry import View, Window
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.evaluation import view_batching as waiting_views
from verydeep.evaluation.posteriors import ViewGroup, mix_posteriors
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.view_batching import show
from verydeep.evaluation.views import Center, Dense, GoogLeNetCrops, Grid, TenCrop
from verydeep.models.classifier import Classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.vgg import vgg
from verydeep.system.device import choose_machine

SIZES = ((41, 60), (90, 70), (44, 44), (64, 64), (40, 48), (20, 30))
K = 4

PROTOCOLS = {
    "center": ("center", (5, 5)),
    "dense": ("dense", (5, 5)),
    "crops 5x5": ("crops", (5, 5)),
    "crops 2x3": ("crops", (2, 3)),
    "both 5x5": ("both", (5, 5)),
    "both 1x2": ("both", (1, 2)),
    "ten-crop": ("ten-crop", (5, 5)),
    "googlenet": ("googlenet", (5, 5)),
}


@cache
def classifier(seed: int, name: str = "A", input_size: int = 32) -> Classifier:
    torch.manual_seed(seed)
    net = vgg(name, K, input_size=input_size, width=0.125, hidden=64, batch_norm=True)
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


Which = tuple[int, str, int]
"""Arguments of :func:`classifier`."""

A, B, LARGE = (1, "A", 32), (2, "B", 32), (3, "A", 64)


@cache
def noise() -> tuple[Image.Image, ...]:
    """Return noise in a colour of its own on each."""
    generator = np.random.default_rng(0)
    pixels = (
        generator.normal(generator.integers(0, 256, 3), 60, (height, width, 3)).clip(0, 255)
        for height, width in SIZES
    )
    return tuple(Image.fromarray(picture.astype(np.uint8)) for picture in pixels)


@pytest.fixture
def images() -> list[Image.Image]:
    return list(noise())


# ---- the reference ----


@cache
def rescaled(number: int, scale: int) -> Image.Image:
    """Return an image of :func:`noise` with its smallest side at a scale."""
    image = noise()[number]
    short = min(image.size)
    size = [max(scale, round(side * scale / short)) for side in image.size]
    return image.resize(size, Image.Resampling.BILINEAR)


def places(room: int, count: int) -> list[int]:
    """Return where crops stand on a line: evenly, halves up and left."""
    if count == 1:
        return [room // 2]
    return [math.ceil(Fraction(i * room, count - 1) - Fraction(1, 2)) for i in range(count)]


def boxes(kind: str, width: int, height: int, side: int, grid: tuple[int, int]) -> Iterator[tuple]:
    """Yield the views of an image as Pillow's boxes, with the size that each is shown at."""

    def crop(left: int, top: int) -> tuple:
        return (left, top, left + side, top + side), (side, side)

    def corners_and_centre(left: int, top: int, square: int) -> Iterator[tuple]:
        far = square - side
        yield crop(left, top)
        yield crop(left + far, top)
        yield crop(left, top + far)
        yield crop(left + far, top + far)
        yield crop(left + far // 2, top + far // 2)

    short, room = min(width, height), max(width, height) - min(width, height)
    if kind == "dense":
        yield (0, 0, width, height), (width, height)
    elif kind == "center":
        yield crop((width - side) // 2, (height - side) // 2)
    elif kind == "crops":
        for top in places(height - side, grid[0]):
            for left in places(width - side, grid[1]):
                yield crop(left, top)
    elif kind == "ten-crop":
        left, top = (room // 2, 0) if width > height else (0, room // 2)
        yield from corners_and_centre(left, top, short)
    else:
        for place in places(room, 3):
            left, top = (place, 0) if width > height else (0, place)
            yield from corners_and_centre(left, top, short)
            yield (left, top, left + short, top + short), (side, side)


@cache
@torch.no_grad()
def scores_of_view(
    which: Which, number: int, scale: int, box: tuple, size: tuple, flip: bool
) -> np.ndarray:
    """Return what a net answers to a single view, float64 (K, h, w)."""
    model = classifier(*which)
    view = rescaled(number, scale).crop(box)
    if view.size != size:
        view = view.resize(size, Image.Resampling.BILINEAR)
    if flip:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    net, mean, divisor = model.net, model.preprocessing.mean, model.preprocessing.divisor
    x = (np.asarray(view, np.float32) - np.float32(mean)) / np.float32(divisor)
    answer = net.score_map(torch.from_numpy(x).permute(2, 0, 1)[None])[0].double().numpy()
    assert answer.shape[1:] == tuple((n - model.input_size) // 32 + 1 for n in reversed(size))
    return answer


def soft_max(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(0))
    return powers / powers.sum(0)


def mean(values: Sequence[np.ndarray]) -> np.ndarray:
    total = np.zeros(K)
    for value in values:
        total += value
    return total / len(values)


def answer(scores: np.ndarray, average: str) -> np.ndarray:
    """Return what is averaged over views, from a map of scores (K, h, w)."""
    positions = [scores[:, y, x] for y in range(scores.shape[1]) for x in range(scores.shape[2])]
    if average == "posteriors":
        return mean([soft_max(position) for position in positions])
    return mean(positions) if average == "scores" else soft_max(mean(positions))


def by_hand(nets: list[Which], protocol: TestProtocol) -> np.ndarray:
    """Return the posteriors of all images of :func:`noise`."""
    kinds = ("dense", "crops") if protocol.name == "both" else (protocol.name,)
    rows = []
    for number in range(len(SIZES)):
        answers = []
        for which in nets:
            for scale in protocol.scales:
                for kind in kinds:
                    size = rescaled(number, scale).size
                    views = []
                    for box, shown in boxes(kind, *size, which[2], protocol.grid):
                        for flip in (False, True) if protocol.flip else (False,):
                            scores = scores_of_view(which, number, scale, box, shown, flip)
                            views.append(answer(scores, protocol.average))
                    answers.append(mean(views))
        rows.append(mean(answers))
    return soft_max(np.array(rows).T).T if protocol.average == "scores" else np.array(rows)


def mixture(nets: int, protocol: TestProtocol) -> dict[ViewGroup, float]:
    parts = [
        ViewGroup(net, scale, kind)
        for net in range(nets)
        for scale in protocol.scales
        for kind in protocol.kinds
    ]
    return dict.fromkeys(parts, 1 / len(parts))


def mixed(models: Sequence, images: Sequence, protocol: TestProtocol, **options: object) -> Tensor:
    pictures = TestPictures(images, protocol.scales)
    weights = mixture(len(models), protocol)
    (likely,) = mix_posteriors(models, K, pictures, [weights], average=protocol.average, **options)
    return likely


# ---- every protocol ----


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
    assert ours.dtype == torch.float32
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=2e-5)


def test_the_averages_differ(images: list[Image.Image]) -> None:
    answers = [
        mixed([classifier(*A)], images, TestProtocol("both", (50, 64), average=average, flip=True))
        for average in ("paper", "scores", "posteriors")
    ]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (answers[one] - answers[other]).abs().max() > 1e-3


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
        np.testing.assert_allclose(likely.numpy(), theirs, rtol=0, atol=2e-5)


def test_dense_equals_center_on_pictures_of_exactly_input_size() -> None:
    generator = np.random.default_rng(1)
    squares = [Image.fromarray(generator.integers(0, 256, (32, 32, 3), np.uint8)) for _ in range(5)]
    dense, center = (
        mixed([classifier(*A)], squares, TestProtocol(name, (32,), flip=True))
        for name in ("dense", "center")
    )
    assert torch.allclose(dense, center, rtol=0, atol=1e-6)


def test_one_central_crop_is_a_grid_of_one(images: list[Image.Image]) -> None:
    grid, center = (
        mixed([classifier(*A)], images, TestProtocol(name, (50,), grid=(1, 1), flip=True))
        for name in ("crops", "center")
    )
    assert torch.equal(grid, center)


# ---- what must not matter ----


def test_order_and_company_do_not_matter(images: list[Image.Image]) -> None:
    models, protocol = [classifier(*A)], TestProtocol("both", (40, 56), grid=(2, 2), flip=True)
    together = mixed(models, images, protocol)
    order = np.random.default_rng(2).permutation(len(images))
    shuffled = mixed(models, [images[i] for i in order], protocol)
    alone = torch.cat([mixed(models, [image], protocol) for image in images])
    assert torch.allclose(shuffled, together[order], rtol=0, atol=1e-6)
    assert torch.allclose(alone, together, rtol=0, atol=1e-6)


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
    assert torch.allclose(parts, together, rtol=0, atol=1e-6)


def test_a_block_gives_the_same_numbers_to_the_last_digit_wherever_it_is_computed(
    images: list[Image.Image],
) -> None:
    models, protocol = [classifier(*A)], TestProtocol("both", (40, 56), grid=(2, 2), flip=True)
    together = mixed(models, images, protocol, block=2)
    apart = [mixed(models, images[i : i + 2], protocol, block=2) for i in range(0, len(images), 2)]
    assert torch.equal(together, torch.cat(apart))


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
        assert torch.allclose(likely, alone, rtol=0, atol=1e-6)


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
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=2e-5)


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
    assert torch.allclose(likely[0, 1:2], alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("average", ["paper", "scores", "posteriors"])
def test_files_that_are_all_broken_give_zeros(average: str, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"")
    protocol = TestProtocol("dense", (40,), average=average, flip=True)
    assert not mixed([classifier(*A)], [tmp_path / "broken.png"], protocol).any()


def test_no_pictures_give_no_rows() -> None:
    assert mixed([classifier(*A)], [], TestProtocol("dense", (40,), flip=True)).shape == (0, K)


# ---- any net, and what it is shown ----


class Shades:
    """No VGG: its score of a colour is that colour's mean, in each 8x8 square of an image."""

    def __init__(self, pixels_at_once: int = 2**30) -> None:
        self.input_size = 8
        self.pixels_at_once = pixels_at_once
        self.batches: list[Tensor] = []

    def score_map(self, pictures: Tensor) -> Tensor:
        assert pictures.dtype == torch.uint8
        self.batches.append(pictures.clone())
        return torch.nn.functional.avg_pool2d(pictures.float(), 8) / 100

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
) -> Tensor:
    pictures = TestPictures(images, tuple({part.scale for part in parts}))
    weights = dict.fromkeys(parts, 1 / len(parts))
    (likely,) = mix_posteriors([net], 3, pictures, [weights], **how)
    return likely


def test_a_net_that_is_no_vgg_works() -> None:
    images = plain(3, 16, 24)
    likely = shades_mixed(Shades(), images, ViewGroup(0, 16, Dense()))
    for row, image in zip(likely, images, strict=True):
        colour = np.asarray(image, np.float64).mean((0, 1)) / 100
        np.testing.assert_allclose(row.numpy(), soft_max(colour), rtol=0, atol=1e-6)


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
        np.testing.assert_allclose(row.numpy(), theirs, rtol=0, atol=1e-6)


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
    assert torch.allclose(likely[2], (likely[0] + likely[1]) / 2, rtol=0, atol=1e-6)


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
    assert torch.equal(likely, patient)


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


# ---- a view of pixels ----


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
