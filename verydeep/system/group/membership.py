"""The group of processes that this one belongs to, as its launcher tells it; without torch."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from verydeep.errors import InputError

LOCALHOST = "127.0.0.1"

_PORTS = range(15_000, 30_000)
"""Ports for jobs of Slurm: below those that Linux hands out by itself."""

_SPECIAL_STEPS = 2**32 - 16
"""From this number on, a step of Slurm is a batch script, an interactive shell or the like."""


@dataclass(frozen=True, slots=True)
class Membership:
    """The place of this process in a group.

    Attributes:
        rank: Rank of this process, 0 ≤ rank < size.
        size: Number of processes on all machines.
        local_rank: Rank among the processes of this machine; its GPU has this number.
        local_size: Number of processes on this machine.
        address: Host name or address of the machine of rank 0, where the processes meet.
        port: Port there.
        launcher: Program that started the group; empty for a process on its own.
        job: Name of the group among others that could use the same port; may be empty.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    address: str = LOCALHOST
    port: int = 0
    launcher: str = ""
    job: str = ""


_own: Membership | None = None


def membership() -> Membership:
    """Return the place of this process: from our own launcher, torchrun's variables or Slurm's.

    Raises:
        InputError: A variable of the launcher has no meaning.
    """
    return _own or read_membership(os.environ, interactive=_has_terminal())


@contextmanager
def being(place: Membership) -> Iterator[None]:
    """Make this process a member of a group of our own launcher."""
    global _own  # noqa: PLW0603 - a process has one place
    before, _own = _own, place
    try:
        yield
    finally:
        _own = before


def read_membership(variables: Mapping[str, str], *, interactive: bool = False) -> Membership:
    """Return a process's place by environment variables.

    The variables of torchrun come first, so that it may run inside a step of Slurm; Ray sets the
    same ones. Slurm's count only in a step of ``srun`` with several tasks: the shell of a batch
    script and an interactive shell carry them too, but work alone.

    Args:
        variables: Environment variables.
        interactive: Whether somebody types in a terminal.

    Raises:
        InputError: A variable has no meaning.

    >>> read_membership({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}).rank
    3
    >>> read_membership({"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"}).size
    1
    """
    if "WORLD_SIZE" in variables:
        return _of_torchrun(variables)
    if _in_step(variables, interactive=interactive):
        return _of_slurm(variables)
    return Membership()


def _of_torchrun(variables: Mapping[str, str]) -> Membership:
    size = _number(variables, "WORLD_SIZE")
    if size == 1:
        return Membership(launcher="torchrun")
    rank = _number(variables, "RANK", 0)
    address = variables.get("MASTER_ADDR", LOCALHOST)
    # Started by hand, without the local rank, processes on one machine still take a GPU each.
    here = (rank, size) if address in (LOCALHOST, "localhost", "::1") else (0, 1)
    return _checked(
        Membership(
            rank=rank,
            size=size,
            local_rank=_number(variables, "LOCAL_RANK", here[0]),
            local_size=_number(variables, "LOCAL_WORLD_SIZE", here[1]),
            address=address,
            port=_number(variables, "MASTER_PORT", 0),
            launcher="torchrun",
        )
    )


def _in_step(variables: Mapping[str, str], *, interactive: bool) -> bool:
    """Return whether the process is one of several tasks of ``srun``."""
    if "SLURM_PROCID" not in variables:
        return False
    if not {"SLURM_STEP_ID", "SLURM_STEP_NODELIST", "SLURM_STEP_NUM_TASKS"} & variables.keys():
        return False  # the shell of a batch script
    if _number(variables, "SLURM_STEP_ID", 0) >= _SPECIAL_STEPS:
        return False  # the shell of salloc
    if interactive and "SLURM_PTY_PORT" in variables:
        return False  # srun --pty bash
    return _tasks(variables) > 1


def _tasks(variables: Mapping[str, str]) -> int:
    alone = _number(variables, "SLURM_NTASKS", 1)
    return _number(variables, "SLURM_STEP_NUM_TASKS", alone)


def _of_slurm(variables: Mapping[str, str]) -> Membership:
    size = _tasks(variables)
    nodes = variables.get("SLURM_STEP_NODELIST") or variables.get("SLURM_NODELIST", "")
    count = _number(variables, "SLURM_STEP_NUM_NODES", _number(variables, "SLURM_NNODES", 1))
    address = first_host(nodes) if nodes and count > 1 else LOCALHOST
    return _checked(
        Membership(
            rank=_number(variables, "SLURM_PROCID"),
            size=size,
            local_rank=_number(variables, "SLURM_LOCALID", 0),
            local_size=_tasks_here(variables, size if count == 1 else 1),
            address=variables.get("MASTER_ADDR", address),
            port=_number(variables, "MASTER_PORT", _port_of(variables)),
            launcher="Slurm",
            job="{}.{}".format(*_step(variables)),
        )
    )


def _port_of(variables: Mapping[str, str]) -> int:
    """Return a port that all tasks of a step agree on, and other steps hardly have."""
    job, step = _step(variables)
    return _PORTS[(job * 31 + step) % len(_PORTS)]


def _step(variables: Mapping[str, str]) -> tuple[int, int]:
    """Return the numbers of a job and of its step."""
    job, step = (_number(variables, f"SLURM_{name}_ID", 0) for name in ("JOB", "STEP"))
    return job, step


def _tasks_here(variables: Mapping[str, str], default: int) -> int:
    """Return the number of the step's tasks on this node, from a list like ``4(x2),3``."""
    text = variables.get("SLURM_STEP_TASKS_PER_NODE") or variables.get("SLURM_TASKS_PER_NODE")
    if not text:
        return _number(variables, "SLURM_NTASKS_PER_NODE", default)
    node = _number(variables, "SLURM_NODEID", 0)
    for part in text.split(","):
        found = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part.strip())
        if found is None:
            break
        node -= int(found[2] or 1)
        if node < 0:
            return int(found[1])
    return default


def first_host(nodes: str) -> str:
    """Return the first host of a list of Slurm.

    >>> first_host("gpu[07-09,12],login"), first_host("a1,a2"), first_host("rack[1-2]n[03,04]")
    ('gpu07', 'a1', 'rack1n03')
    """
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])*", nodes)
    return re.sub(r"\[([^\],-]*)[^\]]*\]", r"\1", first[0]) if first else nodes


def _checked(place: Membership) -> Membership:
    if not 0 <= place.rank < place.size or not 0 <= place.local_rank < max(1, place.local_size):
        raise InputError(
            f"{place.launcher} gives rank {place.rank} of {place.size} and local rank "
            f"{place.local_rank} of {place.local_size}: ranks count from 0 and end before the "
            "number of processes; set RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE alike in "
            "every process, or none of them"
        )
    return place


def _number(variables: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = variables.get(name, "")
    if not text and default is not None:
        return default
    try:
        return int(text)
    except ValueError:
        raise InputError(
            f"the environment variable {name} must be a whole number, got {text!r} instead; a "
            "launcher (torchrun, srun) sets it, so unset it for a process on its own"
        ) from None


def _has_terminal() -> bool:
    try:
        return sys.stdin is not None and sys.stdin.isatty()
    except ValueError:  # closed
        return False
