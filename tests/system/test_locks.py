"""One process at a time writes to a folder, despite kills and forks."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import pytest

from verydeep.errors import FolderInUse, InputError
from verydeep.system import locks
from verydeep.system.locks import NAME, hold

FORK = multiprocessing.get_context("fork")


def hold_until_told(folder: Path, ends: Connection, brief: bool, forks: bool) -> None:
    """Hold a folder until a word comes; say so first, with the number of a forked worker."""
    with hold(folder, brief=brief):
        worker = os.fork() if forks else None
        if worker == 0:
            time.sleep(60)
            os._exit(0)
        ends.send(worker)
        ends.recv()


class Holder(NamedTuple):
    """A process that holds a folder.

    Attributes:
        process: The process.
        end: Tells it to end.
        worker: Number of the process that it forked, if it did.
    """

    process: BaseProcess
    end: Connection
    worker: int | None

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


@contextmanager
def holder(folder: Path, *, brief: bool = False, forks: bool = False) -> Iterator[Holder]:
    """A process that holds a folder until it is told to end."""
    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=hold_until_told, args=(folder, theirs, brief, forks))
    process.start()
    found = Holder(process, ours, None)
    try:
        yield found._replace(worker=ours.recv())
    finally:
        found.kill()


def test_the_second_is_told_who_holds_it(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with holder(folder) as other:
        with pytest.raises(FolderInUse) as refused, hold(folder):
            pass
        for part in (str(other.process.pid), str(folder), "this machine", "pytest", "since"):
            assert part in str(refused.value)
        other.end.send(None)
        other.process.join()
    with hold(folder):
        assert json.loads((folder / NAME).read_text())["pid"] == os.getpid()


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        other.kill()
        assert (tmp_path / NAME).exists()
        with hold(tmp_path):
            pass
    assert not (tmp_path / NAME).exists()


def test_a_worker_that_outlives_its_parent_holds_nothing(tmp_path: Path) -> None:
    with holder(tmp_path, forks=True) as other:
        assert other.worker is not None
        try:
            other.kill()
            os.kill(other.worker, 0)  # it is still there
            with hold(tmp_path):
                pass
        finally:
            os.kill(other.worker, signal.SIGKILL)


def contend(folder: Path, start: object, won: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    try:
        with hold(folder):
            won.put(os.getpid())  # type: ignore[attr-defined]
            time.sleep(2.5 * locks.PATIENCE)
    except FolderInUse:
        won.put(None)  # type: ignore[attr-defined]


def test_of_many_at_the_same_moment_one_wins(tmp_path: Path) -> None:
    start, won = FORK.Barrier(4), FORK.Queue()
    processes = [
        FORK.Process(target=contend, args=(tmp_path / "new", start, won)) for _ in range(4)
    ]
    for process in processes:
        process.start()
    results = [won.get(timeout=30) for _ in processes]
    for process in processes:
        process.join()
    assert sum(result is not None for result in results) == 1


def test_the_same_thread_may_hold_it_again_and_another_not(tmp_path: Path) -> None:
    refused: list[str] = []

    def other() -> None:
        try:
            with hold(tmp_path):
                pass
        except FolderInUse as error:
            refused.append(str(error))

    with hold(tmp_path), hold(tmp_path / ".." / tmp_path.name):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert len(refused) == 1
        assert str(os.getpid()) in refused[0]
        assert (tmp_path / NAME).exists()
    other()
    assert len(refused) == 1


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold(tmp_path / "new"):
        raise ZeroDivisionError
    assert not (tmp_path / "new").exists()
    with hold(tmp_path / "new"):
        (tmp_path / "new" / "file").touch()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]


def test_a_folder_that_its_holder_removes_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, removals = tmp_path / "new", iter(range(3))
    opened = os.open

    def open_too_late(path: Path, *flags: int) -> int:
        if path == folder / NAME and next(removals, None) is not None:
            folder.rmdir()
        return opened(path, *flags)

    monkeypatch.setattr(os, "open", open_too_late)
    with hold(folder):
        assert (folder / NAME).is_file()
    assert next(removals, None) is None


def test_who_will_be_done_in_a_moment_is_waited_for(tmp_path: Path) -> None:
    with holder(tmp_path, brief=True) as other:
        timer = threading.Timer(1.5 * locks.PATIENCE, other.end.send, [None])
        timer.start()
        with hold(tmp_path):
            pass
        timer.join()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("thesis")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / NAME).symlink_to(tmp_path / "precious")
    with pytest.raises(InputError, match="cannot be written"), hold(tmp_path / "run"):
        pass
    assert (tmp_path / "precious").read_text() == "thesis"


def test_where_there_are_no_locks_the_file_says_who_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import fcntl

    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with holder(tmp_path) as other:
        monkeypatch.setattr(fcntl, "lockf", unsupported)
        with pytest.raises(FolderInUse, match=str(other.process.pid)), hold(tmp_path):
            pass
        other.kill()
        with hold(tmp_path):
            pass
