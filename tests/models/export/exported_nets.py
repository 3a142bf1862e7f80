"""Images for exported nets."""

from __future__ import annotations

import numpy as np


def images(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return noise, uint8 (count, height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)
