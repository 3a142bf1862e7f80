"""Views of rescaled pictures: which parts of them the net is shown. Pure geometry.

N images, H height, W width, V views of one image.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from verydeep.data.geometry import Window, center_window
from verydeep.evaluation.protocol import Protocol


def windows(protocol: Protocol, height: int, width: int, input_size: int) -> tuple[Window, ...]:
    """Return the windows that a protocol opens on a rescaled picture of that size.

    >>> windows(Protocol("center", (256,)), 256, 341, 224)
    (Window(top=16, left=58, height=224, width=224),)
    >>> windows(Protocol("dense", (256,)), 256, 341, 224)
    (Window(top=0, left=0, height=256, width=341),)
    """
    match protocol.name:
        case "center":
            return (center_window(height, width, input_size),)
        case "dense":
            return (Window(0, 0, height, width),)


def views(pictures: Tensor, input_size: int, protocol: Protocol) -> Iterator[Tensor]:
    """Yield the V views of pictures, each mirrored right after itself if the protocol says so.

    Args:
        pictures: (N, 3, H, W), rescaled.
        input_size: Side of a crop, in pixels.
        protocol: Which views.

    Yields:
        (N, 3, h, w) for each view.
    """
    size = pictures.shape[-2], pictures.shape[-1]
    for top, left, height, width in windows(protocol, *size, input_size):
        view = pictures[:, :, top : top + height, left : left + width]
        yield view
        if protocol.flip:
            yield view.flip(3)
