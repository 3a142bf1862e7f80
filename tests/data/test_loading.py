"""Loading by one process and by several: the same pictures, in order, with the faults by name."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from verydeep.data import loading
from verydeep.data.loading import WORTH_A_PROCESS, Loaded, load_pictures, worker_count
from verydeep.errors import PictureError


def solid(number: int) -> Image.Image:
    return Image.new("RGB", (2 + number % 3, 2), (number % 256, number // 256, 7))


def number_of(picture: Image.Image) -> int:
    red, green, _ = picture.getpixel((0, 0))
    return red + 256 * green


def refuse_thirds(picture: Image.Image) -> int:
    if number_of(picture) % 3 == 0:
        raise PictureError(f"no {number_of(picture)}")
    return number_of(picture)


def fail(picture: Image.Image) -> None:
    raise ZeroDivisionError("a mistake of ours")


def who_after_an_interrupt(picture: Image.Image) -> int:
    os.kill(os.getpid(), signal.SIGINT)
    return os.getpid()


def process(picture: Image.Image) -> int:
    return os.getpid()


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Forty files, of which number 5 is cut off, 17 empty and 30 missing."""
    paths = [tmp_path / f"{number}.png" for number in range(40)]
    for number, path in enumerate(paths):
        solid(number).save(path)
    paths[5].write_bytes(paths[5].read_bytes()[:40])
    paths[17].write_bytes(b"")
    paths[30].unlink()
    return paths


@pytest.mark.parametrize("workers", [0, 2])
def test_files_come_in_order_and_faults_by_name(files: list[Path], workers: int) -> None:
    found = list(load_pictures(files, number_of, workers=workers, chunk=3))
    assert [loaded.index for loaded in found] == list(range(40))
    for number, loaded in enumerate(found):
        if number in (5, 17, 30):
            assert loaded.value is None
            assert loaded.fault.startswith(f"{files[number]}: ")
        else:
            assert loaded == Loaded(number, number)


def test_the_number_of_processes_changes_no_pixel(
    tmp_path: Path, photographs: list[Image.Image]
) -> None:
    paths = []
    for number in range(6):
        paths.append(tmp_path / f"{number}.jpg")
        photographs[number % 2].crop((0, 0, 200 + number, 100)).save(paths[-1], quality=90)
    alone, many = (load_pictures(paths, np.asarray, workers=n, chunk=2) for n in (0, 2))
    for one, other in zip(alone, many, strict=True):
        assert np.array_equal(one.value, other.value)


@given(st.integers(0, 60), st.integers(1, 20))
@settings(deadline=None, max_examples=30)
def test_pictures_in_memory_come_in_order_whatever_the_chunk(count: int, chunk: int) -> None:
    found = load_pictures([solid(n) for n in range(count)], number_of, workers=0, chunk=chunk)
    assert list(found) == [Loaded(number, number) for number in range(count)]


def test_what_the_preparation_refuses_names_the_file(files: list[Path]) -> None:
    (found,) = load_pictures([files[9]], refuse_thirds, workers=0)
    assert found.fault == f"{files[9]}: no 9"


@pytest.mark.parametrize("workers", [0, 2])
def test_files_and_pictures_in_memory_may_be_mixed(files: list[Path], workers: int) -> None:
    sources = [files[7], solid(300), files[17], solid(4)]
    found = [loaded.value for loaded in load_pictures(sources, number_of, workers=workers)]
    assert found == [7, 300, None, 4]


def test_what_the_preparation_refuses_is_a_fault_too() -> None:
    found = list(load_pictures([solid(n) for n in range(7)], refuse_thirds, workers=0))
    assert [loaded.value for loaded in found] == [None, 1, 2, None, 4, 5, None]
    assert found[3].fault == "a picture in memory: no 3"


def test_a_mistake_of_ours_is_not_hidden_as_a_fault_of_the_file() -> None:
    with pytest.raises(ZeroDivisionError, match="a mistake of ours"):
        list(load_pictures([solid(1)], fail, workers=0))


def test_workers_take_no_notice_of_an_interrupt() -> None:
    before = signal.getsignal(signal.SIGINT)
    sources = [solid(number) for number in range(4)]
    found = [
        loaded.value
        for loaded in load_pictures(sources, who_after_an_interrupt, workers=2, chunk=1)
    ]
    assert len(set(found)) == 2
    assert os.getpid() not in found
    assert signal.getsignal(signal.SIGINT) is before


def test_without_workers_everything_happens_here() -> None:
    found = [loaded.value for loaded in load_pictures([solid(1)], process, workers=0)]
    assert found == [os.getpid()]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_programs_own_random_numbers_are_left_alone(workers: int) -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    list(load_pictures([solid(number) for number in range(5)], number_of, workers=workers, chunk=1))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.array_equal(np.random.get_state()[1], before[2])


@pytest.mark.parametrize(
    ("wish", "files", "cores", "expected"),
    [
        (0, 10**6, 8, 0),
        (3, 1, 8, 3),
        (None, WORTH_A_PROCESS - 1, 8, 0),
        (None, WORTH_A_PROCESS, 8, 8),
        (None, 10**6, 1, 0),
    ],
)
def test_the_wish_decides_else_files_and_cores(
    wish: int | None, files: int, cores: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "usable_cores", lambda: cores)
    assert worker_count(wish, files) == expected
