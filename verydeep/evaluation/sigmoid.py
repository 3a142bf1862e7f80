"""The logistic sigmoid of scores, for classes that do not exclude each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def sigmoid(scores: NDArray[Any], axis: int = 1) -> NDArray[Any]:
    """Return 1 / (1 + exp(-scores)), in the dtype of the scores.

    It is computed in float64, and without overflow.

    Args:
        scores: Scores of any shape.
        axis: Axis of the classes, for the same signature as
            :func:`verydeep.evaluation.softmax.softmax`; each class stands alone.

    >>> sigmoid(np.array([0.0, np.log(3), -1e4]))
    array([0.5 , 0.75, 0.  ])
    """
    small = np.exp(-np.abs(scores.astype(np.float64)))
    return np.asarray(np.where(scores >= 0, 1.0, small) / (1.0 + small), scores.dtype)
