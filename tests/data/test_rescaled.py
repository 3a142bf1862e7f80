"""Whole images for testing: each once, in order, at every scale, rescaled by Pillow."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from verydeep.data.geometry import Rounding
from verydeep.data.pipeline.rescaled import Rescale, TestPicture, TestPictures
from verydeep.errors import PictureError

SIZES = st.sampled_from([(4, 4), (4, 6), (6, 4), (8, 8), (8, 12), (3, 20), (1, 1), (7, 5)])
SCALES = st.lists(st.integers(3, 9), min_size=1, max_size=3, unique=True)
MISSING = st.just(None)
Size = tuple[int, int]


def solid(number: int, size: Size) -> Image.Image:
    """An image of height, width ``size`` whose colour is its number."""
    return Image.new("RGB", size[::-1], colour(number))


def colour(number: int) -> tuple[int, int, int]:
    return (number % 256, number // 256, 99)


def sources_of(sizes: list[Size | None]) -> list[Path | Image.Image]:
    """Solid images, and in the place of None a file that is not there."""
    return [
        Path(f"missing-{number}.png") if size is None else solid(number, size)
        for number, size in enumerate(sizes)
    ]


def is_the_longer_side(length: int, size: Size, scale: int, rounding: Rounding) -> bool:
    """Tell whether a rescaled image is as long as it should be, in whole numbers alone."""
    if rounding == "down":
        return length == max(size) * scale // min(size)
    return 2 * abs(length * min(size) - max(size) * scale) <= min(size)


# ---- a list of images ----


@given(st.lists(SIZES | MISSING, max_size=40), SCALES, st.sampled_from(["nearest", "down"]))
def test_every_readable_picture_comes_once_in_order_with_all_its_scales(
    sizes: list[Size | None], scales: list[int], rounding: Rounding
) -> None:
    pictures = TestPictures(sources_of(sizes), tuple(scales), workers=0, rounding=rounding)
    assert len(pictures) == len(sizes)
    found = list(pictures)
    assert [picture.index for picture in found] == [
        number for number, size in enumerate(sizes) if size is not None
    ]
    assert list(pictures.unreadable) == [n for n, size in enumerate(sizes) if size is None]
    for picture in found:
        assert picture.scales == tuple(scales)
        assert len(picture.pixels) == len(scales)
        for scale in scales:
            pixels, size = picture.at(scale), sizes[picture.index]
            height, width, channels = pixels.shape
            assert (min(height, width), channels) == (scale, 3)
            assert is_the_longer_side(max(height, width), size, scale, rounding)
            assert size[0] == size[1] or (height <= width) == (size[0] <= size[1])
            assert pixels.dtype == np.uint8
            assert (pixels == colour(picture.index)).all()


def test_photographs_are_rescaled_by_pillow(tmp_path: Path, photographs: list[Image.Image]) -> None:
    files = []
    for number, photograph in enumerate(photographs):
        files.append(tmp_path / f"{number}.png")
        photograph.save(files[-1], compress_level=1)
    found = list(TestPictures(files, (64, 427), workers=0))
    for picture, photograph in zip(found, photographs, strict=True):
        small = photograph.resize((96, 64), Image.Resampling.BILINEAR)
        assert np.array_equal(picture.at(64), small)
        assert np.array_equal(picture.at(427), photograph)


def test_faults_are_those_of_the_last_pass(tmp_path: Path) -> None:
    late = tmp_path / "late.png"
    pictures = TestPictures([solid(0, (4, 4)), late], (4,), workers=0)
    assert [picture.index for picture in pictures] == [0]
    assert pictures.unreadable == {1: f"{late}: No such file or directory"}
    solid(1, (4, 4)).save(late)
    assert [picture.index for picture in pictures] == [0, 1]
    assert pictures.unreadable == {}


@pytest.mark.parametrize("rounding", ["nearest", "down"])
def test_the_number_of_processes_changes_nothing(tmp_path: Path, rounding: Rounding) -> None:
    files = [tmp_path / f"{number}.png" for number in range(40)]
    for number, file in enumerate(files):
        solid(number, (4 + number % 3, 5)).save(file)
    files[9].write_bytes(b"no image")
    passes = []
    for workers in (0, 2):
        pictures = TestPictures(files, (5, 8), workers=workers, rounding=rounding)
        passes.append(
            [(p.index, p.scales, [pixels.tolist() for pixels in p.pixels]) for p in pictures]
        )
        assert list(pictures.unreadable) == [9]
    assert passes[0] == passes[1]
    assert len(passes[0]) == 39


def test_a_picture_too_long_to_be_rescaled_is_a_fault_of_its_own() -> None:
    line = Image.new("RGB", (33, 1))
    pictures = TestPictures([solid(0, (4, 4)), line, solid(2, (4, 4))], (256,), workers=0)
    assert [picture.index for picture in pictures] == [0, 2]
    assert [*pictures.unreadable] == [1]
    assert "an image in memory: 33x1" in pictures.unreadable[1]


def test_no_pictures_are_an_empty_list() -> None:
    pictures = TestPictures([], (256,))
    assert len(pictures) == 0
    assert list(pictures) == []
    assert pictures.unreadable == {}


# ---- one image ----


def test_a_picture_is_asked_for_its_pixels_by_scale() -> None:
    small, large = np.zeros((4, 5, 3), np.uint8), np.zeros((8, 10, 3), np.uint8)
    picture = TestPicture(3, (8, 4), (large, small), (16, 20))
    assert picture.at(4) is small
    assert picture.at(8) is large
    with pytest.raises(ValueError, match="not in tuple"):
        picture.at(5)


def test_a_picture_cannot_be_changed() -> None:
    picture = TestPicture(3, (4,), (np.zeros((4, 5, 3), np.uint8),), (4, 5))
    with pytest.raises(dataclasses.FrozenInstanceError):
        picture.index = 4


def test_a_picture_tells_its_size_before_it_was_rescaled() -> None:
    sizes = [picture.size for picture in TestPictures([solid(1, (12, 24)), solid(2, (9, 5))], (6,))]
    assert sizes == [(12, 24), (9, 5)]


# ---- rescaling ----


@pytest.mark.parametrize("scale", [32, 90, 200, 300])
def test_rounded_down_the_pixels_are_those_of_torchvision(
    photographs: list[Image.Image], scale: int
) -> None:
    sizes = [(200, 301), (301, 200), (213, 426), (200, 200)]  # at 300, the first end at 451.5
    for height, width in sizes:
        picture = photographs[0].crop((0, 0, width, height))
        expected = transforms.Resize(scale)(picture)
        (found,) = Rescale((scale,), "down")(picture)
        assert np.array_equal(found, expected)


def test_half_a_pixel_is_where_the_two_roundings_part(photographs: list[Image.Image]) -> None:
    picture = photographs[0].crop((0, 0, 301, 200))  # at 300 pixels: 451.5
    shapes = [Rescale((300,), rounding)(picture)[0].shape for rounding in ("nearest", "down")]
    assert shapes == [(300, 452, 3), (300, 451, 3)]
    assert Rescale((300,))(picture)[0].shape == (300, 452, 3)


def test_scales_come_in_the_order_in_which_they_are_asked_for() -> None:
    found = Rescale((9, 3, 6))(solid(1, (12, 24)))
    assert [pixels.shape for pixels in found] == [(9, 18, 3), (3, 6, 3), (6, 12, 3)]


def test_what_is_too_long_is_refused_at_the_scale_that_makes_it_so() -> None:
    line = Image.new("RGB", (320, 10))
    assert Rescale((2,))(line)[0].shape == (2, 64, 3)
    with pytest.raises(PictureError, match="at scale 2048"):
        Rescale((2, 2048))(line)
