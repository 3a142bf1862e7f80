"""From pixels to the input of a net.

N images, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Preprocessing:
    """What becomes of RGB pixels before the net: ``(RGB - mean) / divisor``.

    The paper subtracts the training set's mean RGB and does nothing else (section 2.1). The
    divisor departs from it, only so that standard initialisation fits; it can be 1.

    Attributes:
        mean: Mean red, green and blue of the training set, 0 to 255.
        divisor: One number for all pixels.
    """

    mean: tuple[float, float, float]
    divisor: float = 64.0

    def __call__(self, pictures: Tensor, shift: Tensor | None = None) -> Tensor:
        """Return what the net reads.

        Args:
            pictures: uint8 (N, 3, H, W).
            shift: float32 (N, 3), added to every pixel of an image; None for none.

        Returns:
            float32 (N, 3, H, W) in channels_last memory, on the images' device.
        """
        offset = -torch.tensor(self.mean, device=pictures.device)
        offset = offset if shift is None else shift + offset
        x = pictures.to(torch.float32, memory_format=torch.channels_last)
        return x.add_(offset.view(-1, 3, 1, 1)).div_(self.divisor)
