"""Crops: drawn choices against their distributions, cutting against Pillow and torchvision."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as transforms

from verydeep.data.geometry import Window, center_window, rescaled_size
from verydeep.data.images import rescale as rescaling
from verydeep.data.images.rescale import rescale
from verydeep.data.pipeline.augment import (
    Augmentation,
    Crop,
    cut,
    cut_batch,
    draw_crop,
    sample_generator,
)
from verydeep.errors import PictureError

BILINEAR = Image.Resampling.BILINEAR
EVERYTHING = Augmentation(size=30, scale=(32, 48))
DRAWS = 8000
CUDA = pytest.param(
    "cuda",
    marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
)


def draw(
    augmentation: Augmentation = EVERYTHING,
    size: tuple[int, int] = (61, 47),
    seed: int = 0,
    epoch: int = 0,
    index: int = 0,
) -> Crop:
    return draw_crop(augmentation, *size, sample_generator(seed, epoch, index))


def draw_many(augmentation: Augmentation, size: tuple[int, int]) -> list[Crop]:
    return [draw(augmentation, size, index=index) for index in range(DRAWS)]


class Extreme:
    """Stands in for a generator that gives the least or the largest numbers there are."""

    def __init__(self, largest: bool) -> None:
        self.number = 1 - 2**-53 if largest else 0.0

    def random(self, count: int) -> np.ndarray:
        return np.full(count, self.number)

    def standard_normal(self, count: int) -> np.ndarray:
        return np.zeros(count)


@pytest.fixture(scope="module")
def crops() -> list[Crop]:
    return draw_many(EVERYTHING, (61, 47))


def even(counts: Any) -> bool:
    return bool(stats.chisquare(counts).pvalue > 1e-3)


# What is drawn


@given(st.data(), st.integers(1, 300), st.booleans())
def test_a_crop_is_inside_the_picture_whatever_the_numbers(
    data: st.DataObject, size: int, largest: bool
) -> None:
    low = data.draw(st.integers(size, 600))
    high = data.draw(st.integers(low, 700))
    height, width = data.draw(st.tuples(*[st.integers(1, 9000)] * 2))
    augmentation = Augmentation(size, (low, high))
    for generator in (Extreme(largest), sample_generator(0, 0, height)):
        crop = draw_crop(augmentation, height, width, generator)
        assert low <= min(crop.rescaled) <= high
        window = crop.window
        assert (window.height, window.width) == (size, size)
        assert 0 <= window.top <= crop.rescaled[0] - size
        assert 0 <= window.left <= crop.rescaled[1] - size


def test_the_largest_numbers_reach_the_last_scale_and_the_last_place() -> None:
    crop = draw_crop(EVERYTHING, 96, 48, Extreme(largest=True))
    assert crop.rescaled == (96, 48)
    assert crop.window == Window(96 - 30, 48 - 30, 30, 30)


def test_the_scale_is_uniform_over_the_whole_range(crops: list[Crop]) -> None:
    scales = [min(crop.rescaled) for crop in crops]
    counts = np.bincount(scales)[32:]
    assert len(counts) == 17
    assert even(counts)


def test_every_place_is_as_likely_as_any_other() -> None:
    crops = draw_many(Augmentation(30, (36, 36)), (40, 36))
    counts = np.zeros((40 - 30 + 1, 36 - 30 + 1))
    for crop in crops:
        counts[crop.window.top, crop.window.left] += 1
    assert counts.all()
    assert even(counts.ravel())


def test_half_of_the_crops_are_mirrored(crops: list[Crop]) -> None:
    assert stats.binomtest(sum(crop.flip for crop in crops), DRAWS, 0.5).pvalue > 1e-3


def test_the_colour_factors_are_normal_with_the_deviation_asked_for() -> None:
    crops = draw_many(replace(EVERYTHING, colour_shift=0.3), (50, 50))
    for factors in zip(*(crop.shift for crop in crops), strict=True):
        assert stats.kstest(factors, stats.norm(scale=0.3).cdf).pvalue > 1e-3


def test_no_choice_tells_of_another(crops: list[Crop]) -> None:
    choices = [
        (
            min(crop.rescaled),
            (crop.window.top + 0.5) / (crop.rescaled[0] - 29),
            (crop.window.left + 0.5) / (crop.rescaled[1] - 29),
            crop.flip,
            *crop.shift,
        )
        for crop in crops
    ]
    correlation = np.corrcoef(np.array(choices, dtype=float).T) - np.eye(7)
    assert np.abs(correlation).max() < 4 / np.sqrt(DRAWS)


@given(st.integers(0, 2**100), st.integers(0, 10**6), st.integers(0, 2**40))
def test_seed_epoch_and_index_alone_decide(seed: int, epoch: int, index: int) -> None:
    numbers = {
        key: tuple(sample_generator(*key).random(4))
        for key in [
            (seed, epoch, index),
            (seed + 1, epoch, index),
            (seed, epoch + 1, index),
            (seed, epoch, index + 1),
            (seed + 1, epoch + 1, index + 1),
        ]
    }
    assert len(set(numbers.values())) == 5
    for key, found in numbers.items():
        assert tuple(sample_generator(*key).random(4)) == found


def test_the_streams_of_neighbours_share_no_number() -> None:
    """A stream that is its neighbour's, only shifted, would pass for another at its beginning."""
    keys = [(s, e, i) for s in range(3) for e in range(3) for i in range(9)]
    streams = np.array([sample_generator(*key).random(64) for key in keys])
    assert len(np.unique(streams)) == streams.size


