"""How many images go through a net at once in training."""

from __future__ import annotations

from verydeep.nets.anatomy import Anatomy
from verydeep.system.device import Machine, available_memory

BACKWARD = 2.0
"""Activations are kept for the backward pass, and gradients of their size come on top."""


def fitting_micro_batch(sizes: Anatomy, batch: int, machine: Machine) -> int:
    """Return the largest halving of the batch whose activations take at most half the free memory.

    Args:
        sizes: Of the net, which knows the memory of its activations in float32.
        batch: Images an update.
        machine: Its device and precision.
    """
    weights = 3 * 4 * sizes.parameters  # with gradients and momentum, in float32
    room = 0.5 * (available_memory(machine.device) - weights)
    bytes_a_picture = BACKWARD * sizes.memory * (0.5 if machine.precision == "bf16" else 1.0)
    fitting = batch
    while fitting > 1 and fitting * bytes_a_picture > room:
        fitting = -(-fitting // 2)
    return fitting
