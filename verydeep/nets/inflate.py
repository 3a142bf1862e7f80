"""Weights of a net for images as weights of the same net for volumes.

N images or volumes, C channels, D depth, H height, W width; k: side of a kernel.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from verydeep.errors import InputError, did_you_mean
from verydeep.nets.initialize import Fit, copy_layers
from verydeep.nets.vgg import VGG

Inflation = Literal["center", "repeat"]


@torch.no_grad()
def inflate(net: VGG, how: Inflation = "repeat") -> VGG:
    """Return a net for volumes with the weights of one for images.

    On a volume of equal slices, the maps of ``center`` are those of the image in every slice, and
    the scores are the same up to rounding. With ``repeat`` this holds where the receptive field
    stays inside the volume: at its first and last slices the padding is zero instead of one more
    equal slice.

    Args:
        net: Net for images.
        how: ``center`` puts each kernel into the middle slice of the cube, with zeros around
            it: slices are seen one by one at first. ``repeat`` puts it into all k slices, divided
            by k (Carreira & Zisserman 2017): slices are averaged at first.

    Returns:
        Net with three dimensions. The first fully connected layer reads s slices of the last map,
        its weights repeated and divided by s in both ways.

    Raises:
        InputError: The net is for volumes already, or ``how`` is unknown.

    >>> from verydeep.nets.vgg import vgg
    >>> flat = vgg("A", num_classes=4, input_size=32, width=0.125).eval()
    >>> solid, x = inflate(flat, "center").eval(), torch.rand(1, 3, 32, 32)
    >>> volume = x.unsqueeze(2).expand(-1, -1, 32, -1, -1)
    >>> torch.allclose(solid(volume), flat(x), atol=1e-6)
    True
    """
    known = get_args(Inflation)
    if how not in known:
        raise InputError(
            f"how must be {' or '.join(known)}, got {how!r} instead{did_you_mean(how, known)}"
        )
    if net.dimensions == 3:
        raise InputError(f"net {net.name} is for volumes already: it has three dimensions")
    solid = VGG(num_classes=net.num_classes, **net.settings() | {"dimensions": 3})
    solid.to(next(net.parameters()))
    copy_layers(net, solid, "all", fit=inflation(how, net.final_map))
    return solid.train(net.training)


def inflation(how: Inflation, side: int) -> Fit:
    """Return a function that turns weights for images into weights for volumes.

    Args:
        how: As for :func:`inflate`.
        side: Side of the last map of the net for images.
    """

    def fit(weight: Tensor, wanted: torch.Size) -> Tensor:
        shape = weight.shape
        if weight.dim() == 4 and wanted == (*shape, shape[-1]):
            return _cube(weight, how)
        if weight.dim() == 2 and wanted == (shape[0], shape[1] * side):
            return _deepened(weight, side)
        return weight

    return fit


def _cube(kernel: Tensor, how: Inflation) -> Tensor:
    """Return kernels (C', C, k, k) as cubes (C', C, k, k, k)."""
    side = kernel.shape[-1]
    if how == "repeat":
        return kernel.unsqueeze(2).expand(-1, -1, side, -1, -1) / side
    cube = kernel.new_zeros(*kernel.shape[:2], side, side, side)
    cube[:, :, side // 2] = kernel
    return cube


def _deepened(weight: Tensor, side: int) -> Tensor:
    """Return weights (outputs, C·s·s) of the first layer for maps of s slices."""
    windows = weight.view(len(weight), -1, 1, side, side).expand(-1, -1, side, -1, -1)
    return windows.flatten(1) / side
