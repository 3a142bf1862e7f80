"""Colour statistics against NumPy over all pixels; broken files by name."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from verydeep.data.geometry import rescaled_size
from verydeep.data.pipeline import image_cache as store_module
from verydeep.data.pipeline.augment import Augmentation, draw_crop, sample_generator
from verydeep.data.pipeline.colour_statistics import (
    ColourStatistics,
    Measure,
    check_unreadable,
    scan,
)
from verydeep.data.samples import Sample
from verydeep.errors import DataError

CPU = torch.device("cpu")


def write(folder: Path, pictures: list[Image.Image]) -> list[Sample]:
    for number, picture in enumerate(pictures):
        picture.save(folder / f"{number:03}.png", compress_level=1)
    return [Sample(folder / f"{number:03}.png", number) for number in range(len(pictures))]


def break_files(samples: list[Sample], numbers: list[int]) -> None:
    for number in numbers:
        samples[number].path.write_bytes(b"no image")


@pytest.fixture
def mixed(tmp_path: Path, photographs: list[Image.Image]) -> list[Sample]:
    """Eight parts of photographs, all of different sizes, 48 to 111 on the smallest side."""
    parts = [
        photographs[n % 2].crop((70 * n, 30 * n, 70 * n + 48 + 9 * n, 30 * n + 130 - 5 * n))
        for n in range(8)
    ]
    return write(tmp_path, parts)


def colours_of(path: Path) -> np.ndarray:
    """RGB between 0 and 1 of every pixel, (pixels, 3)."""
    return np.asarray(Image.open(path)).reshape(-1, 3) / 255


@pytest.fixture(scope="module")
def pixels(photographs: list[Image.Image]) -> np.ndarray:
    return np.asarray(photographs[1])[::3, ::3].reshape(-1, 3) / 255


@pytest.fixture(scope="module")
def statistics(pixels: np.ndarray) -> ColourStatistics:
    covariance = np.cov(pixels.T, bias=True)
    return ColourStatistics(tuple(255 * pixels.mean(0)), tuple(map(tuple, covariance)))


# The colour shift


def principal_axes(pixels: np.ndarray, like: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return λ (3,) and p (3, 3), a row an axis, from the pixels' own singular values.

    They are in ascending order; of the two directions an axis can be given, the one of the same
    column of ``like`` is taken.
    """
    centred = pixels - pixels.mean(0)
    _, singular, p = np.linalg.svd(centred, full_matrices=False)
    p = p[::-1]
    return singular[::-1] ** 2 / len(pixels), p * np.sign(np.sum(p * like.T, axis=1))[:, None]


def test_the_shift_is_krizhevskys_sum_over_the_principal_axes(
    statistics: ColourStatistics, pixels: np.ndarray
) -> None:
    axes = statistics.shift_axes()
    assert axes.dtype == np.float32
    variances, p = principal_axes(pixels, like=axes)
    for factors in np.random.default_rng(0).normal(scale=0.1, size=(20, 3)):
        expected = 255 * sum(factors[k] * variances[k] * p[k] for k in range(3))
        assert factors @ axes.T == pytest.approx(expected, abs=1e-4)


def test_the_shift_varies_along_each_axis_as_the_factors_do_times_its_variance(
    statistics: ColourStatistics, pixels: np.ndarray
) -> None:
    augmentation = Augmentation(8, (8, 8), colour_shift=0.1)
    factors = np.array(
        [draw_crop(augmentation, 8, 8, sample_generator(0, 0, n)).shift for n in range(4000)]
    )
    axes = statistics.shift_axes()
    shifts = factors @ axes.T
    variances, p = principal_axes(pixels, like=axes)
    # The deviation of 4000 numbers is known to 1/sqrt(8000) = 1.1 %.
    assert (shifts @ p.T).std(0) == pytest.approx(0.1 * 255 * variances, rel=0.05)


def test_pictures_of_one_colour_are_not_shifted() -> None:
    statistics = ColourStatistics((90, 120, 30), ((0, 0, 0), (0, 0, 0), (0, 0, 0)))
    assert not statistics.shift_axes().any()


