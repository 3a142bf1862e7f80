"""Conversion of pixels to the input of a net.

N images, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from verydeep.nets.spatial import channels_last


@dataclass(frozen=True)
class Preprocessing:
    """Preprocessing of RGB pixels: ``(RGB - mean) / divisor``.

    The paper only subtracts the training set's mean RGB (section 2.1). The divisor departs from the
    paper, to suit standard initialisation; it can be 1.

    Attributes:
        mean: Mean red, green and blue of the training set, 0 to 255.
        divisor: Divisor of all pixels.
        channels: Channels of the net's input; 1 for the mean of red, green and blue.
    """

    mean: tuple[float, float, float]
    divisor: float = 64.0
    channels: int = 3

    def __call__(self, pictures: Tensor, shift: Tensor | None = None) -> Tensor:
        """Return the net's input.

        Args:
            pictures: Images, uint8 (N, 3, H, W), or volumes, uint8 (N, 3, D, H, W).
            shift: RGB shift added to every pixel of an image, float32 (N, 3), or None.

        Returns:
            Input, float32, of the same shape or with one channel, channels last in memory, on the
            images' device.
        """
        offset = -torch.tensor(self.mean, device=pictures.device)
        offset = offset if shift is None else shift + offset
        x = pictures.to(torch.float32, memory_format=channels_last(pictures.dim() - 2))
        x = x.add_(offset.view(-1, 3, *[1] * (x.dim() - 2))).div_(self.divisor)
        return to_channels(x, self.channels)


def to_channels(x: Tensor, channels: int) -> Tensor:
    """Return images (N, 3, H, W) as they are, or for one channel their mean, (N, 1, H, W)."""
    return x.mean(1, keepdim=True) if channels == 1 else x
