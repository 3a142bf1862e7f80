"""Numbers of a file as tensors, after the checks that every format needs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from verydeep.errors import ModelError, printable
from verydeep.models.weights.source import MOST_VALUES


def check_count(count: int, where: str) -> None:
    """Refuse a file that declares too many numbers, before any of them is read.

    Raises:
        ModelError: ``count`` is above ``MOST_VALUES``.
    """
    if count > MOST_VALUES:
        raise ModelError(
            f"{where}: a file of weights may hold at most {MOST_VALUES:,} numbers; this one "
            f"declares {count:,}"
        )


def to_tensor(values: np.ndarray, name: str, where: str) -> Tensor:
    """Return numbers as a tensor of its own memory: float64 stays, all others become float32.

    Args:
        values: Numbers, floating point, of any byte order.
        name: Name of the layer, for messages.
        where: The file, for messages.

    Raises:
        ModelError: The values are no floating-point numbers, or not all of them are finite.
    """
    if values.dtype.kind != "f":
        raise ModelError(
            f"{where}: the weights of {printable(name)} must be floating-point numbers; they are "
            f"{values.dtype} instead"
        )
    kind = np.float64 if values.dtype.itemsize == 8 else np.float32
    tensor = torch.from_numpy(np.array(values, dtype=kind, order="C"))
    if not torch.isfinite(tensor).all():
        wrong = tensor.numel() - int(torch.isfinite(tensor).sum())
        raise ModelError(
            f"{where}: the weights of {printable(name)} must be finite; {wrong:,} of "
            f"{tensor.numel():,} are NaN or infinite"
        )
    return tensor
