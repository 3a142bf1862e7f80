"""Decoded images of any sizes, kept in one block of memory on a device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from verydeep.data.geometry import Window
from verydeep.errors import DataError
from verydeep.system.device import available_memory
from verydeep.system.option_names import setting


class PictureStore:
    """uint8 RGB images of different sizes, addressed by number.

    Args:
        pictures: uint8 (H, W, 3) each.
        device: Where they are kept.
        originals: Height and width of each before it was rescaled to be kept; None if none was.
    """

    def __init__(
        self,
        pictures: Sequence[NDArray[np.uint8]],
        device: torch.device,
        originals: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        self.sizes = torch.tensor([picture.shape[:2] for picture in pictures]).view(-1, 2)
        self.originals = self.sizes if originals is None else torch.tensor(originals).view(-1, 2)
        lengths = 3 * self.sizes.prod(1)
        self.offsets = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)]).tolist()
        block = np.concatenate([picture.reshape(-1) for picture in pictures])
        self.block = torch.from_numpy(block).to(device)

    def __len__(self) -> int:
        return len(self.sizes)

    def picture(self, index: int) -> Tensor:
        """Return an image, uint8 (H, W, 3), without a copy."""
        start, end = self.offsets[index], self.offsets[index + 1]
        height, width = self.sizes[index].tolist()
        return self.block[start:end].view(height, width, 3)

    def gather(self, indices: Sequence[int], windows: Sequence[Window]) -> Tensor:
        """Return parts of images as one batch; only these parts are padded and moved.

        Returns:
            uint8 (N, 3, H, W), each part in the upper left corner of its place, zeros beyond.
        """
        height = max(window.height for window in windows)
        width = max(window.width for window in windows)
        batch = self.block.new_zeros((len(indices), height, width, 3))
        for place, (index, (top, left, h, w)) in enumerate(zip(indices, windows, strict=True)):
            batch[place, :h, :w] = self.picture(index)[top : top + h, left : left + w]
        return batch.permute(0, 3, 1, 2)


class Room:
    """Watches that images to be kept fit into memory, while they come in."""

    def __init__(self, device: torch.device) -> None:
        # The block is concatenated once, so in RAM an image is there twice for a moment.
        share = 0.4 if device.type == "cpu" else 0.8
        self.left = share * available_memory(device)

    def take(self, size: int) -> None:
        """Count an image of that many bytes.

        Raises:
            DataError: The images do not fit.
        """
        self.left -= size
        if self.left < 0:
            raise DataError(
                "the decoded images do not fit into memory: use "
                f"{setting('data.cache', 'none')}, which "
                "reads them anew each epoch"
            )