def test_the_same_key_draws_the_same_crop_and_no_two_keys_do() -> None:
    keys = [(s, e, i) for s in range(3) for e in range(10) for i in range(40)]
    drawn = [draw(seed=s, epoch=e, index=i) for s, e, i in keys]
    assert drawn == [draw(seed=s, epoch=e, index=i) for s, e, i in keys]
    assert len(set(drawn)) == len(keys)


@pytest.mark.parametrize("index", range(20))
def test_each_switch_changes_its_own_choice_alone(index: int) -> None:
    crop = draw(index=index)
    height, width = crop.rescaled

    def switched(**changes: Any) -> Crop:
        return draw(replace(EVERYTHING, **changes), index=index)

    centred = center_window(height, width, 30)
    assert switched(random_crop=False) == replace(crop, window=centred)
    assert switched(flip=False) == replace(crop, flip=False)
    assert switched(colour_shift=None) == replace(crop, shift=(0.0, 0.0, 0.0))
    # A fixed S is the range of one number: where that is what was drawn anyway, nothing changes.
    assert switched(scale=(min(height, width),) * 2) == crop
    elsewhere = switched(scale=(90, 90))
    assert min(elsewhere.rescaled) == 90
    assert (elsewhere.flip, elsewhere.shift) == (crop.flip, crop.shift)


# How it is cut


def noise(height: int, width: int, seed: int = 0) -> Image.Image:
    generator = np.random.default_rng([seed, height, width])
    return Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


def pictures(kind: str, photographs: list[Image.Image]) -> list[Image.Image]:
    """Images that the scales of :data:`CASES` shrink, enlarge and leave as they are."""
    if kind == "noise":
        return [noise(64, 64), noise(100, 233), noise(301, 97), noise(40, 400)]
    return [
        photographs[0],
        photographs[1].crop((100, 0, 400, 427)),
        photographs[0].crop((300, 200, 397, 264)),
        photographs[1].crop((200, 150, 290, 420)),
    ]


def crops_of(picture: Image.Image, scale: int, size: int) -> list[Crop]:
    augmentation = Augmentation(size, (scale, scale))
    drawn = [
        draw(augmentation, (picture.height, picture.width), seed=scale, index=index)
        for index in range(6)
    ]
    return [replace(crop, flip=index % 2 == 0) for index, crop in enumerate(drawn)]


