"""Parts of a study done one after the other, or side by side in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from verydeep.errors import Interrupted, MachineError, VeryDeepError
from verydeep.run.reproduce.parts import do_part
from verydeep.run.reproduce.remaining import SideBySide, remaining
from verydeep.run.reproduce.speeds import share_of_cores
from verydeep.run.reproduce.study import Study
from verydeep.study.plan import Part
from verydeep.system.option_names import command_or_call
from verydeep.system.progress import PlainProgress, Progress
from verydeep.system.workers.parent_watch import Owner, end_with

LOOK = 1.0
"""Seconds after which waiting for processes looks for signals."""

LAST = 120.0
"""Seconds that a stopped process has for its last checkpoint."""


Finished = Callable[[Part, str, float], None]
"""Called with a finished part, its outcome in words, and its seconds."""


def do_all(
    study: Study, parts: Sequence[Part], jobs: int, progress: Progress, finished: Finished
) -> None:
    """Do all parts that are not done yet.

    Args:
        study: The study.
        parts: In an order in which each comes after those it needs.
        jobs: Parts at a time.
        progress: Progress of a part, if one at a time is done.
        finished: Called after each part.

    Raises:
        Interrupted: A signal stopped the study; the same call goes on.
        MachineError: A process was killed, or the disk is full; likewise.
    """
    if jobs > 1:
        _Pool(study, jobs, finished).run(parts)
        return
    for part in remaining(study, parts, study.results()):
        started = time.monotonic()
        with _going_on():
            said = do_part(study, part, progress)
        finished(part, said, time.monotonic() - started)


@contextmanager
def _going_on() -> Iterator[None]:
    """Say how to go on with the study, instead of with one of its runs."""
    try:
        yield
    except Interrupted as error:
        reason = str(error).partition(";")[0]
        raise Interrupted(f"{reason}; the same {command_or_call()} goes on") from error


@dataclass
class _Running:
    """A part in its process.

    Attributes:
        part: The part.
        process: The process.
        outcome: Receives (outcome in words, error or None).
        slot: Number of its place, from 0 to jobs − 1.
        started: When it began, by the monotonic clock.
    """

    part: Part
    process: BaseProcess
    outcome: connection.Connection
    slot: int
    started: float = field(default_factory=time.monotonic)


class _Pool(SideBySide):
    """Processes that each do one part."""

    def __init__(self, study: Study, jobs: int, finished: Finished) -> None:
        self.study = study
        self.jobs = jobs
        self.finished = finished
        self.running: list[_Running] = []

    def busy(self) -> list[Part]:
        """Return the parts that are being done."""
        return [one.part for one in self.running]

    def start(self, part: Part) -> None:
        """Begin a part in a process of its own."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        slot = min(set(range(self.jobs)) - {one.slot for one in self.running})
        place = _Place(slot, self.jobs, Owner.here(), self.study.folder / "logs")
        process = context.Process(target=_work, args=(self.study, part, place, theirs))
        process.start()
        theirs.close()
        self.running.append(_Running(part, process, ours, slot))

    def wait(self) -> list[Part]:
        """Wait until parts end, and return them; signals interrupt the wait."""
        ended: list[object] = []
        while not ended:
            ended = [*connection.wait([one.process.sentinel for one in self.running], LOOK)]
        done = [one for one in self.running if one.process.sentinel in ended]
        for one in done:
            self.running.remove(one)
            one.process.join()
            said, error = _received(one)
            if error is not None:
                raise error
            self.finished(one.part, said, time.monotonic() - one.started)
        return [one.part for one in done]

    def stop(self) -> None:
        """Let running parts save their state and end."""
        for one in self.running:
            one.process.terminate()
        deadline = time.monotonic() + LAST
        for one in self.running:
            one.process.join(max(0.0, deadline - time.monotonic()))
            if one.process.is_alive():
                one.process.kill()
                one.process.join()


def _received(one: _Running) -> tuple[str, Exception | None]:
    """Return the outcome in words, and the error of a part that was not done."""
    try:
        said, error = one.outcome.recv()
    except EOFError:
        ended = f"{one.part}: its process ended with code {one.process.exitcode}"
        return "", MachineError(f"{ended}; the same {command_or_call()} goes on")
    return said, error


@dataclass(frozen=True)
class _Place:
    """Where a part is done.

    Attributes:
        slot: Number among the parts at a time.
        jobs: Parts at a time.
        owner: The process that does the study.
        logs: Folder for what the part prints.
    """

    slot: int
    jobs: int
    owner: Owner
    logs: Path


def _work(study: Study, part: Part, place: _Place, outcome: connection.Connection) -> None:
    """Do a part in this process, with its share of the cores or a GPU of its own."""
    end_with(place.owner)
    # Started anew, this process would start its own ones anew, too, each for seconds.
    multiprocessing.set_start_method(None, force=True)
    import torch

    place.logs.mkdir(exist_ok=True)
    with (place.logs / f"{part.name}.log").open("a", encoding="utf-8", buffering=1) as log:
        os.dup2(log.fileno(), sys.stderr.fileno())
        torch.set_num_threads(share_of_cores(place.jobs))
        if study.compute.device is None and (count := torch.cuda.device_count()):
            device = f"cuda:{place.slot % count}"
            study = replace(study, compute=replace(study.compute, device=device))
        error: Exception | None = None
        said = ""
        try:
            with _going_on():
                said = do_part(study, part, PlainProgress())
        except VeryDeepError as fault:
            error = fault
        outcome.send((said, error))
