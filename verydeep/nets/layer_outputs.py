"""Outputs of intermediate layers.

N images, C channels, H height, W width; h, w: sides of a layer's map.
"""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor

from verydeep.errors import InputError, did_you_mean
from verydeep.nets.dense import gather_windows
from verydeep.nets.interface import Net


def check_layer(net: Net, layer: str) -> str:
    """Return the name of a layer after checking that the net has it.

    Raises:
        InputError: The net has no such layer.
    """
    known = [name for name, _ in net.named_layers()]
    if layer not in known:
        raise InputError(
            f"net {net.name} has no layer {layer!r}; it has {', '.join(known)}"
            f"{did_you_mean(layer, known)}"
        )
    return layer


def trace(net: Net, x: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
    """Return the dense outputs of layers; layers after the last of them are not computed.

    Args:
        net: The net.
        x: Preprocessed images, (N, C, H, W), H and W at least ``net.input_size``.
        layers: Names from :meth:`Net.named_layers`.

    Returns:
        Outputs (N, C', h, w) by layer, in forward order. For fully connected layers, h × w are the
        positions of the dense form.

    Raises:
        InputError: The net has no such layer.
        SizeError: The images have an invalid shape; see :meth:`Net.check_pictures`.
    """
    net.check_pictures(x)
    return walk(net, x, layers)


def walk(net: Net, x: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
    """Return the same as :func:`trace`, without a check of the image size."""
    wanted = {check_layer(net, layer) for layer in layers}
    found: dict[str, Tensor] = {}
    dense = False
    head = next((name for name, _ in net.classifier.named_children()), None)
    for name, module in net.named_layers():
        if len(found) == len(wanted):
            break
        if not dense and name == head:
            x, dense = gather_windows(x, net.final_map), True
        x = module(x)
        if name in wanted:
            found[name] = x.movedim(-1, 1) if dense else x
    return found
