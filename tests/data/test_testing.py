"""Whole pictures for testing: each exactly once at each scale, with bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from verydeep.data import testing
from verydeep.data.decode import MAX_PIXELS
from verydeep.data.loading import load_pictures
from verydeep.data.testing import TestPictures

SIZES = st.sampled_from([(4, 4), (4, 6), (6, 4), (8, 8), (8, 12), (3, 20), (1, 1), (7, 5)])
MISSING = st.just(None)


def solid(number: int, size: tuple[int, int]) -> Image.Image:
    """A picture of height, width ``size`` whose colour is its number."""
    return Image.new("RGB", size[::-1], (number % 256, number // 256, 99))


def sources_of(sizes: list[tuple[int, int] | None]) -> list[Path | Image.Image]:
    """Solid pictures, and in the place of None a file that is not there."""
    return [
        Path(f"missing-{number}.png") if size is None else solid(number, size)
        for number, size in enumerate(sizes)
    ]


@given(
    st.lists(SIZES | MISSING, max_size=40),
    st.lists(st.integers(3, 9), min_size=1, max_size=3, unique=True),
    st.integers(1, 300),
    st.integers(1, 900),
)
@settings(max_examples=80, deadline=None)
def test_every_readable_picture_comes_exactly_once_at_each_scale(
    sizes: list[tuple[int, int] | None], scales: list[int], batch_pixels: int, pending: int
) -> None:
    pictures = TestPictures(sources_of(sizes), tuple(scales), workers=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(testing, "BATCH_PIXELS", batch_pixels)
        patch.setattr(testing, "PENDING_PIXELS", pending)
        batches = list(pictures)
    seen = Counter((batch.scale, index) for batch in batches for index in batch.indices)
    readable = [number for number, size in enumerate(sizes) if size is not None]
    assert seen == Counter((scale, number) for scale in scales for number in readable)
    assert sorted(pictures.unreadable) == [n for n, size in enumerate(sizes) if size is None]
    for batch in batches:
        count, channels, height, width = batch.pictures.shape
        assert (count, channels) == (len(batch.indices), 3)
        assert batch.pictures.dtype == torch.uint8
        assert min(height, width) == batch.scale
        assert count == 1 or count * height * width <= batch_pixels
        for index, picture in zip(batch.indices, batch.pictures, strict=True):
            colour = torch.tensor([index % 256, index // 256, 99], dtype=torch.uint8)
            assert torch.equal(picture, colour[:, None, None].expand(picture.shape))
            assert picture.shape[1:] == expected_size(sizes[index], batch.scale)


def expected_size(size: tuple[int, int] | None, scale: int) -> tuple[int, int]:
    assert size is not None
    return tuple(round(side * scale / min(size)) for side in size)  # type: ignore[return-value]


@given(st.lists(SIZES, max_size=60), st.integers(1, 200), st.integers(0, 800))
@settings(max_examples=40, deadline=None)
def test_the_pixels_that_wait_are_bounded(
    sizes: list[tuple[int, int]], batch_pixels: int, pending: int
) -> None:
    """What was handed over but not yet given out exceeds the limit by one picture at most."""
    waiting = 0

    def counted(*args: Any, **options: Any) -> Iterator[Any]:
        nonlocal waiting
        for loaded in load_pictures(*args, **options):
            area = sum(pixels.size // 3 for pixels in loaded.value)
            assert waiting <= pending  # before the next picture is taken
            waiting += area
            yield loaded

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(testing, "BATCH_PIXELS", batch_pixels)
        patch.setattr(testing, "PENDING_PIXELS", pending)
        patch.setattr(testing, "load_pictures", counted)
        for batch in TestPictures(sources_of(list(sizes)), (4, 6), workers=0):
            waiting -= batch.pictures.numel() // 3
    assert waiting == 0


def test_pictures_of_one_size_fill_batches_that_are_as_large_as_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(testing, "BATCH_PIXELS", 5 * 8 * 8 + 1)
    sizes = [(8, 8) if number % 2 else (8, 9) for number in range(24)]
    batches = list(TestPictures(sources_of(list(sizes)), (8,), workers=0))
    counts = {width: [] for width in (8, 9)}
    for batch in batches:
        counts[batch.pictures.shape[3]].append(len(batch.indices))
    assert counts == {8: [5, 5, 2], 9: [4, 4, 4]}


def test_photographs_are_rescaled_by_pillow(tmp_path: Path, photographs: list[Image.Image]) -> None:
    files = []
    for number, photograph in enumerate(photographs):
        files.append(tmp_path / f"{number}.png")
        photograph.save(files[-1], compress_level=1)
    found = {
        (batch.scale, index): picture
        for batch in TestPictures(files, (64, 427), workers=0)
        for index, picture in zip(batch.indices, batch.pictures, strict=True)
    }
    for number, photograph in enumerate(photographs):
        small = photograph.resize((96, 64), Image.Resampling.BILINEAR)
        assert np.array_equal(found[64, number].permute(1, 2, 0), small)
        assert np.array_equal(found[427, number].permute(1, 2, 0), photograph)
    assert len(found) == 4


def test_faults_are_those_of_the_last_pass(tmp_path: Path) -> None:
    late = tmp_path / "late.png"
    pictures = TestPictures([solid(0, (4, 4)), late], (4,), workers=0)
    assert [batch.indices for batch in pictures] == [(0,)]
    assert pictures.unreadable == {1: f"{late}: No such file or directory"}
    solid(1, (4, 4)).save(late)
    assert [batch.indices for batch in pictures] == [(0, 1)]
    assert pictures.unreadable == {}


def test_the_number_of_processes_changes_nothing(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.png" for number in range(40)]
    for number, file in enumerate(files):
        solid(number, (4 + number % 3, 5)).save(file)
    files[9].write_bytes(b"no picture")
    passes = []
    for workers in (0, 2):
        pictures = TestPictures(files, (5, 8), workers=workers)
        passes.append([(batch.indices, batch.scale, batch.pictures.tolist()) for batch in pictures])
        assert list(pictures.unreadable) == [9]
    assert passes[0] == passes[1]


def test_a_picture_too_long_to_be_rescaled_is_a_fault_of_its_own() -> None:
    line = Image.new("RGB", (400_000, 1))
    pictures = TestPictures([solid(0, (4, 4)), line], (256,), workers=0)
    assert [batch.indices for batch in pictures] == [(0,)]
    assert pictures.unreadable == {
        1: "a picture in memory: 400000x1 would be 102400000x256 pixels at scale 256, more than "
        f"{MAX_PIXELS:,}; crop it"
    }
