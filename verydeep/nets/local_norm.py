"""Local response normalisation in any precision (Krizhevsky et al., 2012).

N images, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LocalResponseNorm(nn.LocalResponseNorm):
    """PyTorch's local response normalisation, computed in float32 at least.

    PyTorch has none for bf16 on a CPU, and squares lose digits there.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return normalised maps (N, C, H, W) in the precision of ``x``."""
        if x.dtype not in (torch.bfloat16, torch.float16):
            return super().forward(x)
        return super().forward(x.float()).to(x.dtype)
