"""Choice of the micro-batch size in training."""

from __future__ import annotations

from verydeep.nets.anatomy import Anatomy
from verydeep.system.device import Machine, available_memory, total_memory

BACKWARD = 2.0
"""Memory factor of the backward pass: activations and their gradients."""


SHARE, SHARE_OF_RAM = 0.5, 0.25
"""Share of a memory for activations; of all RAM, which other programs and images use as well."""


def fitting_micro_batch(
    sizes: Anatomy, batch: int, machine: Machine, *, sharing: int = 1, steady: bool = False
) -> int:
    """Return the largest halving of the batch whose activations fit in half the free memory.

    Args:
        sizes: Anatomy of the net, with the memory of its activations in float32.
        batch: Batch size.
        machine: Device and precision.
        sharing: Number of processes that share the memory and train alike.
        steady: Whether to go by all memory instead (half that of a GPU, a quarter of the RAM), so
            that the number is the same at any time.
    """
    weights = 3 * 4 * sizes.parameters  # with gradients and momentum, in float32
    memory = (total_memory if steady else available_memory)(machine.device)
    share = SHARE_OF_RAM if steady and machine.device.type != "cuda" else SHARE
    limit = share * (memory / sharing - weights)
    image_bytes = BACKWARD * sizes.memory * (0.5 if machine.precision == "bf16" else 1.0)
    while batch > 1 and batch * image_bytes > limit:
        batch = -(-batch // 2)
    return batch
