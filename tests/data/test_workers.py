"""Loading by threads and processes: equal images, in order, with faults by name."""

from __future__ import annotations

import os
import random
import re
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from verydeep.data.pipeline import workers as loading
from verydeep.data.pipeline.workers import (
    MOST_THREADS,
    WORTH_A_PROCESS,
    Loaded,
    load_pictures,
    worker_count,
)
from verydeep.errors import InputError, PictureError


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


@pytest.mark.parametrize(
    ("name", "dimensions", "fault"),
    [
        ("1.npy", 2, "1.npy: a volume, where images are read"),
        ("slices", 2, "slices: .*irectory"),
        ("1.png", 3, "1.png: an image, where volumes are read"),
        ("gone.npy", 3, "gone.npy: No such file"),
    ],
)
def test_what_has_other_dimensions_counts_as_unreadable(
    name: str, dimensions: int, fault: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "1.npy", np.zeros((8, 8, 8), np.uint8))
    solid(1).save(tmp_path / "1.png")
    (tmp_path / "slices").mkdir()
    solid(1).save(tmp_path / "slices" / "1.png")
    (found,) = load_pictures([tmp_path / name], number_of, workers=0, dimensions=dimensions)
    assert re.search(fault, str(found.fault))


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
    assert found[3].fault == "an image in memory: no 3"


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


def test_fewer_than_no_processes_are_refused(files: list[Path]) -> None:
    # They read nothing, which left an answer of zeros for every image.
    with pytest.raises(InputError, match=r"^workers must be 0 or more, .* got -1 instead$"):
        list(load_pictures(files, number_of, workers=-1))


# ---- reading ahead in threads ----

PATIENCE = 60  # seconds until a test gives up on something that should have happened at once


def decoding_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("verydeep-decode")]


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Pretend to have so many cores."""
    return lambda count: monkeypatch.setattr(loading, "usable_cores", lambda: count)


def test_what_is_ready_early_waits_for_its_turn(cores: Callable[[int], None]) -> None:
    cores(4)
    later_is_ready = threading.Event()

    def first_last(picture: Image.Image) -> int:
        number = number_of(picture)
        if number == 0:
            assert later_is_ready.wait(PATIENCE)
        if number == 6:
            later_is_ready.set()
        return number

    found = load_pictures([solid(n) for n in range(20)], first_last, workers=0, chunk=2)
    assert [loaded.value for loaded in found] == list(range(20))


def test_while_the_caller_works_the_next_are_read(cores: Callable[[int], None]) -> None:
    cores(1)
    next_is_ready = threading.Event()

    def prepare(picture: Image.Image) -> int:
        if number_of(picture) == 3:  # the last of the second chunk
            next_is_ready.set()
        return number_of(picture)

    found = load_pictures([solid(n) for n in range(8)], prepare, workers=0, chunk=2)
    assert next(found).value == 0
    assert next_is_ready.wait(PATIENCE)
    assert [loaded.value for loaded in found] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("count", [1, 2, 3, 64])
def test_only_so_much_is_read_ahead(count: int, cores: Callable[[int], None]) -> None:
    cores(count)
    threads, chunk, lock = min(count, MOST_THREADS), 3, threading.Lock()
    prepared: list[int] = []
    readers: set[str] = set()

    def prepare(picture: Image.Image) -> int:
        with lock:
            prepared.append(number_of(picture))
            readers.add(threading.current_thread().name)
        return number_of(picture)

    found = load_pictures([solid(n) for n in range(100)], prepare, workers=0, chunk=chunk)
    assert not prepared  # nothing happens before something is asked for
    assert not decoding_threads()
    for loaded in found:
        with lock:
            # The chunk in hand, and one more for each thread.
            assert len(prepared) <= (loaded.index // chunk + 1 + threads) * chunk
            assert prepared.count(loaded.index) == 1
        assert len(decoding_threads()) <= threads
    assert sorted(prepared) == list(range(100))
    assert 1 <= len(readers) <= threads
    assert all(name.startswith("verydeep-decode") for name in readers)
    assert not decoding_threads()


@pytest.mark.parametrize("count", [1, 4])
def test_a_mistake_of_ours_comes_in_its_turn_and_ends_all_reading(
    count: int, cores: Callable[[int], None]
) -> None:
    cores(count)

    def fail_at_nine(picture: Image.Image) -> int:
        if number_of(picture) == 9:
            raise ZeroDivisionError("a mistake of ours")
        return number_of(picture)

    found = load_pictures([solid(n) for n in range(40)], fail_at_nine, workers=0, chunk=3)
    before = [next(found).value for _ in range(9)]
    assert before == list(range(9))
    with pytest.raises(ZeroDivisionError, match="a mistake of ours"):
        next(found)
    assert not decoding_threads()
    assert list(found) == []


@pytest.mark.parametrize("taken", [1, 2, 3, 17, 40])
@pytest.mark.parametrize("count", [1, 4])
def test_who_stops_early_leaves_no_thread_behind(
    taken: int, count: int, cores: Callable[[int], None]
) -> None:
    cores(count)
    found = load_pictures([solid(n) for n in range(40)], number_of, workers=0, chunk=2)
    assert [next(found).value for _ in range(taken)] == list(range(taken))
    found.close()
    assert not decoding_threads()


def test_an_interrupt_of_the_caller_leaves_no_thread_behind(cores: Callable[[int], None]) -> None:
    cores(2)
    found = load_pictures([solid(n) for n in range(40)], number_of, workers=0, chunk=2)
    next(found)
    with pytest.raises(KeyboardInterrupt):
        found.throw(KeyboardInterrupt)
    assert not decoding_threads()


def test_what_was_not_begun_when_the_caller_stops_never_is(
    cores: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one thread is held in the second image, the third waits; then the caller goes."""
    cores(1)
    begun, go_on = threading.Event(), threading.Event()
    prepared: list[int] = []

    class Pool(ThreadPoolExecutor):
        """Lets the thread go on as soon as the end has been declared."""

        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            go_on.set()
            super().shutdown(wait=wait)

    def prepare(picture: Image.Image) -> None:
        prepared.append(number_of(picture))
        if number_of(picture) == 1:
            begun.set()
            assert go_on.wait(PATIENCE)

    monkeypatch.setattr(loading, "ThreadPoolExecutor", Pool)
    found = load_pictures([solid(n) for n in range(9)], prepare, workers=0, chunk=1)
    next(found)
    assert begun.wait(PATIENCE)
    found.close()
    assert prepared == [0, 1]
    assert not decoding_threads()


def test_few_files_are_read_by_threads_of_this_process(files: list[Path]) -> None:
    found = [loaded.value for loaded in load_pictures(files, process)]
    assert found[5] is found[17] is found[30] is None
    assert set(found) == {os.getpid(), None}


def test_two_lists_may_be_read_in_turns() -> None:
    pictures = [solid(n) for n in range(30)]
    one = load_pictures(pictures, number_of, workers=0, chunk=2)
    other = load_pictures(pictures[::-1], number_of, workers=0, chunk=3)
    pairs = [(a.value, b.value) for a, b in zip(one, other, strict=True)]
    assert pairs == [(n, 29 - n) for n in range(30)]
    assert not decoding_threads()
