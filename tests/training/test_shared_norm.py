"""Batch normalisation over processes against PyTorch's own over the whole batch.

N images, C channels.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from groups import together
from torch import Tensor, nn

from verydeep.nets.spatial import BatchNorm
from verydeep.system.group.distributed import Group, joined
from verydeep.training.shared_norm import SharedNorm, _forward, moments

C = 3
SLICES = {"uneven": (3, 1, 2), "with an empty one": (0, 4, 1)}


def values(offset: float = 0.0, space: tuple[int, ...] = (4, 5)) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, C, *space, generator=generator, dtype=torch.float64) * 2 + offset


def layer(kind: type[BatchNorm] = nn.BatchNorm2d) -> BatchNorm:
    made = kind(C, dtype=torch.float64)
    with torch.no_grad():
        made.weight.copy_(torch.tensor([0.5, 1.0, -2.0]))
        made.bias.copy_(torch.tensor([0.0, 1.0, -1.0]))
    return made


def pass_through(made: nn.Module, x: Tensor) -> dict[str, Tensor]:
    x = x.clone().requires_grad_()
    y = made(x)
    wave = torch.sin(torch.arange(y.shape[1:].numel()).view(y.shape[1:]))
    (y * wave + y**2).sum().backward()
    assert x.grad is not None
    return {"y": y.detach(), "x.grad": x.grad}


def normalise(
    name: str,
    size: int,
    space: tuple[int, ...] = (4, 5),
    kind: type[BatchNorm] = nn.BatchNorm2d,
) -> Any:
    with joined() as group:
        x = values(space=space)
        slices = torch.split(x[: sum(SLICES[name][:size])], SLICES[name][:size])
        shared, whole = layer(kind), layer(kind)
        with SharedNorm(shared, group):
            own = pass_through(shared, slices[group.rank])
        wanted = pass_through(whole, torch.cat(slices))
        errors = {
            key: (own[key] - torch.split(value, SLICES[name][:size])[group.rank]).abs()
            for key, value in wanted.items()
        }
        for key in ("weight", "bias"):
            total = group.sum(getattr(shared, key).grad.clone())
            errors[key] = (total - getattr(whole, key).grad).abs()
        for key, value in whole.state_dict().items():
            errors[key] = (shared.state_dict()[key] - value).abs()
        return {key: float(error.max()) if error.numel() else 0.0 for key, error in errors.items()}


def uneven_2() -> Any:
    return normalise("uneven", 2)


def uneven_3() -> Any:
    return normalise("uneven", 3)


def empty_2() -> Any:
    return normalise("with an empty one", 2)


def empty_3() -> Any:
    return normalise("with an empty one", 3)


def volumes() -> Any:
    return normalise("uneven", 2, (2, 4, 5), nn.BatchNorm3d)


@pytest.mark.parametrize(
    ("act", "size"), [(uneven_2, 2), (uneven_3, 3), (empty_2, 2), (empty_3, 3), (volumes, 2)]
)
def test_it_is_the_norm_of_the_whole_batch(act: Any, size: int, tmp_path: Path) -> None:
    for errors in together(act, size, tmp_path):
        assert max(errors.values()) < 1e-12, errors


def far_from_zero() -> Any:
    with joined() as group:
        x = values(offset=3e4).float()
        _, mean, variance = moments(torch.split(x, 3)[group.rank], group)
        wanted = torch.var_mean(x.double(), (0, 2, 3), correction=0)
        return [
            float(((a - b) / b).abs().max()) for a, b in zip((variance, mean), wanted, strict=True)
        ]


def test_values_far_from_zero_keep_their_variance(tmp_path: Path) -> None:
    """The mean of squares minus the square of the mean would lose it in float32."""
    for errors in together(far_from_zero, 2, tmp_path):
        assert max(errors) < 1e-3


def nothing_at_all() -> Any:
    with joined() as group:
        made = layer()
        with SharedNorm(made, group):
            made(torch.empty(0, C, 4, 4, dtype=torch.float64)).sum().backward()
        plain = layer().state_dict()
        same = all(torch.equal(value, plain[key]) for key, value in made.state_dict().items())
        return [same, made.weight.grad.abs().sum().item()]


def test_a_part_of_which_nothing_could_be_read_changes_nothing(tmp_path: Path) -> None:
    assert together(nothing_at_all, 2, tmp_path) == [[True, 0.0]] * 2


def test_the_net_is_the_ordinary_one_in_evaluation_and_afterwards() -> None:
    made, plain, group = layer().eval(), layer().eval(), Group(0, 2)  # would wait for a process
    with SharedNorm(made, group):
        assert "forward" in vars(made)
        assert torch.equal(made(values()), plain(values()))
    assert "forward" not in vars(made)
    with SharedNorm(made, Group()):
        assert "forward" not in vars(made)


def test_bfloat16_is_normalised_in_float32() -> None:
    x = values(offset=10.0).bfloat16()
    found, wanted = [], []
    for results, norm in ((found, partial(_forward, layer().float(), Group())), (wanted, layer())):
        one = x.clone().requires_grad_() if results is found else x.double().requires_grad_()
        y = norm(one)
        (y.double() ** 3).sum().backward()
        assert one.grad is not None
        assert y.dtype == one.grad.dtype == one.dtype
        results += [y.double(), one.grad.double()]
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours - theirs).norm() < 1e-2 * theirs.norm()
