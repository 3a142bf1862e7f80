"""Speeds of a study's nets on this machine, from a few timed steps."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import torch

from verydeep.nets.registry import build
from verydeep.study.budget import Budget, Speed
from verydeep.system.device import Machine, usable_cores
from verydeep.training.estimate import time_steps

TIMED = 12
"""Passes that are timed of each net, unless they take long: a study is planned by the shortest."""


def share_of_cores(jobs: int) -> int:
    """Return the number of threads of each of several parts at a time."""
    return max(1, min(torch.get_num_threads(), usable_cores() // jobs))


def measure_speeds(
    nets: Iterable[str], budget: Budget, classes: int, machine: Machine, jobs: int = 1
) -> dict[str, Speed]:
    """Return seconds per image of each net with its share of the cores.

    See :func:`verydeep.training.estimate.time_steps`.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(share_of_cores(jobs))
    try:
        return {
            net: _measure(net, budget.input_size, budget.width, budget.batch, classes, machine)
            for net in nets
        }
    finally:
        torch.set_num_threads(before)


@cache
def _measure(
    name: str, size: int, width: float, batch: int, classes: int, machine: Machine
) -> Speed:
    """Time a net once; the fitting of a budget asks for the same one many times."""
    with torch.random.fork_rng():
        net = build(name, classes, input_size=size, width=width)
    net = net.to(machine.device).to(memory_format=torch.channels_last)
    times = time_steps(net, size, batch, machine, most=TIMED)
    return Speed(times.training, times.validation)
