"""Processes of a group end together, whatever happens to one of them."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from groups import become_member, free_port
from tiny import apart
from torch import distributed

from verydeep.errors import DataError, InputError, ProcessLost, VeryDeepError
from verydeep.system.group.distributed import Group, joined
from verydeep.system.group.watch import GroupWatch

SOON = 30


def be_watched(act: Callable[[Group], Any], rank: int, size: int, port: int, results: Path) -> None:
    """Act within a watched group; write down how it ended, and what was to be printed."""
    become_member(rank, size, port)
    word: dict[str, Any]
    try:
        with joined() as group, GroupWatch(group):
            word = {"found": act(group)}
    except VeryDeepError as error:
        word = {"kind": type(error).__name__, "text": str(error), "reported": error.reported}
    except BaseException as error:
        word = {"kind": type(error).__name__, "text": str(error), "reported": False}
    results.write_text(json.dumps(word))


def outcomes(act: Callable[[Group], Any], size: int, folder: Path) -> list[dict[str, Any]]:
    """Return how each process ended; all must do so soon."""
    files, port = [folder / f"{rank}.json" for rank in range(size)], free_port()
    started = time.monotonic()
    processes = [apart(be_watched, act, rank, size, port, file) for rank, file in enumerate(files)]
    try:
        for process in processes:
            process.join(max(0, started + SOON + 10 - time.monotonic()))
            assert process.exitcode is not None
    finally:
        for process in processes:
            process.kill()
            process.join()
    return [json.loads(file.read_text()) if file.exists() else {"kind": None} for file in files]


def wait_for(group: Group) -> None:
    """Wait for the others in one of the ways in which processes do."""
    if group.rank == 1:
        group.wait_for_all()
    group.sum(torch.zeros(1))


def test_alone_there_is_nobody_to_watch() -> None:
    with GroupWatch(Group()) as watch:
        assert watch.lost is None
    with pytest.raises(ZeroDivisionError), GroupWatch(Group()):
        raise ZeroDivisionError


def all_is_well(group: Group) -> Any:
    group.wait_for_all()
    return group.broadcast({"rank": group.rank})


def test_a_good_end_is_one(tmp_path: Path) -> None:
    assert outcomes(all_is_well, 3, tmp_path) == [{"found": {"rank": 0}}] * 3


def fail_first(group: Group) -> None:
    if group.first:
        raise DataError("no such folder")
    group.broadcast(0)


def fail_second(group: Group) -> None:
    if group.rank == 1:
        raise DataError("no such folder")
    group.broadcast(0)
    wait_for(group)


def fail_second_and_be_heard_late(group: Group) -> None:
    """The connections of the third break a second before it has read why."""
    heard = GroupWatch._failed

    def late(*arguments: Any) -> VeryDeepError:
        time.sleep(1)
        return heard(*arguments)

    if group.rank == 2:
        pytest.MonkeyPatch().setattr(GroupWatch, "_failed", late)
    fail_second(group)


def fail_by_a_fault(group: Group) -> None:
    if group.rank == 1:
        raise ZeroDivisionError("one over zero")
    wait_for(group)


def all_fail(group: Group) -> None:
    raise InputError(f"an unknown net, told by {group.rank}")


def test_an_error_of_the_first_ends_all_and_is_printed_once(tmp_path: Path) -> None:
    first, *others = outcomes(fail_first, 3, tmp_path)
    assert first == {"kind": "DataError", "text": "no such folder", "reported": False}
    assert others == [{**first, "reported": True}] * 2


@pytest.mark.parametrize("act", [fail_second, fail_second_and_be_heard_late])
def test_an_error_of_another_is_printed_by_the_first_with_its_rank(
    act: Callable[[Group], Any], tmp_path: Path
) -> None:
    first, second, third = outcomes(act, 3, tmp_path)
    assert first == {"kind": "DataError", "text": "rank 1: no such folder", "reported": False}
    assert second == {"kind": "DataError", "text": "no such folder", "reported": True}
    assert third == {**first, "reported": True}


def test_a_fault_of_ours_in_another_process_ends_all(tmp_path: Path) -> None:
    first, second = outcomes(fail_by_a_fault, 2, tmp_path)
    assert first["kind"] == "MachineError"
    assert first["text"] == "rank 1: ZeroDivisionError: one over zero"
    assert second["kind"] == "ZeroDivisionError"


def test_an_error_that_all_meet_is_printed_once(tmp_path: Path) -> None:
    first, *others = outcomes(all_fail, 3, tmp_path)
    assert first["text"] == "an unknown net, told by 0"
    assert not first["reported"]
    assert all(other["kind"] == "InputError" and other["reported"] for other in others)


def kill_first(group: Group) -> None:
    if group.first:
        os.kill(os.getpid(), signal.SIGKILL)
    wait_for(group)


def kill_first_while_others_wait_for_each_other(group: Group) -> None:
    if group.first:
        os.kill(os.getpid(), signal.SIGKILL)
    distributed.recv(torch.zeros(1), 3 - group.rank)


def kill_last(group: Group) -> None:
    if group.rank == group.size - 1:
        os.kill(os.getpid(), signal.SIGKILL)
    wait_for(group)


def kill_last_while_others_work(group: Group) -> None:
    if group.rank == group.size - 1:
        os.kill(os.getpid(), signal.SIGKILL)
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "act",
    [
        kill_first,
        kill_first_while_others_wait_for_each_other,
        kill_last,
        kill_last_while_others_work,
    ],
)
def test_when_one_is_killed_the_others_end_and_one_says_so(
    act: Callable[[Group], None], tmp_path: Path
) -> None:
    found = outcomes(act, 3, tmp_path)
    killed = 2 if act in (kill_last, kill_last_while_others_work) else 0
    assert found.pop(killed) == {"kind": None}
    assert {one["kind"] for one in found} == {ProcessLost.__name__}
    assert f"rank {killed} of 3 processes has ended" in found[0]["text"]
    assert [one["reported"] for one in found] == [False, True]
