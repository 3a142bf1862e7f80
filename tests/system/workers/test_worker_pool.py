"""Workers: values in turn, detection of every end, and no orphans."""

from __future__ import annotations

import faulthandler
import gc
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from leftovers import is_gone
from tiny import apart

from verydeep.errors import DataError, MissingExtra, WorkerError
from verydeep.system.workers import pool
from verydeep.system.workers.pool import AHEAD, Workers
from verydeep.system.workers.transport import SHARED_FROM

SLOW = pytest.mark.slow  # each process imports torch anew
PATIENCE = 60  # seconds until a test gives up on something that should have happened at once


def counting(worker: int, workers: int) -> Iterator[tuple[int, int]]:
    for number in range(5):
        yield worker, number


def endless(worker: int, workers: int) -> Iterator[int]:
    faulthandler.disable()  # pytest's would print a traceback of each crash that is meant
    while True:
        yield os.getpid()


def uneven(worker: int, workers: int) -> Iterator[int]:
    yield from range(worker, 7, workers)


def wait_for(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return met


# ---- what they make ----


class FreedAtHome:
    """A cycle that may be freed only in the process that has made it, as if it had threads."""

    def __init__(self) -> None:
        self.itself, self.home = self, os.getpid()

    def __del__(self) -> None:
        if os.getpid() != self.home:
            os._exit(9)


def collecting(worker: int, workers: int) -> Iterator[int]:
    gc.collect()
    yield worker


def test_garbage_of_the_owner_is_not_freed_in_a_worker() -> None:
    gc.disable()
    try:
        FreedAtHome()
        with Workers(collecting, 2) as workers:
            assert list(workers) == [0, 1]
    finally:
        gc.enable()


def test_a_value_of_each_in_turn() -> None:
    with Workers(counting, 3) as workers:
        assert list(workers) == [(worker, number) for number in range(5) for worker in range(3)]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 9])
def test_dealt_work_comes_in_order(count: int) -> None:
    with Workers(uneven, count) as workers:
        assert list(workers) == list(range(7))


def test_only_so_much_is_made_ahead(tmp_path: Path) -> None:
    def noting(worker: int, workers: int) -> Iterator[int]:
        for number in range(50):
            (tmp_path / f"{number}").touch()
            yield number

    with Workers(noting, 1) as workers:
        for taken, _ in enumerate(workers, start=1):
            assert len(list(tmp_path.iterdir())) <= taken + AHEAD


@pytest.mark.parametrize(
    "error", [DataError("no such file"), KeyError("x"), MissingExtra("This", "tensorboard")]
)
def test_an_error_comes_in_its_turn_and_says_where_it_was_raised(error: Exception) -> None:
    def failing(worker: int, workers: int) -> Iterator[int]:
        yield 1
        raise error

    with Workers(failing, 1) as workers:
        found = iter(workers)
        assert next(found) == 1
        with pytest.raises(type(error).__mro__[1]) as caught:
            next(found)
    assert str(error) in str(caught.value)
    assert "in failing" in str(caught.value.__cause__)


def test_a_value_that_cannot_travel_is_an_error() -> None:
    with (
        Workers(lambda worker, workers: iter([lambda: 1]), 1) as workers,
        pytest.raises((AttributeError, TypeError, RuntimeError), match=r"pickle|lambda"),
    ):
        list(workers)


# ---- ends of workers ----


@pytest.mark.parametrize(
    ("number", "named"),
    [
        (signal.SIGKILL, "memory"),
        (signal.SIGBUS, "--shm-size"),
        (signal.SIGSEGV, "SIGSEGV"),
    ],
)
def test_a_worker_that_is_killed_is_told_of(number: signal.Signals, named: str) -> None:
    with Workers(endless, 2) as workers:
        found = iter(workers)
        os.kill(next(found), number)
        with pytest.raises(WorkerError, match=named) as caught:
            for _ in found:
                pass
    assert number.name in str(caught.value)
    assert caught.value.exit_code == 1


def test_a_worker_killed_amid_a_large_value_is_told_of() -> None:
    """Its neighbour goes on; no lock that it held keeps anyone waiting."""

    def large(worker: int, workers: int) -> Iterator[Any]:
        while True:
            yield os.getpid(), torch.zeros(4 * SHARED_FROM, dtype=torch.uint8)

    for wait in (0, 0.001, 0.003, 0.01):
        with Workers(large, 2) as workers:
            found = iter(workers)
            pid, _ = next(found)
            time.sleep(wait)
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(WorkerError):
                for _ in found:
                    pass


def test_a_worker_that_leaves_by_itself_is_told_of() -> None:
    def leaving(worker: int, workers: int) -> Iterator[int]:
        yield 1
        os._exit(0)

    with Workers(leaving, 1) as workers, pytest.raises(WorkerError, match="exit code 0"):
        list(workers)