# Mean and covariance


def test_mean_and_covariance_are_those_of_all_pixels(
    tmp_path: Path, photographs: list[Image.Image]
) -> None:
    parts = [photographs[n % 2].crop((90 * n, 40, 90 * n + 80, 140)) for n in range(6)]
    samples = write(tmp_path, parts)
    colours = scan(samples).colours
    everything = np.concatenate([colours_of(sample.path) for sample in samples])
    assert colours.mean == pytest.approx(255 * everything.mean(0), abs=1e-4)
    assert np.allclose(colours.covariance, np.cov(everything.T, bias=True), rtol=0, atol=1e-6)


def test_each_picture_counts_alike_whatever_its_size(mixed: list[Sample]) -> None:
    colours = scan(mixed).colours
    pixels = [colours_of(sample.path) for sample in mixed]
    # The same as if each pixel had the weight 1 / (pixels of its image).
    weights = np.concatenate([np.full(len(one), 1 / len(one)) for one in pixels])
    everything = np.concatenate(pixels)
    mean = np.average(everything, axis=0, weights=weights)
    assert colours.mean == pytest.approx(255 * mean, abs=1e-4)
    assert np.allclose(
        colours.covariance,
        np.cov(everything.T, bias=True, aweights=weights),
        rtol=0,
        atol=1e-6,
    )
    assert not np.allclose(colours.mean, 255 * everything.mean(0), rtol=0, atol=0.1)


def test_a_large_picture_is_measured_as_exactly_as_a_small_one(tmp_path: Path) -> None:
    """Millions of bright pixels with little contrast: the worst case for sums in single."""
    generator = np.random.default_rng(0)
    bright = generator.integers(200, 256, (2000, 2000, 3), dtype=np.uint8)
    Image.fromarray(bright).save(tmp_path / "large.bmp")
    colours = scan([Sample(tmp_path / "large.bmp", 0)]).colours
    everything = bright.reshape(-1, 3) / 255
    assert colours.mean == pytest.approx(255 * everything.mean(0), abs=1e-4)
    assert np.allclose(colours.covariance, np.cov(everything.T, bias=True), rtol=0, atol=2e-5)


def test_the_number_of_processes_changes_nothing(mixed: list[Sample]) -> None:
    break_files(mixed, [3])
    alone, many = (
        scan(mixed, keep_on=CPU, unreadable_limit=0.2, workers=workers) for workers in (0, 2)
    )
    assert replace(alone, store=None) == replace(many, store=None)
    assert torch.equal(alone.store.block, many.store.block)


def test_progress_counts_every_picture(mixed: list[Sample]) -> None:
    break_files(mixed, [0])
    done: list[int] = []
    scan(mixed, unreadable_limit=0.2, progress=done.append)
    assert done == list(range(1, 9))


# Broken files


def test_broken_pictures_are_named_and_left_out(mixed: list[Sample]) -> None:
    break_files(mixed, [1, 5])
    found = scan(mixed, keep_on=CPU, unreadable_limit=0.25)
    whole = [mixed[number] for number in (0, 2, 3, 4, 6, 7)]
    assert found.samples == tuple(whole)
    assert len(found.unreadable) == 2
    for number, fault in zip((1, 5), found.unreadable, strict=True):
        assert fault.startswith(f"{mixed[number].path}: ")
    assert found.colours == scan(whole).colours
    assert len(found.store) == 6
    picture = found.store.picture(1)
    assert np.array_equal(picture, Image.open(mixed[2].path))


def test_more_broken_pictures_than_the_limit_are_refused_and_listed(mixed: list[Sample]) -> None:
    break_files(mixed, [1, 5])
    with pytest.raises(DataError) as refusal:
        scan(mixed, unreadable_limit=0.249)
    message = str(refusal.value)
    assert "2 of 8 training images cannot be read" in message
    assert "24.9%" in message
    assert [str(sample.path) in message for sample in mixed] == [
        number in (1, 5) for number in range(8)
    ]


