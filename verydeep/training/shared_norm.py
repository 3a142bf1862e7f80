"""Batch normalisation over the images of all processes, on any device.

:class:`torch.nn.SyncBatchNorm` does the same on GPUs only.

N images, C channels.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from verydeep.nets.spatial import BatchNorm
from verydeep.system.group.distributed import Group


class SharedNorm:
    """Context in which batch normalisation in training mode sees the images of all processes.

    Every process must then pass the same number of batches through the net, if need be empty ones.

    Args:
        net: Net with batch normalisation, or without.
        group: The group.
    """

    def __init__(self, net: nn.Module, group: Group) -> None:
        layers = [layer for layer in net.modules() if isinstance(layer, BatchNorm)]
        # The same functions in every epoch, for a net that is compiled.
        self._forwards = [
            (layer, torch.compiler.disable(partial(_forward, layer, group)))  # type: ignore[no-untyped-call]
            for layer in (layers if group.size > 1 else ())
        ]

    def __enter__(self) -> None:
        """Replace the layers' own normalisation."""
        for layer, forward in self._forwards:
            layer.forward = forward  # type: ignore[method-assign]

    def __exit__(self, *error: object) -> None:
        """Restore it."""
        for layer, _ in self._forwards:
            del layer.forward


def _forward(layer: BatchNorm, group: Group, x: Tensor) -> Tensor:
    if not layer.training:
        return type(layer).forward(layer, x)
    count, mean, variance = moments(x, group)
    _note(layer, count, mean, variance)
    normalised: Tensor = _Normalise.apply(
        x, layer.weight, layer.bias, mean, variance, count, layer.eps, group
    )
    return normalised


def moments(x: Tensor, group: Group) -> tuple[Tensor, Tensor, Tensor]:
    """Return the moments over the values of all processes, merged as by Chan et al. (1979).

    Args:
        x: Values of this process, (N, C, H, W); of volumes, (N, C, D, H, W).
        group: The group.

    Returns:
        Number of values per channel, float64 (); mean and biased variance, (C,), at least float32.
        All are 0 if no process has a value.
    """
    channels, own, precise = x.shape[1], x.numel() // x.shape[1], _precise(x)
    # One row a process: a sum over the processes, of which each fills its row, gathers them.
    rows = x.new_zeros((group.size, 2 * channels + 1), dtype=torch.float64)
    if own:
        variance, mean = torch.var_mean(x.detach().to(precise), _axes(x), correction=0)
        rows[group.rank] = torch.cat([mean, variance, mean.new_tensor([own])]).double()
    group.sum(rows)
    means, variances, counts = rows[:, :channels], rows[:, channels:-1], rows[:, -1:]
    count = counts.sum()
    shares = counts / count.clamp_min(1)
    mean = (shares * means).sum(0)
    variance = (shares * (variances + (means - mean).square())).sum(0)
    return count, mean.to(precise), variance.to(precise)


def _axes(x: Tensor) -> tuple[int, ...]:
    """Return all axes but that of the channels."""
    return (0, *range(2, x.dim()))


def _by_channel(values: Tensor, x: Tensor) -> Tensor:
    """Return values (…, C) in a shape that goes with x."""
    return values.reshape(*values.shape, *[1] * (x.dim() - 2))


def _precise(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _note(layer: BatchNorm, count: Tensor, mean: Tensor, variance: Tensor) -> None:
    """Update the running statistics as PyTorch does, with the unbiased variance."""
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert layer.num_batches_tracked is not None
    assert layer.momentum is not None
    with torch.no_grad():
        seen = (count > 0).to(mean.dtype)
        weight = layer.momentum * seen
        unbiased = variance * (count / (count - 1).clamp_min(1)).to(mean.dtype)
        layer.running_mean.lerp_(mean, weight)
        layer.running_var.lerp_(unbiased, weight)
        layer.num_batches_tracked += seen.long()


class _Normalise(torch.autograd.Function):
    """(x − mean) / √(variance + ε) · weight + bias, where mean and variance depend on all x."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        count: Tensor,
        epsilon: float,
        group: Group,
    ) -> Tensor:
        scale = (variance + epsilon).rsqrt()
        ctx.save_for_backward(x, weight, mean, scale, count)
        ctx.group = group
        if not len(x):
            return torch.empty_like(x)
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, epsilon)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale, count = ctx.saved_tensors
        gradient = gradients[0].to(mean.dtype)
        shifted = x.to(mean.dtype) - _by_channel(mean, x)
        bias = gradient.sum(_axes(x))
        along = (gradient * shifted).sum(_axes(x)) * scale
        # The parameters' gradients are summed with all others; those of the moments are now.
        sums = torch.stack([bias, along])
        ctx.group.sum(sums)
        by_mean, by_scale = _by_channel(sums / count.clamp_min(1).to(sums.dtype), x)
        factor = _by_channel(weight * scale, x)
        back = factor * (gradient - by_mean - shifted * (_by_channel(scale, x) * by_scale))
        return back.to(x.dtype), along, bias, *[None] * 5
