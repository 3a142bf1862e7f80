"""Batch normalisation folded into the convolution before it.

D output channels, C input channels, s kernel size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


def fold_norm(
    layer: nn.Conv2d, norm: nn.Module | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weights (D, C, s, s) and bias (D,) of a convolution that includes normalisation.

    With its running statistics, batch normalisation is γ·(y − μ)/√(σ² + ε) + β for the output y of
    the convolution: a factor and an offset per channel. They are computed in float64.

    Args:
        layer: Convolution; one without a bias has biases of 0.
        norm: Batch normalisation after it; None returns the convolution's own values.
    """
    weight = _float64(layer.weight)
    bias = np.zeros(len(weight)) if layer.bias is None else _float64(layer.bias)
    if isinstance(norm, nn.BatchNorm2d):
        mean, variance = _float64(norm.running_mean), _float64(norm.running_var)
        factor = _float64(norm.weight) / np.sqrt(variance + norm.eps)
        weight = weight * factor[:, None, None, None]
        bias = (bias - mean) * factor + _float64(norm.bias)
    return weight.astype(np.float32), bias.astype(np.float32)


def _float64(tensor: torch.Tensor | None) -> NDArray[Any]:
    assert tensor is not None
    return tensor.detach().double().cpu().numpy()
