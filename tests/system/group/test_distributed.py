"""Process groups of one and two, over real connections."""

from __future__ import annotations

import functools
import json
import os
import socket
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import Mock

import pytest
import torch
from groups import together
from tiny import apart
from torch import distributed

from verydeep.errors import MachineError, ProcessLost
from verydeep.system.group import distributed as distributed_module
from verydeep.system.group import meeting
from verydeep.system.group.distributed import Group, is_first, joined
from verydeep.system.group.lost_process import lost_connection
from verydeep.system.group.membership import Membership, being

PATIENCE = 60  # seconds until processes are taken for stuck


class Told(NamedTuple):
    """A small value of a class of ours."""

    name: str
    seconds: dict[int, float]


@pytest.fixture(autouse=True)
def without_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)


# ---- alone ----


def test_a_process_that_nobody_started_with_others_is_alone() -> None:
    with joined() as group:
        assert group == Group() == Group(0, 1)
        assert not distributed.is_initialized()
    assert is_first()


def test_one_process_of_one_is_alone_and_connects_to_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("MASTER_ADDR", "host.invalid")
    monkeypatch.setenv("MASTER_PORT", "1")
    with joined() as group:
        assert group == Group(0, 1)
        assert not distributed.is_initialized()


def test_who_is_alone_sums_and_gathers_what_it_has() -> None:
    value = torch.tensor([1.5, -2.0])
    assert Group().sum(value) is value
    assert value.tolist() == [1.5, -2.0]
    told = Told("a", {1: 2.0})
    (found,) = Group().gather(told)
    assert found is told


@pytest.mark.parametrize(("rank", "first"), [("0", True), ("1", False), ("10", False)])
def test_the_first_is_number_zero(rank: str, first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", rank)
    assert is_first()  # nobody else is there
    monkeypatch.setenv("WORLD_SIZE", "11")
    assert is_first() == first


def test_a_group_is_a_value() -> None:
    assert len({Group(0, 2), Group(1, 2), Group(0, 2)}) == 2
    with pytest.raises(AttributeError):
        Group().rank = 1


# ---- together ----


def sum_and_gather() -> dict[str, Any]:
    with joined() as group:
        rank = group.rank
        floats = torch.tensor([[1.5, 2.0], [0.0, -1.0]]) * (rank + 1)
        total = group.sum(floats)
        told = group.gather(Told(f"rank {rank}", {rank: 0.5 * rank}))
        return {
            "group": [rank, group.size],
            "first": is_first(),
            "backend": distributed.get_backend(),
            "same": total is floats,
            "floats": total.tolist(),
            "whole": group.sum(torch.tensor([2**60 + rank])).tolist(),
            "told": [[value.name, list(value.seconds.items())] for value in told],
            "types": [type(value) is Told for value in told],
            # Faults are of other sizes in every process.
            "sizes": [
                len(value) for value in group.gather(dict.fromkeys(range(rank * 50), "fault"))
            ],
        }


@pytest.mark.parametrize("size", [2, 3])
def test_all_know_the_sum_and_what_each_has_told(size: int, tmp_path: Path) -> None:
    found = together(sum_and_gather, size, tmp_path)
    factor = sum(range(1, size + 1))
    for rank, one in enumerate(found):
        assert one["group"] == [rank, size]
        assert one["first"] == (rank == 0)
        assert one["backend"] == "gloo"
        assert one["same"]
        assert one["floats"] == [[1.5 * factor, 2.0 * factor], [0.0, -1.0 * factor]]
        assert one["whole"] == [size * 2**60 + sum(range(size))]
        assert one["told"] == [[f"rank {other}", [[other, 0.5 * other]]] for other in range(size)]
        assert all(one["types"])
        assert one["sizes"] == [50 * other for other in range(size)]


def join_again_and_again() -> list[Any]:
    found: list[Any] = []
    for turn in range(10):
        with joined() as group:
            found.append(group.sum(torch.tensor(turn + group.rank)).item())
        found.append(distributed.is_initialized())
    return found


def test_a_group_that_parted_can_join_again(tmp_path: Path) -> None:
    found = together(join_again_and_again, 2, tmp_path)
    assert found == [[value for n in range(10) for value in (2 * n + 1, False)]] * 2


def join_within() -> list[Any]:
    found: list[Any] = []
    with joined() as outer:
        with joined() as inner:
            found.append(inner == outer == Group(int(os.environ["RANK"]), 2))
        found += [distributed.is_initialized(), outer.gather(outer.rank)]
    return [*found, distributed.is_initialized()]


def test_who_is_joined_already_stays_so(tmp_path: Path) -> None:
    assert together(join_within, 2, tmp_path) == [[True, True, [0, 1], False]] * 2


def use_a_group_of_the_callers() -> list[Any]:
    distributed.init_process_group("gloo")
    with joined() as group:
        found = group.gather(group.rank)
    still = distributed.is_initialized()
    distributed.destroy_process_group()
    return [found, still]


def test_a_group_that_the_caller_has_made_is_used_and_left_to_it(tmp_path: Path) -> None:
    assert together(use_a_group_of_the_callers, 2, tmp_path) == [[[0, 1], True]] * 2


def fail_inside() -> list[Any]:
    try:
        with joined():
            raise ZeroDivisionError
    except ZeroDivisionError:
        return [distributed.is_initialized()]


def test_an_error_inside_parts_the_group(tmp_path: Path) -> None:
    assert together(fail_inside, 2, tmp_path) == [[False]] * 2


def leave_at_once() -> list[float]:
    connect, connected = distributed.init_process_group, []

    def connect_late(*arguments: Any, **options: Any) -> None:
        connect(*arguments, **options)
        time.sleep(0 if is_first() else 1)
        connected.append(time.monotonic())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed, "init_process_group", connect_late)
        with joined():
            pass
    return [*connected, time.monotonic()]


