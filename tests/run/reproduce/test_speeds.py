"""Speeds of a study's nets: measured, without a trace in this process."""

from __future__ import annotations

import torch

from verydeep.run.reproduce.speeds import measure_speeds, share_of_cores
from verydeep.study.budget import Budget
from verydeep.system.device import choose_machine, usable_cores


def test_each_net_is_timed_and_nothing_is_changed() -> None:
    budget = Budget("test", 1 / 7, 0.03, 1, 4, 0.01, "one-cycle")
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    found = measure_speeds(["A", "B-5x5"], budget, 3, choose_machine("cpu", "fp32"), jobs=2)
    assert list(found) == ["A", "B-5x5"]
    assert all(speed.training > 0 and speed.testing > 0 for speed in found.values())
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_parts_at_a_time_share_the_cores() -> None:
    cores = usable_cores()
    assert share_of_cores(10 * cores) == 1
    for jobs in range(1, cores + 1):
        assert jobs * share_of_cores(jobs) <= max(cores, torch.get_num_threads())
