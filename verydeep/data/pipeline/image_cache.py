"""Decoded images of any size in one block of memory on a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from verydeep.data.geometry import Window
from verydeep.errors import DataError
from verydeep.system.device import available_memory
from verydeep.system.option_names import setting

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class PictureStore:
    """RGB images of different sizes, uint8, by index.

    Args:
        pictures: Images, uint8 (H, W, 3) each.
        device: Device to keep them on.
        originals: Height and width of each before rescaling; None if none was rescaled.
    """

    def __init__(
        self,
        pictures: Sequence[NDArray[np.uint8]],
        device: torch.device,
        originals: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        import torch  # most of what imports this module keeps no images

        self.sizes = torch.tensor([picture.shape[:2] for picture in pictures]).view(-1, 2)
        self.originals = self.sizes if originals is None else torch.tensor(originals).view(-1, 2)
        lengths = 3 * self.sizes.prod(1)
        self.offsets = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)]).tolist()
        block = np.concatenate([picture.reshape(-1) for picture in pictures])
        self.block = torch.from_numpy(block).to(device)

    def __len__(self) -> int:
        return len(self.sizes)

    def picture(self, index: int) -> Tensor:
        """Return an image, uint8 (H, W, 3), without copying."""
        start, end = self.offsets[index], self.offsets[index + 1]
        height, width = self.sizes[index].tolist()
        return self.block[start:end].view(height, width, 3)

    def gather(self, indices: Sequence[int], windows: Sequence[Window]) -> Tensor:
        """Return parts of images as one batch; only these parts are copied.

        Returns:
            uint8 (N, 3, H, W), zero-padded at the lower right.
        """
        height = max(window.height for window in windows)
        width = max(window.width for window in windows)
        batch = self.block.new_zeros((len(indices), height, width, 3))
        for place, (index, (top, left, h, w)) in enumerate(zip(indices, windows, strict=True)):
            batch[place, :h, :w] = self.picture(index)[top : top + h, left : left + w]
        return batch.permute(0, 3, 1, 2)


class Room:
    """Checks that incoming images fit into memory: that of their device, and RAM on the way."""

    def __init__(self, device: torch.device) -> None:
        import torch

        # The block is put together in RAM, which for a moment takes twice its size there.
        self.left = 0.4 * available_memory(torch.device("cpu"))
        if device.type == "cuda":
            self.left = min(self.left, 0.8 * available_memory(device))

    def take(self, size: int) -> None:
        """Account for an image of ``size`` bytes.

        Raises:
            DataError: The images do not fit.
        """
        self.left -= size
        if self.left < 0:
            raise DataError(
                f"the decoded images do not fit into memory: use {setting('data.cache', 'none')}, "
                "which decodes them in each epoch"
            )
