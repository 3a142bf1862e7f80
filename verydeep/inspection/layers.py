"""Layer properties of a net: channels, kernels and strides."""

from __future__ import annotations

from verydeep.errors import InputError
from verydeep.nets.anatomy import LayerAnatomy
from verydeep.nets.interface import Net
from verydeep.nets.layer_outputs import check_layer


def parts_of(net: Net) -> tuple[LayerAnatomy, ...]:
    """Return the anatomy of every layer of a net at its input size, in forward order."""
    return net.anatomy().parts


def check_channel(net: Net, layer: str, channel: int) -> None:
    """Raise an error if a net does not have a channel.

    Raises:
        InputError: The layer does not exist or has fewer channels.
    """
    check_layer(net, layer)
    channels = next(part.channels for part in parts_of(net) if part.layer.name == layer)
    if not 0 <= channel < channels:
        raise InputError(
            f"{layer} of net {net.name} has the channels 0 to {channels - 1}, got {channel} instead"
        )
