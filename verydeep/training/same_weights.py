"""Comparison of the weights of all processes, which must stay equal bit by bit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from verydeep.system.group.distributed import Group

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}

SCHEDULE = "the schedule"


def find_difference(group: Group, net: nn.Module, schedule: Mapping[str, Any]) -> str | None:
    """Return how the state of some processes differs from that of rank 0; None if it does not.

    Compared are checksums of the weights and running statistics of each layer, and the state of the
    schedule.

    Args:
        group: The group.
        net: Net of this process.
        schedule: State of its schedule.
    """
    if group.size == 1:
        return None
    first, *others = group.gather(checksums(net) | {SCHEDULE: _hash(schedule)})
    different = [rank for rank, one in enumerate(others, start=1) if one != first]
    if not different:
        return None
    where = next(name for name in first if others[different[0] - 1].get(name) != first[name])
    ranks = ", ".join(map(str, different))
    return f"rank {ranks} of {group.size} differs from rank 0, first in {where}"


def checksums(net: nn.Module) -> dict[str, int]:
    """Return the sum of the bit patterns of each tensor of a net, as integers modulo 2^64.

    A sum changes with any single value, and two or more changes cancel out by chance only. It does
    not tell the same values in another order. It is exact, so that it does not depend on the order
    of the summation, and needs one pass over the weights on their device.
    """
    state = net.state_dict()
    if not state:
        return {}
    sums = torch.stack([_sum_of_bits(tensor) for tensor in state.values()])
    return dict(zip(state, sums.tolist(), strict=True))


def _sum_of_bits(tensor: Tensor) -> Tensor:
    return tensor.detach().view(_INTEGERS[tensor.element_size()]).sum(dtype=torch.int64)


def _hash(value: Mapping[str, Any]) -> int:
    text = repr(sorted(value.items())).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8])