def test_nobody_leaves_before_all_are_connected(tmp_path: Path) -> None:
    (_, left), (connected, _) = together(leave_at_once, 2, tmp_path)
    assert left > connected


def fail_while_each_waits_for_the_other() -> list[Any]:
    try:
        with joined() as group:
            group.wait_for_all()
            distributed.broadcast(torch.zeros(1), 1 - group.rank, async_op=True)
            raise ZeroDivisionError
    except ZeroDivisionError:
        return [distributed.is_initialized()]


def test_who_fails_does_not_wait_for_another_that_waits_for_it(tmp_path: Path) -> None:
    assert together(fail_while_each_waits_for_the_other, 2, tmp_path) == [[False]] * 2


def fail_to_connect_before() -> list[Any]:
    if is_first():
        store, seconds = distributed.HashStore(), timedelta(seconds=0.1)
        with pytest.raises(RuntimeError):
            distributed.init_process_group(
                "gloo", store=store, rank=0, world_size=2, timeout=seconds
            )
    with joined() as group:
        return group.gather(group.rank)


def test_who_has_failed_to_connect_can_join_later(tmp_path: Path) -> None:
    assert together(fail_to_connect_before, 2, tmp_path) == [[0, 1]] * 2


def end_before_connecting() -> list[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed_module, "CONNECTING", timedelta(seconds=1))
        if not is_first():
            patch.setattr(distributed_module, "_connect", Mock(side_effect=ZeroDivisionError))
        try:
            with joined():
                return ["connected"]
        except (ProcessLost, ZeroDivisionError) as error:
            return [type(error).__name__, str(error)]


def test_who_waits_for_a_process_that_met_and_never_connects_is_told(tmp_path: Path) -> None:
    first, _ = together(end_before_connecting, 2, tmp_path)
    assert first[0] == "ProcessLost"
    assert "process 0 of 2 has met the others, but cannot connect to them" in first[1]


def wait_longer_than_for_connections() -> list[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed_module, "CONNECTING", timedelta(seconds=2))
        with joined() as group:
            if group.first:
                time.sleep(4)
            return group.gather(group.rank)


def test_an_operation_may_take_longer_than_connecting(tmp_path: Path) -> None:
    assert together(wait_longer_than_for_connections, 2, tmp_path) == [[0, 1]] * 2


def make_rows(counts: tuple[int, ...]) -> list[Any]:
    with joined() as group:
        rows = (torch.tensor([group.rank, number]) for number in range(counts[group.rank]))
        return [row.tolist() for row in group.rows_for_first(rows)]


@pytest.mark.parametrize("counts", [(2, 3), (0, 2), (2, 0), (0, 0)])
def test_the_first_process_gets_the_rows_of_all(counts: tuple[int, ...], tmp_path: Path) -> None:
    first, second = together(functools.partial(make_rows, counts), 2, tmp_path)
    assert sorted(first) == [[rank, number] for rank in (0, 1) for number in range(counts[rank])]
    assert second == []


# ---- other launchers ----


def be_a_task(rank: int, size: int, folder: Path) -> None:
    """Be a task of a step of Slurm on this machine."""
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        os.environ.pop(name, None)
    os.environ |= {
        "SLURM_JOB_ID": str(os.getppid()),  # hence a port that other tests do not have
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NODELIST": "nowhere",
        "SLURM_STEP_NUM_TASKS": str(size),
        "SLURM_STEP_TASKS_PER_NODE": str(size),
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank),
    }
    with joined() as group:
        (folder / f"{rank}.json").write_text(json.dumps(group.gather([group.rank, is_first()])))


def test_tasks_of_slurm_find_each_other(tmp_path: Path) -> None:
    tasks = [apart(be_a_task, rank, 2, tmp_path) for rank in range(2)]
    for task in tasks:
        task.join(PATIENCE)
    assert [task.exitcode for task in tasks] == [0, 0]
    for rank in range(2):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == [[0, True], [1, False]]


def test_a_port_that_is_taken_is_told_with_what_to_set() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = Membership(0, 2, 0, 2, "127.0.0.1", taken.getsockname()[1], "Slurm")
        message = f"process 0 of 2 cannot meet the others at 127.0.0.1:{place.port}.*MASTER_PORT"
        with being(place), pytest.raises(MachineError, match=message), joined():
            pass


def test_those_who_never_come_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "MEETING", 0.1)
    store = distributed.TCPStore("127.0.0.1", 0, 3, is_master=True, wait_for_workers=False)
    place = Membership(0, 3, 0, 3, "127.0.0.1", store.port, "verydeep")
    with (
        being(place),
        meeting.meeting_at(place, store),
        pytest.raises(MachineError, match=r"only 1 of 3 processes have come to 127\.0\.0\.1"),
        joined(),
    ):
        pass


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (RuntimeError("[gloo/transport/tcp/pair.cc:545] Read error: Connection reset"), True),
        (RuntimeError("NCCL error: remote process exited"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("gloo"), False),
        (None, False),
    ],
)
def test_the_loss_of_another_process_is_known_by_the_error(
    error: Exception | None, lost: bool
) -> None:
    assert lost_connection(error) == lost
    assert lost_connection(KeyError("x").with_traceback(None)) is False
    wrapped = KeyError("x")
    wrapped.__cause__ = error
    assert lost_connection(wrapped) == lost
