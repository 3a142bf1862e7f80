"""Arrays at the door of PyTorch.

Tests and predictions pass NumPy arrays, so that exported nets need no torch.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def arrays_too(
    function: Callable[[Tensor], Tensor], pictures: Tensor | NDArray[np.uint8]
) -> Tensor | NDArray[np.float32]:
    """Apply a function of tensors; for an array, return an array.

    Args:
        function: Function of images.
        pictures: Images as a tensor or array; an array is not copied.
    """
    if isinstance(pictures, np.ndarray):
        return function(torch.from_numpy(pictures)).cpu().numpy()
    return function(pictures)
