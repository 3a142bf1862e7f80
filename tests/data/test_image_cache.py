"""The image store against the images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from verydeep.data.geometry import Window
from verydeep.data.pipeline import image_cache as store_module
from verydeep.data.pipeline.image_cache import PictureStore, Room
from verydeep.errors import DataError

CPU = torch.device("cpu")
SIZES = st.lists(st.tuples(*[st.integers(1, 12)] * 2), min_size=1, max_size=9)
CUDA = pytest.param(
    "cuda",
    marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
)


def noise(height: int, width: int, seed: int) -> np.ndarray:
    """Pixels without a zero, which is what padding is made of."""
    return np.random.default_rng(seed).integers(1, 256, (height, width, 3), dtype=np.uint8)


def pictures_of(sizes: list[tuple[int, int]]) -> list[np.ndarray]:
    return [noise(height, width, seed) for seed, (height, width) in enumerate(sizes)]


@given(SIZES, st.data())
def test_parts_of_pictures_come_back_as_they_went_in(
    sizes: list[tuple[int, int]], data: st.DataObject
) -> None:
    pictures = pictures_of(sizes)
    store = PictureStore(pictures, CPU)
    assert len(store) == len(pictures)
    assert store.sizes.tolist() == [list(size) for size in sizes]
    numbers = data.draw(st.lists(st.integers(0, len(pictures) - 1), min_size=1, max_size=12))
    windows = [data.draw(windows_in(*sizes[number])) for number in numbers]
    batch = store.gather(numbers, windows)
    assert batch.dtype == torch.uint8
    assert batch.shape == (
        len(numbers),
        3,
        max(window.height for window in windows),
        max(window.width for window in windows),
    )
    for place, number, (top, left, height, width) in zip(
        batch.permute(0, 2, 3, 1).numpy(), numbers, windows, strict=True
    ):
        part = pictures[number][top : top + height, left : left + width]
        assert np.array_equal(place[:height, :width], part)
        assert np.count_nonzero(place) == part.size  # zeros beyond


@st.composite
def windows_in(draw: st.DrawFn, height: int, width: int) -> Window:
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    return Window(top, left, draw(st.integers(1, height - top)), draw(st.integers(1, width - left)))


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_pictures_stay_on_their_device_and_their_sizes_on_the_cpu(device: str) -> None:
    store = PictureStore(pictures_of([(3, 4), (5, 2)]), torch.device(device))
    batch = store.gather([1, 0], [Window(0, 0, 2, 2)] * 2)
    assert (batch.device.type, store.sizes.device.type) == (device, "cpu")


def test_writing_to_a_batch_does_not_write_to_the_store() -> None:
    pictures = pictures_of([(4, 4)])
    store = PictureStore(pictures, CPU)
    store.gather([0], [Window(0, 0, 4, 4)]).fill_(0)
    assert np.array_equal(store.picture(0), pictures[0])


@pytest.mark.parametrize(
    ("device", "ram", "whole"),
    [("cpu", 1000, 400), ("cuda", 9000, 800), ("cuda", 1000, 400), ("mps", 1000, 400)],
)
def test_room_ends_when_the_share_of_memory_is_taken(
    device: str, ram: int, whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        store_module, "available_memory", lambda device: 1000 if device.type == "cuda" else ram
    )
    room = Room(torch.device(device))
    room.take(whole - 100)
    room.take(100)
    with pytest.raises(DataError, match=r"do not fit into memory.*data__cache='none'"):
        room.take(1)


@settings(max_examples=25)
@given(st.lists(st.integers(1, 400), max_size=20))
def test_room_takes_exactly_what_fits(sizes: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "available_memory", lambda device: 2500)
        room = Room(CPU)
    taken = 0
    for size in sizes:
        if taken + size > 1000:
            with pytest.raises(DataError):
                room.take(size)
            return
        room.take(size)
        taken += size
