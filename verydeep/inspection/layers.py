"""The layers of a net as it was made: their channels, windows and strides."""

from __future__ import annotations

from verydeep.errors import InputError
from verydeep.nets.anatomy import LayerAnatomy, anatomy
from verydeep.nets.layer_outputs import check_layer
from verydeep.nets.vgg import VGG


def parts_of(net: VGG) -> tuple[LayerAnatomy, ...]:
    """Return every layer of a net, measured for its input size, in the order of the net."""
    return anatomy(
        net.name,
        net.classes,
        input_size=net.input_size,
        channels=net.channels,
        width=net.width,
        hidden=net.hidden,
        norm=net.norm,
    ).parts


def check_channel(net: VGG, layer: str, channel: int) -> None:
    """Refuse a channel that a net does not have.

    Raises:
        InputError: There is no such layer, or it has fewer channels.
    """
    check_layer(net, layer)
    channels = next(part.channels for part in parts_of(net) if part.layer.name == layer)
    if not 0 <= channel < channels:
        raise InputError(
            f"{layer} of net {net.name} has the channels 0 to {channels - 1}, got {channel} instead"
        )