def values(picture: Image.Image | Tensor) -> np.ndarray:
    """Pixels (H, W, 3), as numbers that can be subtracted."""
    if isinstance(picture, Tensor):
        picture = picture.permute(1, 2, 0).cpu().numpy()
    return np.asarray(picture).astype(int)


def tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture).transpose(2, 0, 1))


def by_pillow(picture: Image.Image, crop: Crop) -> np.ndarray:
    height, width = crop.rescaled
    top, left, size, _ = crop.window
    whole = picture.resize((width, height), BILINEAR)
    part = np.asarray(whole).astype(int)[top : top + size, left : left + size]
    return part[:, ::-1] if crop.flip else part


def by_torchvision(picture: Image.Image, crop: Crop) -> np.ndarray:
    whole = transforms.resize(tensor(picture), list(crop.rescaled), antialias=True)
    part = transforms.crop(whole, *crop.window)
    return values(transforms.horizontal_flip(part) if crop.flip else part)


CASES = [
    # kind, scale S, side of the crop, most grey levels apart that were measured over many crops
    ("photographs", 48, 48, 1),
    ("photographs", 64, 40, 1),
    ("photographs", 256, 96, 1),
    ("noise", 48, 48, 2),
    ("noise", 64, 40, 2),
    ("noise", 256, 96, 2),
]


@pytest.mark.parametrize("reference", [by_pillow, by_torchvision])
@pytest.mark.parametrize(("kind", "scale", "size", "apart"), CASES)
def test_a_cut_is_the_whole_picture_rescaled_and_then_cropped(
    kind: str,
    scale: int,
    size: int,
    apart: int,
    reference: Any,
    photographs: list[Image.Image],
) -> None:
    differences = [
        values(cut(tensor(picture), crop)) - reference(picture, crop)
        for picture in pictures(kind, photographs)
        for crop in crops_of(picture, scale, size)
    ]
    assert np.abs(differences).max() <= apart
    # Ties that round to the other side, as enlarging by a whole number makes many: 0.065 measured.
    assert np.mean(np.array(differences) != 0) < 0.1


@pytest.mark.parametrize("size", [(29, 40), (40, 29), (30, 30), (32, 36), (33, 90)])
def test_every_place_on_an_enlarged_or_shrunk_picture_can_be_cut(
    size: tuple[int, int], photographs: list[Image.Image]
) -> None:
    """Also where the crop ends at as many pixels as the image had before."""
    picture = photographs[0].resize(size, BILINEAR)
    rescaled = rescaled_size(picture.height, picture.width, 32)
    places = [(t, left) for t in range(rescaled[0] - 23) for left in range(rescaled[1] - 23)]
    crops = [Crop(rescaled, Window(*place, 24, 24), False, (0, 0, 0)) for place in places]
    differences = [values(cut(tensor(picture), crop)) - by_pillow(picture, crop) for crop in crops]
    assert np.abs(differences).max() <= 1


@given(st.tuples(st.integers(1, 9), st.integers(1, 5000)), st.booleans(), st.integers(8, 40))
@settings(max_examples=50, deadline=None)
def test_the_last_place_on_any_panorama_can_be_cut(
    size: tuple[int, int], upright: bool, scale: int
) -> None:
    """Its box ends at the image's edge; one rounding further and Pillow would refuse it.

    And what lies left of it is far too much to be made along.
    """
    picture = Image.new("RGB", size if upright else size[::-1], (10, 20, 30))
    augmentation = Augmentation(8, (scale, scale))
    crop = draw_crop(augmentation, picture.height, picture.width, Extreme(largest=True))
    found = cut(tensor(picture), crop)
    assert found.shape == (3, 8, 8)
    assert torch.equal(found, torch.tensor([10, 20, 30]).byte().view(3, 1, 1).expand(3, 8, 8))


