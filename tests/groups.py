"""Groups of processes on this machine, as torchrun starts them."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tiny import apart, be_the_program

PATIENCE = 60  # seconds until processes are taken for stuck


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def become_member(rank: int, size: int, port: int) -> None:
    """Give this process the variables of torchrun."""
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }


def be_one_of_many(act: Callable[[], Any], rank: int, size: int, port: int, results: Path) -> None:
    """Be a process as torchrun starts it; what it finds goes to a file."""
    become_member(rank, size, port)
    torch.set_num_threads(1)
    try:
        found = act()
    except BaseException:
        results.write_text(json.dumps({"error": traceback.format_exc()}))
        sys.exit(1)
    results.write_text(json.dumps({"found": found}))


def together(act: Callable[[], Any], size: int, folder: Path) -> list[Any]:
    """Return what each of several processes found."""
    port = free_port()
    files = [folder / f"{rank}.json" for rank in range(size)]
    processes = [
        apart(be_one_of_many, act, rank, size, port, file) for rank, file in enumerate(files)
    ]
    try:
        deadline = time.monotonic() + PATIENCE
        for process in processes:
            process.join(max(0, deadline - time.monotonic()))
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()
                process.join()
    outcomes = [
        json.loads(file.read_text()) if file.exists() else {"error": "it ended with no word"}
        for file in files
    ]
    errors = [outcome["error"] for outcome in outcomes if "error" in outcome]
    assert not errors, "\n".join(errors)
    assert [process.exitcode for process in processes] == [0] * size
    return [outcome["found"] for outcome in outcomes]


class Ended(NamedTuple):
    """How a process of a group has ended."""

    code: int | None
    err: str
    seconds: float


def be_the_program_in_a_group(
    arguments: Sequence[str], errors: Path, rank: int, size: int, port: int
) -> None:
    become_member(rank, size, port)
    be_the_program(arguments, errors)


class Members:
    """The program, started in several processes; stderr goes to files beside ``out``."""

    def __init__(self, arguments: Sequence[str], size: int, out: Path) -> None:
        port = free_port()
        self.files = [out.with_suffix(f".{rank}.err") for rank in range(size)]
        self.processes: list[BaseProcess] = [
            apart(be_the_program_in_a_group, arguments, file, rank, size, port)
            for rank, file in enumerate(self.files)
        ]

    def wait(self, patience: float = PATIENCE) -> list[Ended]:
        """Wait for all; return how each ended, and the seconds since the first of them."""
        started, ends = time.monotonic(), dict[int, float]()
        while len(ends) < len(self.processes) and time.monotonic() < started + patience:
            for rank, process in enumerate(self.processes):
                if rank not in ends and not process.is_alive():
                    ends[rank] = time.monotonic()
            time.sleep(0.02)
        stuck = [rank for rank in range(len(self.processes)) if rank not in ends]
        self.kill()
        said = [file.read_text() if file.exists() else "" for file in self.files]
        assert not stuck, f"ranks {stuck} do not end: {said}"
        first = min(ends.values())
        return [
            Ended(process.exitcode, err, ends[rank] - first)
            for rank, (process, err) in enumerate(zip(self.processes, said, strict=True))
        ]

    def kill(self) -> None:
        for process in self.processes:
            if process.is_alive():
                process.kill()
            process.join()


@contextmanager
def members(arguments: Sequence[str], size: int, out: Path) -> Iterator[Members]:
    """Start the program in several processes; those that still run in the end are killed."""
    started = Members(arguments, size, out)
    try:
        yield started
    finally:
        started.kill()


def run_together(arguments: Sequence[str], size: int, out: Path) -> list[Ended]:
    """Run the program in several processes, to its good end."""
    with members(arguments, size, out) as started:
        ended = started.wait(180)
    assert [one.code for one in ended] == [0] * size, [one.err for one in ended]
    return ended