def test_one_stop_signal_is_the_owners_a_second_sigterm_is_heeded() -> None:
    with Workers(endless, 1) as workers:
        found = iter(workers)
        pid = next(found)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            os.kill(pid, number)
            for _ in range(2 * AHEAD + 1):
                assert next(found) == pid
        os.kill(pid, signal.SIGTERM)
        with pytest.raises(WorkerError, match="SIGTERM"):
            for _ in found:
                pass


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_closing_ends_workers_that_are_busy(taken: int) -> None:
    def slow(worker: int, workers: int) -> Iterator[int]:
        for number in range(100):
            if number == 5:
                time.sleep(10 * PATIENCE)
            yield os.getpid()

    workers = Workers(slow, 2)
    found = iter(workers)
    pids = {next(found) for _ in range(2 * taken)}
    workers.close()
    assert all(is_gone(pid) for pid in pids)
    workers.close()


def test_processes_that_cannot_be_started_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def start(self: Any) -> None:
        if started:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        started.append(self)
        original(self)

    original = multiprocessing.context.ForkProcess.start
    monkeypatch.setattr(type(multiprocessing.get_context().Process()), "start", start)
    with pytest.raises(WorkerError, match="temporarily unavailable"):
        Workers(endless, 3)
    assert not started[0].is_alive() if started[0]._popen else True


def test_workers_outlive_the_thread_that_started_them() -> None:
    """Linux kills a child when the thread that forked it ends, if it is asked to."""
    made: list[Workers[tuple[int, int]]] = []
    thread = threading.Thread(target=lambda: made.append(Workers(counting, 2)))
    thread.start()
    thread.join()
    time.sleep(0.05)
    with made[0] as workers:
        assert len(list(workers)) == 10


# ---- ends of the owner ----


def own_workers(method: str, how: str, note: Path) -> None:
    """Start workers, note their numbers, and end without closing them."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    multiprocessing.set_start_method(method, force=True)
    found = iter(Workers(endless, 2))
    pids = {next(found) for _ in range(4)}
    note.with_suffix(".part").write_text(" ".join(map(str, pids)))
    note.with_suffix(".part").rename(note)
    if how == "_exit":
        os._exit(3)
    if how == "exception":
        sys.exit("nothing has been closed")
    time.sleep(PATIENCE)


@pytest.mark.parametrize(
    ("method", "how"),
    [
        *(("fork", how) for how in ("SIGKILL", "SIGTERM", "SIGHUP", "_exit", "exception")),
        *(pytest.param(method, "SIGKILL", marks=SLOW) for method in ("forkserver", "spawn")),
    ],
)
def test_workers_end_with_their_owner(method: str, how: str, tmp_path: Path) -> None:
    owner = apart(own_workers, method, how, tmp_path / "pids")
    assert wait_for((tmp_path / "pids").is_file)
    if how.startswith("SIG"):
        os.kill(owner.pid, signal.Signals[how])
    owner.join(PATIENCE)
    assert owner.exitcode is not None
    pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    assert wait_for(lambda: all(is_gone(pid) for pid in pids))


def test_the_watch_alone_ends_workers_where_the_kernel_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("verydeep.system.workers.parent_watch._request_death_signal", lambda: None)
    process = multiprocessing.get_context("fork").Process(
        target=own_workers, args=("fork", "SIGKILL", tmp_path / "pids")
    )
    process.start()
    assert wait_for((tmp_path / "pids").is_file)
    process.kill()
    process.join()
    pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
    assert wait_for(lambda: all(is_gone(pid) for pid in pids))


def test_workers_that_nobody_asks_any_more_end_with_the_program() -> None:
    code = (
        "from verydeep.system.workers.pool import Workers\n"
        "import itertools, sys\n"
        "kept = iter(Workers(lambda worker, workers: itertools.count(), 2))\n"
        "sys.stdout.write(str(next(kept)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0", "")


# ---- shared memory ----


def small_shared_memory() -> list[str]:
    """Return a command that runs another with a /dev/shm of 64 KB; skip where that is forbidden."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare")
    script = 'mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "$@"'
    words = ["unshare", "-m", "sh", "-c", script, "sh"]
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("mounts are forbidden here")
    return words


def test_a_small_dev_shm_does_not_matter() -> None:
    code = (
        "import itertools, os, torch\n"
        "from verydeep.system.workers.pool import Workers\n"
        "make = lambda worker, workers: (torch.full((2**22,), worker) for _ in range(4))\n"
        "with Workers(make, 2) as workers:\n"
        "    print(sum(int(one.sum()) for one in workers), os.statvfs('/dev/shm').f_blocks)\n"
    )
    command = [*small_shared_memory(), sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout.split()) == (0, [str(4 * 2**22), "16"]), done.stderr


def test_without_files_in_memory_all_goes_through_the_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "can_share", lambda: False)
    monkeypatch.delattr(os, "memfd_create", raising=False)
    large = torch.arange(SHARED_FROM)
    with Workers(lambda worker, workers: iter([large, large]), 2) as workers:
        assert all(torch.equal(one, large) for one in workers)
