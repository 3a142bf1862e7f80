"""Gradients summed over processes against the gradient of all images in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from groups import together
from loop_parts import make_net, weights
from torch import Tensor, nn

from verydeep.system.group.distributed import Group, joined
from verydeep.training.gradients import Gradients, SharedGradients, gradients_of

SIZES = ((3, 2), (0, 4), (5, 0))
"""Images of each of up to three ranks in the two parts of an update."""


def images(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, 32, 32, generator=generator)


def train_on(net: nn.Module, gradients: Gradients, parts: list[Tensor], total: int) -> int:
    """Add the gradients of parts of an update; return the number of images of all processes."""
    gradients.clear()
    for number, part in enumerate(parts):
        if number == len(parts) - 1:
            gradients.last()
        (net(part).square().sum() / total).backward()
    return gradients.total(sum(map(len, parts)))


def flat(gradients: Gradients) -> Tensor:
    return torch.cat([p.grad.flatten().clone() for p in gradients.parameters if p.grad is not None])


def share() -> dict[str, Any]:
    with joined() as group:
        net = make_net().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        net.features[0].requires_grad_(False)
        total = sum(map(sum, SIZES[: group.size]))
        parts = [images(count, 10 * group.rank + n) for n, count in enumerate(SIZES[group.rank])]
        errors = []
        with SharedGradients(net, group, bucket=20_000) as gradients:
            for _ in range(2):  # nothing is left of the first update
                counted = train_on(net, gradients, parts, total)
            found = torch.cat(
                [p.grad.flatten() for p in gradients.parameters if p.grad is not None]
            )
            strides = [
                p.grad.stride() == p.stride() for p in net.parameters() if p.grad is not None
            ]
            buckets = len(gradients._buckets)
        whole = Gradients(net)
        inputs = [
            images(count, 10 * rank + n)
            for rank in range(group.size)
            for n, count in enumerate(SIZES[rank])
        ]
        train_on(net, whole, [torch.cat(inputs)], total)
        wanted = flat(whole)
        errors.append(float((found - wanted).norm() / wanted.norm()))
        same = group.gather(found.double().sum().item())
        return {
            "errors": errors,
            "counted": counted,
            "same": len(set(same)),
            "strides": all(strides),
            "buckets": buckets,
        }


@pytest.mark.parametrize("size", [2, 3])
def test_the_sum_over_ranks_is_the_gradient_of_all_images(size: int, tmp_path: Path) -> None:
    for found in together(share, size, tmp_path):
        assert max(found["errors"]) < 1e-5
        assert found["counted"] == sum(map(sum, SIZES[:size]))
        assert found["same"] == 1
        assert found["strides"]
        assert found["buckets"] > 3


def test_alone_nothing_is_copied_or_summed() -> None:
    net = make_net()
    gradients = gradients_of(net, Group())
    assert type(gradients) is Gradients
    with gradients:
        assert train_on(net, gradients, [images(2, 0)], 2) == 2
        before = flat(gradients)
        gradients.scale(0.5)
        assert torch.equal(flat(gradients), before / 2)
    assert all(parameter.grad is None for parameter in net.parameters())
    assert len(weights(net)) == len(before)
