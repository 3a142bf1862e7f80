"""A net of a :class:`SourceFile`, computed layer by layer with torch's functions."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor
from torch.nn import functional as F

from verydeep.models.weights.source import SourceFile, SourceLayer


def apply_norm(layer: SourceLayer, x: Tensor) -> Tensor:
    norm = layer.norm
    if norm is None:
        return x
    return F.batch_norm(
        x, norm.mean, norm.variance, norm.scale, norm.shift, training=False, eps=norm.epsilon
    )


def forward(source: SourceFile, x: Tensor, pools_after: Collection[int] = (1,)) -> Tensor:
    """Return the scores: ReLU after every layer but the last, a 2x2 max-pool after some."""
    for place, layer in enumerate(source.layers):
        if layer.is_convolution:
            side = layer.weight.shape[2]
            x = F.conv2d(x, layer.weight, layer.bias, padding=side // 2 if side < 4 else 0)
            x = apply_norm(layer, x)
        else:
            flat = x.permute(0, 2, 3, 1) if layer.flatten == "hwc" and x.dim() == 4 else x
            x = F.linear(flat.flatten(1), layer.weight, layer.bias)
        x = x if layer is source.layers[-1] else x.relu()
        x = F.max_pool2d(x, 2) if place in pools_after else x
    return x
