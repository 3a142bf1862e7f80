"""Sums over the images of all processes that depend neither on their number nor on any order.

n images of one process, k values of each.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from verydeep.system.group.distributed import Group

STEP = 2.0**-32
"""Values are rounded to multiples of this; float64 then adds them exactly, up to sums of 2^21."""


def sum_over_images(values: ArrayLike, group: Group) -> NDArray[np.float64]:
    """Return sums over the images of all processes, followed by the number of images.

    Args:
        values: Values of this process's images, (n, k); n may be 0 if k is known.
        group: Processes that have a share of the images each.

    Returns:
        float64 (k + 1,).

    >>> sum_over_images([[0.5, 1.0], [0.25, 0.0]], Group()).tolist()
    [0.75, 1.0, 2.0]
    """
    rows = np.asarray(values, np.float64)
    sums = np.append(STEP * np.rint(rows / STEP).sum(0), len(rows))
    if group.size > 1:
        import torch

        group.sum(torch.from_numpy(sums))  # in place
    return sums
