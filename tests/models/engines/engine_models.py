"""Images for engines."""

from __future__ import annotations

import torch
from torch import Tensor


def noise(count: int, height: int, width: int) -> Tensor:
    """Return images of noise, uint8 (count, 3, height, width)."""
    generator = torch.Generator().manual_seed(height * width)
    return torch.randint(0, 256, (count, 3, height, width), generator=generator, dtype=torch.uint8)
