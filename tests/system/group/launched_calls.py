"""Calls that tests make in several processes, which import this module."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch

from verydeep.errors import InputError
from verydeep.system.device import choose_machine, usable_cores
from verydeep.system.group.distributed import is_first, joined
from verydeep.system.group.launch import in_processes
from verydeep.system.group.membership import membership
from verydeep.system.option_names import in_program, option


def introduce(word: str, *, progress: Any = None) -> list[dict[str, Any]]:
    """Return what each process is and knows."""
    with joined() as group:
        known = {
            "word": word,
            "rank": group.rank,
            "size": group.size,
            "local": membership().local_rank,
            "pid": os.getpid(),
            "parent": os.getppid(),
            "first": is_first(),
            "progress": progress,
            "in_program": in_program(),
            "threads": torch.get_num_threads(),
            "cores": usable_cores(),
            "arguments": sys.argv,
        }
        return group.gather(known)


def end_one(how: str) -> list[int]:
    """End process 1 in some way while the others wait for it."""
    if how == "early" and membership().rank == 1:
        os._exit(3)
    with joined() as group:
        if group.rank == 1:
            match how:
                case "refuses":
                    raise InputError(f"no such image; see {option('data')}")
                case "bug":
                    raise ZeroDivisionError
                case "exits":
                    sys.exit(7)
                case _:
                    os.kill(os.getpid(), getattr(signal, how))
                    time.sleep(60)
        return group.gather(group.rank)


def end_one_while_the_first_computes(seconds: float) -> None:
    """End process 1 while process 0 is busy with other things than waiting for it."""
    with joined() as group:
        if group.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            sum(range(1000))


def fail_first() -> None:
    """Fail in process 0 while the others wait for it."""
    with joined() as group:
        if group.rank == 0:
            raise KeyError("mine")
        group.gather(group.rank)


def fail_at_the_end() -> str:
    """Fail in process 1 when process 0 is done."""
    with joined() as group:
        group.gather(None)
    if membership().rank == 1:
        raise InputError("too late")
    return "done"


def sum_on_gpus() -> list[list[Any]]:
    """Return the device of each process, and a sum of all that it got there."""
    device = choose_machine().device
    with joined() as group:
        value = group.sum(torch.tensor(group.rank + 1.0, device=device))
        return group.gather([str(device), value.item()])


def nap(folder: Path) -> None:
    """Write the number of every process to a folder, and sleep."""
    with joined() as group:
        (folder / f"{group.rank}.pid").write_text(str(os.getpid()))
        group.gather(None)
        time.sleep(120)
        group.gather(None)


def start_in_turn(folder: Path) -> None:
    """Be a program that starts three processes."""
    in_processes(3, nap, folder)


class Unpicklable:
    """A value that no other process can be given."""

    def __reduce__(self) -> Any:
        raise TypeError("this cannot be pickled")
