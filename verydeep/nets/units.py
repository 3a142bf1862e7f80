"""Units that the winners of 2014 and 2017 are made of: convolution, normalisation, ReLU.

N images, C channels, H height, W width.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from torch import nn


def chain(layers: Mapping[str, nn.Module]) -> nn.Sequential:
    """Return layers that follow one another, by name."""
    return nn.Sequential(OrderedDict(layers))


def unit(
    inputs: int,
    outputs: int,
    kernel: int,
    *,
    name: str = "",
    stride: int = 1,
    groups: int = 1,
    epsilon: float | None = None,
    relu: bool = True,
) -> dict[str, nn.Module]:
    """Return a convolution that keeps the size of a map at stride 1, and what follows it.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        kernel: Side of the kernel.
        name: End of the names ``conv``, ``norm`` and ``relu``.
        stride: Stride.
        groups: Groups of channels.
        epsilon: ε of a batch normalisation, in place of biases; None for no normalisation.
        relu: Whether a ReLU follows.
    """
    bias = epsilon is None
    convolution = nn.Conv2d(
        inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=bias
    )
    norm = {} if epsilon is None else {f"norm{name}": nn.BatchNorm2d(outputs, eps=epsilon)}
    after = {f"relu{name}": nn.ReLU()} if relu else {}
    return {f"conv{name}": convolution, **norm, **after}
