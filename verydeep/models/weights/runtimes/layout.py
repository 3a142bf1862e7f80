"""A matched column in the notation of torchvision and timm, and images undone to a file's input.

N images, S input size; pixels are (N, 3, S, S).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from verydeep.errors import ModelError
from verydeep.models.weights.match import Match
from verydeep.nets.registry import block_of

POOL = "M"


def channels_and_pools(match: Match) -> list[int | str]:
    """Return the outputs of the convolutions in forward order, with ``M`` for every pool."""
    plan: list[int | str] = []
    blocks = [block_of(f"features.{one.layer}.weight") for one in match.convolutions]
    for taken, block, after in zip(match.convolutions, blocks, [*blocks[1:], None], strict=True):
        plan.append(len(taken.source.weight))
        plan += [POOL] if after != block else []
    return plan


def before_preprocessing(
    pixels: NDArray[np.float32],
    factor: NDArray[np.float64],
    offset: NDArray[np.float64],
    *,
    reversed_channels: bool,
) -> NDArray[np.float32]:
    """Return what a file must be given so that its own layers make these pixels of it.

    Args:
        pixels: Pixels as the first convolution reads them.
        factor: Factors of the file's preprocessing, (3,) or (1,), by channel of the convolution.
        offset: Offsets that it adds after that, likewise.
        reversed_channels: Whether it reverses the channels first.

    Raises:
        ModelError: A factor is 0.
    """
    if not np.all(factor):
        raise ModelError("the file multiplies its input by 0, so no image tells anything")
    given = (pixels - offset.reshape(1, -1, 1, 1)) / factor.reshape(1, -1, 1, 1)
    return np.ascontiguousarray(given[:, ::-1] if reversed_channels else given, np.float32)
