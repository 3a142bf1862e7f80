"""Rescale the layers of a trained net without changing what it computes.

Convolutions trained on pixels from 0 to 255 give values in the hundreds, and gradients that differ
by layer as much. As a ReLU and a max-pool commute with a positive factor, each layer can be divided
by the size of its output and the next multiplied by it.

N images, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from verydeep.nets.interface import Net
from verydeep.nets.spatial import Convolution

COMMUTING = (nn.Conv2d, nn.Conv3d, nn.ReLU, nn.MaxPool2d, nn.MaxPool3d)
"""Layers that commute with a positive factor, up to biases; subclasses may pad with constants."""


@torch.no_grad()
def balance(net: Net, x: Tensor) -> bool:
    """Rescale the convolutions of a net so that each gives values of unit size after its ReLU.

    The first fully connected layer makes up for it, so that the scores stay the same up to
    rounding.

    Args:
        net: Net, changed in place.
        x: Input to measure the sizes on, (N, C, H, W).

    Returns:
        Whether the net was rescaled; nets with layers that do not commute with a factor, such as
        normalisation or tanh, are left as they are.
    """
    if not all(type(module) in COMMUTING for module in net.features):
        return False
    size = 1.0
    for module in net.features:
        if isinstance(module, Convolution):
            size = _rescale(module, x, size)
        x = module(x)
    if len(net.classifier):
        first = net.classifier[0]
        assert isinstance(first, nn.Linear)
        first.weight.mul_(size)
    return True


def _rescale(layer: Convolution, x: Tensor, before: float) -> float:
    """Divide a layer by the size of its output, and return that size.

    Args:
        layer: The layer, changed in place.
        x: Its input, divided already.
        before: What the input was divided by.
    """
    layer.weight.mul_(before)
    size = float(layer(x).relu().square().mean().sqrt())
    size = size if size > 0 else 1.0
    layer.weight.div_(size)
    if layer.bias is not None:
        layer.bias.div_(size)
    return size
