"""The softmax of scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def softmax(scores: NDArray[Any], axis: int) -> NDArray[Any]:
    """Return exp(scores), scaled to sum to one along an axis.

    It is computed in float64 and returned in the dtype of the scores.

    >>> softmax(np.array([[0.0, 0.0], [0.0, np.log(3)]]), 1)
    array([[0.5 , 0.5 ],
           [0.25, 0.75]])
    """
    powers = np.exp(scores.astype(np.float64) - scores.max(axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis, keepdims=True), scores.dtype)
