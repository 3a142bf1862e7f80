"""Training time estimates are consistent and leave the net unchanged."""

from __future__ import annotations

import pytest
import torch

from verydeep.nets.vgg import vgg
from verydeep.system.device import choose_machine
from verydeep.system.durations import in_words
from verydeep.training import estimate
from verydeep.training.estimate import describe_estimate, time_steps


def test_timing_changes_neither_the_net_nor_random_numbers() -> None:
    torch.manual_seed(3)
    net = vgg("A", 3, input_size=32, width=0.125, hidden=16, batch_norm=True)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()
    times = time_steps(net, 32, 4, choose_machine("cpu", "fp32"))
    assert times.training > 0
    assert times.validation > 0
    assert torch.equal(torch.get_rng_state(), state)
    after = net.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize(
    ("passes", "most", "timed"),
    [
        ([9, 0.5, 0.1, 0.3, 0.2, 0.05], 4, 4),  # as many as asked for
        ([9, 1.5, 0.9, 0.01], 4, 2),  # long ones are not repeated
        ([9, 5, 4, 0.01], 2, 2),
    ],
)
def test_the_shortest_pass_counts_after_one_to_warm_up(
    passes: list[float], most: int, timed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[bool] = []

    def take(net: torch.nn.Module, *_: object) -> float:
        used.append(net.training)
        return passes[used.count(net.training) - 1]

    monkeypatch.setattr(estimate, "_time_pass", take)
    net = vgg("A", 3, input_size=32, width=0.125, hidden=16)
    times = time_steps(net, 32, 4, choose_machine("cpu", "fp32"), most=most)
    assert used == [True] * (1 + timed) + [False] * (1 + timed)
    assert times.training == times.validation == min(passes[1 : 1 + timed]) / 4


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((0, "under 1 s"), (59.6, "60 s"), (120, "2 min"), (5399, "90 min"), (5400, "1.5 h")),
        *((36_000, "10 h"), (10 * 86_400, "10 days")),
    ],
)
def test_a_duration_has_the_unit_that_people_would_take(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_epochs_times_seconds_is_what_is_foreseen() -> None:
    machine = choose_machine("cpu", "fp32")
    line = describe_estimate(30, 8.0, machine, at_most=False)
    for part in ("4 min", "30 epochs", "8 s", "cpu, fp32"):
        assert part in line
    assert "at most" in describe_estimate(74, 8.0, machine, at_most=True)