def test_a_picture_of_the_right_scale_is_cut_without_resampling() -> None:
    picture = noise(50, 70)
    crop = Crop((50, 70), Window(3, 30, 40, 40), flip=False, shift=(0, 0, 0))
    assert np.array_equal(values(cut(tensor(picture), crop)), values(picture)[3:43, 30:70])
    assert np.array_equal(
        values(cut(tensor(picture), replace(crop, flip=True))), values(picture)[3:43, 69:29:-1]
    )


def test_rescaling_is_pillows_and_leaves_the_right_size_alone(
    photographs: list[Image.Image],
) -> None:
    picture = photographs[0]
    small = rescale(picture, 100)
    assert small.size == (150, 100)
    assert np.array_equal(values(small), values(picture.resize((150, 100), BILINEAR)))
    assert rescale(small, 100) is small


def test_a_picture_is_refused_where_it_would_have_too_many_pixels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rescaling, "MAX_PIXELS", 8 * 80)
    assert rescale(Image.new("RGB", (40, 4)), 8).size == (80, 8)
    with pytest.raises(PictureError, match="41x4 would be 82x8 pixels at scale 8, more than 640"):
        rescale(Image.new("RGB", (41, 4)), 8)


def batch_of(pictures: list[Image.Image], padding: int = 0) -> tuple[Tensor, Tensor]:
    height = max(picture.height for picture in pictures)
    width = max(picture.width for picture in pictures)
    batch = torch.full((len(pictures), 3, height, width), padding, dtype=torch.uint8)
    for place, picture in zip(batch, pictures, strict=True):
        place[:, : picture.height, : picture.width] = tensor(picture)
    return batch, torch.tensor([(picture.height, picture.width) for picture in pictures])


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize(("kind", "scale", "size", "_"), CASES)
def test_cutting_many_at_once_is_cutting_each(
    kind: str, scale: int, size: int, _: int, device: str, photographs: list[Image.Image]
) -> None:
    originals, crops, expected = [], [], []
    for picture in pictures(kind, photographs):
        for crop in crops_of(picture, scale, size):
            originals.append(picture)
            crops.append(crop)
            expected.append(values(cut(tensor(picture), crop)))
    batch, sizes = batch_of(originals)
    found = cut_batch(batch.to(device), sizes.to(device), crops)
    assert found.dtype == torch.uint8
    assert found.device.type == device
    differences = np.stack([values(one) for one in found]) - np.stack(expected)
    # Pillow rounds after the rows and again after the columns, cut_batch once: 1 was measured.
    assert np.abs(differences).max() <= 1


@given(st.lists(st.tuples(*[st.integers(1, 60)] * 2), min_size=1, max_size=4), st.integers(8, 80))
@settings(max_examples=60, deadline=None)
def test_cutting_many_at_once_is_torchs_filter_rounded(
    sizes: list[tuple[int, int]], scale: int
) -> None:
    originals = [noise(height, width, seed=place) for place, (height, width) in enumerate(sizes)]
    crops = [crops_of(picture, scale, 8)[0] for picture in originals]
    found = cut_batch(*batch_of(originals), crops)
    for one, picture, crop in zip(found, originals, crops, strict=True):
        whole = F.interpolate(
            tensor(picture)[None].double(), crop.rescaled, mode="bilinear", antialias=True
        )
        part = transforms.crop(whole, *crop.window)[0].flip(-1)
        assert (one - part).abs().max() <= 0.5 + 1e-3


def test_what_stands_beside_a_smaller_picture_does_not_shine_through(
    photographs: list[Image.Image],
) -> None:
    originals = pictures("photographs", photographs)
    crops = [crops_of(picture, 64, 60)[0] for picture in originals]
    on_black, on_white = (cut_batch(*batch_of(originals, padding), crops) for padding in (0, 255))
    assert torch.equal(on_black, on_white)
