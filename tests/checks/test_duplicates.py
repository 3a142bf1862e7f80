"""Duplicates: search against all pairs, copies of every kind, no false alarms."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from checks import messy
from checks.messy import save, scene, seen
from verydeep.checks.duplicates import Duplicates, Group, find_duplicates, near_pairs
from verydeep.checks.perceptual_hash import ALIKE, NEAR, distance, image_features


def all_with_all(hashes: NDArray[np.uint64]) -> list[list[int]]:
    values = [int(value) for value in hashes]
    return [
        [i, j]
        for i in range(len(values))
        for j in range(i + 1, len(values))
        if distance(values[i], values[j]) <= NEAR
    ]


def scattered(generator: np.random.Generator, count: int) -> NDArray[np.uint64]:
    """Return random hashes, half of them others with 0 to 9 bits changed."""
    hashes = generator.integers(0, 2**64, count, dtype=np.uint64)
    for place in range(count // 2, count):
        value = int(hashes[generator.integers(count // 2)])
        for bit in generator.choice(64, generator.integers(10), replace=False):
            value ^= 1 << int(bit)
        hashes[place] = value
    return hashes


@pytest.mark.parametrize("seed", range(5))
def test_the_search_finds_what_comparing_all_finds(seed: int) -> None:
    hashes = scattered(np.random.default_rng(seed), 400)
    found = near_pairs(hashes)
    assert found.complete
    assert found.pairs.tolist() == all_with_all(hashes)
    assert len(found.pairs) > 100


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 2**9), max_size=40))
def test_the_search_finds_all_among_any_hashes(values: list[int]) -> None:
    hashes = np.array(values, dtype=np.uint64)
    assert near_pairs(hashes).pairs.tolist() == all_with_all(hashes)


def test_too_many_pairs_are_cut_off_and_that_is_said() -> None:
    found = near_pairs(np.zeros(100, dtype=np.uint64), most=50)
    assert (len(found.pairs), found.complete, found.across) == (50, False, True)


def test_too_many_alike_in_one_class_hide_no_copy_in_another_split() -> None:
    hashes = np.zeros(102, dtype=np.uint64)
    hashes[100:], kinds = 2**64 - 1, np.array([0] * 101 + [1])
    found = near_pairs(hashes, kinds, most=50)
    assert len(found.pairs) == 51
    assert found.pairs[-1].tolist() == [100, 101]
    assert (found.complete, found.across) == (False, True)
    alternating = np.arange(102) % 2
    found = near_pairs(hashes, alternating, most=50)
    assert (found.complete, found.across) == (False, False)


COPIES: dict[str, Callable[[Image.Image, Path], Path]] = {
    "saved at quality 80": lambda p, to: save(p, to.with_suffix(".jpg"), quality=80),
    "half the size": lambda p, to: save(
        p.resize((p.width // 2, p.height // 2)), to.with_suffix(".png")
    ),
    "larger": lambda p, to: save(
        p.resize((p.width * 3 // 2, p.height * 3 // 2)), to.with_suffix(".png")
    ),
    "darker": lambda p, to: save(ImageEnhance.Brightness(p).enhance(0.8), to.with_suffix(".png")),
    "less contrast": lambda p, to: save(
        ImageEnhance.Contrast(p).enhance(0.8), to.with_suffix(".png")
    ),
    "webp": lambda p, to: save(p, to.with_suffix(".webp"), quality=80),
}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_is_near(how: str, tmp_path: Path, photographs: list[Image.Image]) -> None:
    pictures = []
    for number, picture in enumerate([*photographs, *map(scene, range(8))]):
        pictures.append(seen(save(picture, tmp_path / f"{number}.png")))
        pictures.append(seen(COPIES[how](picture, tmp_path / f"{number}-copy"), "val"))
    found = find_duplicates(pictures)
    assert found.groups == ()
    assert [(near.first, near.second) for near in found.near] == [
        (i, i + 1) for i in range(0, 20, 2)
    ]
    assert all(near.bits <= NEAR and near.correlation >= ALIKE for near in found.near)


def test_the_same_bytes_are_a_group(tmp_path: Path) -> None:
    first = save(scene(1), tmp_path / "a.jpg")
    pictures = [seen(first), seen(save(scene(2), tmp_path / "b.jpg"))]
    pictures += [seen(Path(shutil.copy(first, tmp_path / name))) for name in ("c.jpg", "d.jpg")]
    assert find_duplicates(pictures) == Duplicates((Group((0, 2, 3), "bytes"),))


def test_the_same_pixels_in_other_bytes_are_a_group(tmp_path: Path) -> None:
    pictures = [
        seen(save(scene(1), tmp_path / "a.png")),
        seen(save(scene(1), tmp_path / "b.bmp")),
        seen(save(scene(2), tmp_path / "c.png")),
        seen(save(scene(1), tmp_path / "d.jpg", quality=60)),
    ]
    found = find_duplicates(pictures)
    assert found.groups == (Group((0, 1), "pixels"),)
    assert [(near.first, near.second) for near in found.near] == [(0, 3)]


def test_different_pictures_are_not_near(tmp_path: Path) -> None:
    """No false alarm among 120 images, 7,140 pairs."""
    pictures = [seen(save(scene(seed), tmp_path / f"{seed}.jpg")) for seed in range(120)]
    assert find_duplicates(pictures) == Duplicates()


def test_the_same_shapes_in_other_colours_are_not_near(tmp_path: Path) -> None:
    picture = scene(3)
    red, green, blue = picture.split()
    other = Image.merge("RGB", (blue, green, red))
    pictures = [seen(save(p, tmp_path / f"{n}.png")) for n, p in enumerate((picture, other))]
    assert find_duplicates(pictures).near == ()


def test_broken_and_even_pictures_are_left_out(tmp_path: Path) -> None:
    pictures = []
    for number in range(3):
        (tmp_path / f"broken{number}.jpg").write_bytes(b"\xff\xd8\xff")
        pictures.append(seen(tmp_path / f"broken{number}.jpg"))
        pictures.append(seen(save(Image.new("RGB", (40, 40 + number)), tmp_path / f"{number}.png")))
    assert find_duplicates(pictures) == Duplicates()


def test_likeness_is_a_correlation() -> None:
    one, other = (image_features(scene(seed)) for seed in (1, 2))
    expected = np.corrcoef(one.small, other.small)[0, 1]
    assert one.correlation(other) == pytest.approx(expected)
    assert one.correlation(one) == pytest.approx(1)
    assert image_features(Image.new("RGB", (9, 9))).correlation(one) == 0


def test_the_scenes_of_these_tests_are_the_same_each_time() -> None:
    assert messy.scene(1).tobytes() == messy.scene(1).tobytes()
