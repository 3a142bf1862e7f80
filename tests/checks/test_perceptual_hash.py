"""Perceptual hash: equal for copies, different for other images, as defined."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy.fft import dctn

from checks.messy import scene
from verydeep.checks.perceptual_hash import NEAR, distance, perceptual_hash


def bits(picture: Image.Image) -> int:
    value = perceptual_hash(picture)
    assert value is not None
    return value


def saved_again(picture: Image.Image, quality: int = 80) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "saved again": saved_again,
    "half the size": lambda p: p.resize((p.width // 2, p.height // 2)),
    "larger": lambda p: p.resize((p.width * 3 // 2, p.height * 3 // 2)),
    "darker": lambda p: ImageEnhance.Brightness(p).enhance(0.8),
    "less contrast": lambda p: ImageEnhance.Contrast(p).enhance(0.8),
    "half the size, saved again": lambda p: saved_again(p.resize((p.width // 2, p.height // 2))),
}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_has_nearly_the_same_hash(how: str, photographs: list[Image.Image]) -> None:
    for picture in [*photographs, *map(scene, range(20))]:
        assert distance(bits(picture), bits(COPIES[how](picture))) <= NEAR


def test_different_pictures_have_hashes_far_apart() -> None:
    hashes = [bits(scene(seed)) for seed in range(120)]
    apart = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) > NEAR
    assert 28 < np.median(apart) < 36  # as independent bits would have it: 32


def test_the_bits_are_those_of_the_cosine_transform() -> None:
    picture = scene(7)
    small = picture.resize((32, 32), Image.Resampling.BOX).convert("L")
    transform = dctn(np.asarray(small, dtype=np.float64), norm="ortho")
    places = [(row, total - row) for total in range(1, 40) for row in range(total + 1)][:64]
    values = np.array([transform[place] for place in places])
    upper = values >= np.sort(values)[32]
    assert bits(picture) == int("".join(str(int(bit)) for bit in upper), 2)
    assert bits(picture).bit_count() == 32


@pytest.mark.parametrize("colour", ["white", "black", (200, 30, 30)])
def test_an_even_picture_has_none(colour: str | tuple[int, int, int]) -> None:
    assert perceptual_hash(Image.new("RGB", (50, 40), colour)) is None


def test_a_small_picture_has_one() -> None:
    assert perceptual_hash(scene(1).resize((3, 5))) is not None
