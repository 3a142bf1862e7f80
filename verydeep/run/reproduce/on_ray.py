"""Parts of a study as tasks of a Ray cluster, in the same folder and with the same files."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from verydeep.errors import InputError, MachineError, VeryDeepError
from verydeep.run.ray_session import ray_session
from verydeep.run.reproduce.parts import do_part
from verydeep.run.reproduce.remaining import SideBySide
from verydeep.run.reproduce.study import Study
from verydeep.study.plan import Part
from verydeep.system.option_names import command_or_call, option
from verydeep.system.progress import PlainProgress

LOCAL = "local"
"""Address that stands for a cluster on this machine, for this study alone."""

WHAT = "parts of a study on a Ray cluster"

LOOK = 1.0
"""Seconds after which waiting for tasks looks for signals."""

LAST = 120.0
"""Seconds that stopped tasks have for their last checkpoints."""

RETRIES = 3
"""Times that Ray begins a part again whose worker was lost; it goes on from its checkpoint."""

Outcome = tuple[str, VeryDeepError | None]
"""A part's outcome in words, and the error of one that was not done."""


def do_all_on_ray(
    study: Study,
    parts: Sequence[Part],
    jobs: int,
    address: str,
    finished: Callable[[Part, str, float], None],
) -> None:
    """Do all parts that are not done yet, each as a task of a Ray cluster.

    Args:
        study: The study, with whole paths that all machines see.
        parts: In an order in which each comes after those it needs.
        jobs: Parts at a time.
        address: Address of the cluster, as for ``ray.init``, or ``local``.
        finished: Called after each part with its outcome in words and its seconds.

    Raises:
        MissingExtra: Ray is not installed.
        InputError: There is no cluster at the address.
        Interrupted: A signal stopped the study; the same call goes on.
        MachineError: Workers are lost again and again, or a disk is full; likewise.
    """
    there = None if address == LOCAL else address
    with ray_session(there, WHAT, "ray") as session:
        _Tasks(session.ray, study, jobs, finished).run(parts)


@dataclass
class _Tasks(SideBySide):
    """Tasks of a cluster, each of which does one part.

    Attributes:
        ray: Module of Ray.
        study: The study.
        jobs: Parts at a time.
        finished: Called after each part.
        running: Parts with the time of their beginning, by the reference to the outcome.
    """

    ray: Any
    study: Study
    jobs: int
    finished: Callable[[Part, str, float], None]
    running: dict[Any, tuple[Part, float]] = field(default_factory=dict)

    def busy(self) -> list[Part]:
        """Return the parts that are being done."""
        return [part for part, _ in self.running.values()]

    @cached_property
    def _task(self) -> Any:
        return self.ray.remote(_work).options(max_retries=RETRIES, **self._share())

    def start(self, part: Part) -> None:
        """Begin a part as a task."""
        self.running[self._task.remote(self.study, part)] = part, time.monotonic()

    def _share(self) -> dict[str, float]:
        """Return what a task takes of a machine: its share of the cores, or a GPU.

        Raises:
            InputError: There is no machine.
        """
        machines = [one["Resources"] for one in self.ray.nodes() if one["Alive"]]
        cores = [int(one.get("CPU", 0)) for one in machines]
        if not any(cores):
            raise InputError(f"{option('ray')}: the cluster has no machine with cores")
        share = max(1, min(max(cores), sum(cores) // self.jobs))
        has_gpus = any(one.get("GPU", 0) >= 1 for one in machines)
        return {"num_cpus": share, "num_gpus": 1 if has_gpus else 0}

    def wait(self) -> list[Part]:
        """Wait until a part ends, and return it; signals interrupt the wait."""
        done: list[Any] = []
        while not done:
            done, _ = self.ray.wait([*self.running], num_returns=1, timeout=LOOK)
        part, started = self.running.pop(done[0])
        said, error = self._outcome(part, done[0])
        if error is not None:
            raise error
        self.finished(part, said, time.monotonic() - started)
        return [part]

    def _outcome(self, part: Part, reference: Any) -> Outcome:
        try:
            said, error = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[0]
            raise MachineError(
                f"{part}: its worker was lost ({reason}); the same {command_or_call()} goes on"
            ) from error
        return said, error

    def stop(self) -> None:
        """Let running parts save their state and end."""
        for reference in self.running:
            self.ray.cancel(reference)
        if self.running:
            self.ray.wait([*self.running], num_returns=len(self.running), timeout=LAST)


def _work(study: Study, part: Part) -> Outcome:
    """Do a part in a worker; return an error that another try would only repeat."""
    import ray
    import torch

    if not ray.get_gpu_ids():
        cores = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)
        torch.set_num_threads(max(1, int(cores)))
    with _logged(study.folder / "logs" / f"{part.name}.log"):
        try:
            return do_part(study, part, PlainProgress()), None
        except VeryDeepError as error:
            return "", error


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Append what is printed to stderr to a file."""
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8", buffering=1) as log, redirect_stderr(log):
        yield
        sys.stderr.flush()