def test_no_picture_that_can_be_read_is_refused_whatever_the_limit(mixed: list[Sample]) -> None:
    break_files(mixed, list(range(8)))
    with pytest.raises(DataError, match="all 8 training images are unreadable"):
        scan(mixed, unreadable_limit=1.0)


def test_a_file_that_is_not_there_is_a_broken_picture(mixed: list[Sample]) -> None:
    mixed[2].path.unlink()
    (fault,) = scan(mixed, unreadable_limit=0.2).unreadable
    assert fault == f"{mixed[2].path}: No such file or directory"


def test_fifty_broken_pictures_are_listed_and_the_others_counted() -> None:
    faults = [f"{number}.png: broken" for number in range(60)]
    with pytest.raises(DataError) as refusal:
        check_unreadable(faults, 60, 0.01)
    lines = str(refusal.value).splitlines()
    assert [line.strip() for line in lines[1:51]] == faults[:50]
    assert lines[51].strip() == "and 10 more"


@given(st.integers(2, 5000), st.data())
def test_the_limit_that_the_message_suggests_would_do(total: int, data: st.DataObject) -> None:
    faults = ["x.png: broken"] * data.draw(st.integers(1, min(total - 1, 60)))
    limit = data.draw(st.floats(0, len(faults) / total, exclude_max=True))
    with pytest.raises(DataError) as refusal:
        check_unreadable(faults, total, limit)
    suggested = float(str(refusal.value).rpartition("unreadable_limit=")[2])
    assert limit < suggested <= 1
    check_unreadable(faults, total, suggested)


# Kept images


def test_kept_pictures_are_the_decoded_ones(mixed: list[Sample]) -> None:
    store = scan(mixed, keep_on=CPU).store
    for number, sample in enumerate(mixed):
        assert np.array_equal(store.picture(number), np.asarray(Image.open(sample.path)))


def test_larger_pictures_are_kept_at_the_largest_scale(mixed: list[Sample]) -> None:
    store = scan(mixed, keep_on=CPU, largest_scale=80).store
    shrunk = 0
    for number, sample in enumerate(mixed):
        picture = Image.open(sample.path)
        if min(picture.size) > 80:
            height, width = rescaled_size(picture.height, picture.width, 80)
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
            shrunk += 1
        assert np.array_equal(store.picture(number), picture)
    assert 0 < shrunk < len(mixed)


def test_the_store_knows_how_large_pictures_were(mixed: list[Sample]) -> None:
    sizes = [np.asarray(Image.open(sample.path)).shape[:2] for sample in mixed]
    for largest in (80, None):
        store = scan(mixed, keep_on=CPU, largest_scale=largest).store
        assert [tuple(size) for size in store.originals.tolist()] == sizes


def test_shrinking_what_is_kept_does_not_change_the_colours(mixed: list[Sample]) -> None:
    assert scan(mixed, keep_on=CPU, largest_scale=50).colours == scan(mixed).colours


def test_nothing_is_kept_unless_asked_for(mixed: list[Sample]) -> None:
    assert scan(mixed, largest_scale=50).store is None


def test_pictures_that_do_not_fit_into_memory_are_refused(
    mixed: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    total = sum(np.asarray(Image.open(sample.path)).size for sample in mixed)
    monkeypatch.setattr(store_module, "available_memory", lambda device: total / 0.4 + 3)
    assert scan(mixed, keep_on=CPU).store is not None
    monkeypatch.setattr(store_module, "available_memory", lambda device: total / 0.4 - 3)
    with pytest.raises(DataError, match=r"data__cache='none'"):
        scan(mixed, keep_on=CPU)
    assert scan(mixed).colours is not None


def test_the_sum_of_a_channel_is_exact(photographs: list[Image.Image]) -> None:
    """Whatever the order of summation: the mean is the same to the last bit."""
    moments, *_ = Measure(keep=False, largest_scale=None)(photographs[0])
    pixels = np.asarray(photographs[0]).reshape(-1, 3).astype(np.float32) / np.float32(255)
    exact = [math.fsum(channel.tolist()) / len(pixels) for channel in pixels.T]
    assert moments[0].tolist() == exact
