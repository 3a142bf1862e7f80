"""The place of a process, by the variables of its launcher."""

from __future__ import annotations

import pytest

from verydeep.errors import InputError
from verydeep.system.group.membership import (
    LOCALHOST,
    Membership,
    being,
    first_host,
    membership,
    read_membership,
)

TORCHRUN = {
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "first",
    "MASTER_PORT": "29500",
}
STEP = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NUM_TASKS": "6",
    "SLURM_STEP_TASKS_PER_NODE": "3(x2)",
    "SLURM_NODEID": "1",
    "SLURM_PROCID": "4",
    "SLURM_LOCALID": "1",
    "SLURM_NTASKS": "6",
}
BATCH_SHELL = {
    "SLURM_JOB_ID": "4711",
    "SLURM_JOB_NODELIST": "gpu[07-08]",
    "SLURM_NODELIST": "gpu[07-08]",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_NTASKS": "6",
    "SLURM_NNODES": "2",
    "SLURM_TASKS_PER_NODE": "3(x2)",
}


def test_without_variables_a_process_is_alone() -> None:
    assert read_membership({}) == Membership(0, 1, 0, 1, LOCALHOST, 0, "")


def test_torchruns_variables_are_read() -> None:
    expected = Membership(5, 8, 1, 4, "first", 29500, "torchrun")
    assert read_membership(TORCHRUN) == expected


def test_one_process_of_torchrun_is_alone() -> None:
    assert read_membership({**TORCHRUN, "RANK": "0", "WORLD_SIZE": "1"}).size == 1


def test_torchrun_within_a_step_of_slurm_counts() -> None:
    assert read_membership({**STEP, **TORCHRUN}).launcher == "torchrun"


@pytest.mark.parametrize(
    ("address", "local"), [("127.0.0.1", (1, 2)), ("localhost", (1, 2)), ("first", (0, 1))]
)
def test_processes_started_by_hand_on_one_machine_have_local_ranks(
    address: str, local: tuple[int, int]
) -> None:
    found = read_membership({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": address})
    assert (found.local_rank, found.local_size) == local


def test_slurms_variables_are_read() -> None:
    found = read_membership(STEP)
    assert (found.rank, found.size, found.local_rank, found.local_size) == (4, 6, 1, 3)
    assert (found.address, found.launcher) == ("gpu07", "Slurm")


def test_all_tasks_of_a_step_meet_at_one_place_and_steps_at_several() -> None:
    ports = {
        (job, step): {
            read_membership(
                {
                    **STEP,
                    "SLURM_JOB_ID": str(job),
                    "SLURM_STEP_ID": str(step),
                    "SLURM_PROCID": str(rank),
                }
            ).port
            for rank in range(6)
        }
        for job in (4711, 4712)
        for step in (0, 1)
    }
    assert all(len(found) == 1 for found in ports.values())
    assert len(set.union(*ports.values())) == 4
    # Linux hands out ports from 32,768 on; those below 1,024 are reserved.
    assert all(1024 <= port < 32768 for found in ports.values() for port in found)


def test_a_step_on_one_machine_meets_there_without_names() -> None:
    few = {**STEP, "SLURM_STEP_NODELIST": "gpu07", "SLURM_STEP_NUM_NODES": "1"}
    assert read_membership({**few, "SLURM_STEP_TASKS_PER_NODE": "6"}).address == LOCALHOST


def test_the_usual_variables_alone_make_a_step() -> None:
    found = read_membership(
        {
            "SLURM_PROCID": "1",
            "SLURM_NTASKS": "2",
            "SLURM_LOCALID": "1",
            "SLURM_STEP_NODELIST": "here",
        }
    )
    assert (found.rank, found.size, found.local_rank, found.local_size) == (1, 2, 1, 2)


def test_an_address_and_a_port_of_the_script_are_taken() -> None:
    found = read_membership({**STEP, "MASTER_ADDR": "other", "MASTER_PORT": "1234"})
    assert (found.address, found.port) == ("other", 1234)


@pytest.mark.parametrize(
    ("counts", "node", "here"),
    [("3(x2)", 0, 3), ("3(x2),1", 2, 1), ("4,2", 1, 2), ("5", 0, 5), ("2(x3),1(x2)", 4, 1)],
)
def test_the_tasks_of_this_machine_are_counted(counts: str, node: int, here: int) -> None:
    found = read_membership(
        {
            **STEP,
            "SLURM_STEP_TASKS_PER_NODE": counts,
            "SLURM_NODEID": str(node),
            "SLURM_LOCALID": "0",
        }
    )
    assert found.local_size == here


@pytest.mark.parametrize(
    "variables",
    [
        BATCH_SHELL,
        {**STEP, "SLURM_STEP_ID": str(0xFFFFFFFA), "SLURM_PROCID": "0"},  # interactive
        {**STEP, "SLURM_STEP_ID": str(0xFFFFFFFB), "SLURM_PROCID": "0"},  # batch
        {**STEP, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"},
        {key: value for key, value in STEP.items() if key != "SLURM_PROCID"},
    ],
)
def test_a_shell_and_a_single_task_are_alone(variables: dict[str, str]) -> None:
    assert read_membership(variables).size == 1


def test_a_shell_of_srun_in_a_terminal_is_alone_but_its_own_steps_are_not() -> None:
    variables = {**STEP, "SLURM_PTY_PORT": "40000"}
    assert read_membership(variables, interactive=True).size == 1
    assert read_membership(variables).size == 6


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node1", "node1"),
        ("node1,node2", "node1"),
        ("gpu[007-012,020]", "gpu007"),
        ("a[2,4],b1", "a2"),
        ("rack[1-2]n[03-04]", "rack1n03"),
        ("node[1-2]-ib,x", "node1-ib"),
    ],
)
def test_the_first_host_of_a_list(nodes: str, first: str) -> None:
    assert first_host(nodes) == first


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE must be a whole number, got 'two'"),
        ({**TORCHRUN, "RANK": "8"}, "torchrun gives rank 8 of 8"),
        ({**TORCHRUN, "LOCAL_RANK": "4"}, "local rank 4 of 4"),
        ({**STEP, "SLURM_PROCID": "x"}, "SLURM_PROCID must be a whole number"),
    ],
)
def test_variables_without_meaning_are_refused(variables: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_membership(variables)


def test_our_own_launcher_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    own = Membership(1, 2, 1, 2, LOCALHOST, 1, "verydeep")
    with being(own):
        assert membership() == own
    assert membership().size == 8
