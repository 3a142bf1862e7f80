"""Estimate of the training time from a few timed steps of the net."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from verydeep.errors import plural
from verydeep.nets.interface import Net
from verydeep.nets.spatial import channels_last
from verydeep.system.device import Machine
from verydeep.system.durations import in_words

PROBE = {"cpu": 16, "cuda": 64}
"""Maximum number of images per timed step, by device type."""

STEPS = 2
"""Number of timed steps, after one warm-up step."""

ENOUGH = 2.0
"""Seconds of timed steps after which there are no more than :data:`STEPS` of them."""

LONG = 2 * 3600
"""Training time in seconds above which a faster alternative is suggested."""


@dataclass(frozen=True, slots=True)
class PictureTimes:
    """Seconds per image in training and in validation."""

    training: float
    validation: float


def time_steps(
    net: Net, size: int, micro_batch: int, machine: Machine, *, most: int = STEPS
) -> PictureTimes:
    """Return the times of passes with random images; the net stays unchanged.

    The shortest of several passes counts, since other programs can only make one longer.

    Args:
        net: Net on the machine's device.
        size: Side of its input, in pixels.
        micro_batch: Micro-batch size in training.
        machine: Device and precision.
        most: Number of timed passes of each kind; fewer, if they take long.
    """
    count = min(micro_batch, PROBE.get(machine.device.type, 16))
    with torch.random.fork_rng(), _restored(net):
        x = torch.randn(count, net.channels, *[size] * net.dimensions, device=machine.device)
        x = x.to(memory_format=channels_last(net.dimensions))
        training = _shortest(net.train(), x, machine, most)
        with torch.inference_mode():
            validation = _shortest(net.eval(), x, machine, most)
    return PictureTimes(training / count, validation / count)


def _shortest(net: nn.Module, x: torch.Tensor, machine: Machine, most: int) -> float:
    """Return the seconds of the shortest of several passes, after one to warm up."""
    _time_pass(net, x, machine)
    seconds: list[float] = []
    while len(seconds) < STEPS or (len(seconds) < most and sum(seconds) < ENOUGH):
        seconds.append(_time_pass(net, x, machine))
    return min(seconds)


def _time_pass(net: nn.Module, x: torch.Tensor, machine: Machine) -> float:
    """Return the seconds of a forward pass and, in training mode, of a backward pass."""
    started = time.perf_counter()
    with machine.autocast():
        scores = net(x)
    if net.training:
        scores.float().square().mean().backward()
    if machine.device.type == "cuda":
        torch.cuda.synchronize(machine.device)
    net.zero_grad(set_to_none=True)
    return time.perf_counter() - started


@contextmanager
def _restored(net: nn.Module) -> Iterator[None]:
    """Restore the net's buffers (running statistics) on exit."""
    kept = [buffer.clone() for buffer in net.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, before in zip(net.buffers(), kept, strict=True):
                buffer.copy_(before)
        net.zero_grad(set_to_none=True)


def describe_estimate(
    epochs: int, seconds_per_epoch: float, machine: Machine, *, at_most: bool
) -> str:
    """Return the estimated training time in one line.

    >>> machine = Machine(torch.device("cpu"), "bf16")
    >>> describe_estimate(30, 8.0, machine, at_most=False)
    'about 4 min: 30 epochs of 8 s on cpu, bf16'
    >>> describe_estimate(1, 0.4, machine, at_most=True)
    'under 1 s: 1 epoch of under 1 s on cpu, bf16'
    """
    seconds = epochs * seconds_per_epoch
    bound = "" if seconds < 1 else "at most " if at_most else "about "
    return (
        f"{bound}{in_words(seconds)}: {plural(epochs, 'epoch')} of "
        f"{in_words(seconds_per_epoch)} on {machine}"
    )
