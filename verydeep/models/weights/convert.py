"""Make a net of this package from the layers of a file, with the same scores.

O outputs, I inputs, C channels, s side of the last map.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from verydeep.models.weights.match import Match, Taken
from verydeep.models.weights.source import BatchNorm, SourceLayer
from verydeep.nets.interface import Net
from verydeep.nets.registry import PAPER_NETS, build, family_of

DIVISOR = 64.0
"""Divisor of pixels, as in training; the first layer absorbs the rest of the scaling.

A power of two: weights of a source without deviations stay what they were, bit for bit.
"""


@dataclass(frozen=True)
class Pixels:
    """Preprocessing that weights were trained with: (RGB - mean) / std.

    Attributes:
        bgr: Whether the net reads blue, green, red.
        mean: Red, green, blue, 0 to 255.
        std: Red, green, blue, 0 to 255.
    """

    bgr: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@torch.no_grad()
def to_net(
    match: Match, pixels: Pixels, *, input_size: int, dtype: torch.dtype = torch.float32
) -> Net:
    """Return the net of a match, with preprocessing folded into its first convolution.

    The net expects ``(RGB - pixels.mean) / DIVISOR``. The padding is zero after the mean is
    subtracted, so order of channels and deviations fold exactly, and the mean does not.

    Args:
        match: Column of Table 1 and its layers.
        pixels: Preprocessing of the source.
        input_size: Side of the images, in pixels.
        dtype: Precision of the folding and of the net's weights.
    """
    with torch.device("meta"):
        net = build(match.name, match.num_classes, input_size=input_size, **_settings(match))
    state = dict(_weights(match, pixels))
    kinds = net.state_dict()
    net.load_state_dict(
        {
            key: value if not kinds[key].is_floating_point() else value.to(dtype).contiguous()
            for key, value in state.items()
        },
        assign=True,
    )
    return net.eval()


def _settings(match: Match) -> dict[str, Any]:
    """Return the settings of the net that a match fills."""
    own = family_of(match.name).settings
    # Units are scaled by the width, which may be no integer multiple.
    hidden = {"hidden": round(match.hidden / match.width)} if "hidden" in own else {}
    auxiliary = {"auxiliary": False} if "auxiliary" in own else {}
    return {"width": match.width, "batch_norm": match.batch_norm, **hidden, **auxiliary}


def _weights(match: Match, pixels: Pixels) -> Iterator[tuple[str, Tensor]]:
    """Yield names and values of the net's weights, in float64."""
    for number, taken in enumerate(match.convolutions):
        weight = taken.source.weight.double()
        yield f"features.{taken.layer}.weight", _folded(weight, pixels) if not number else weight
        if match.name in PAPER_NETS or taken.source.norm is None:
            yield f"features.{taken.layer}.bias", _bias(taken.source)
        if taken.source.norm:
            prefix = f"features.{taken.layer.replace('conv', 'norm')}."
            for name, value in _norm(taken.source.norm).items():
                yield prefix + name, value
    channels = len(match.convolutions[-1].source.weight)
    for number, taken in enumerate(match.head):
        weight = _as_rows(taken, channels, first=not number)
        yield f"classifier.{taken.layer}.weight", weight.double()
        yield f"classifier.{taken.layer}.bias", _bias(taken.source)


def _folded(weight: Tensor, pixels: Pixels) -> Tensor:
    """Return the first convolution's weights for RGB pixels divided only by ``DIVISOR``."""
    rgb = weight.flip(1) if pixels.bgr else weight
    factors = DIVISOR / torch.tensor(pixels.std, dtype=torch.float64)
    return rgb * factors.view(1, -1, 1, 1)


def _bias(layer: SourceLayer) -> Tensor:
    if layer.bias is None:
        return torch.zeros(len(layer.weight), dtype=torch.float64)
    return layer.bias.double()


def _norm(norm: BatchNorm) -> Mapping[str, Tensor]:
    """Return the normalisation's weights for the epsilon of this package's nets."""
    variance = norm.variance.double()
    ours = torch.nn.BatchNorm2d(1).eps
    scale = norm.scale.double() * ((variance + ours) / (variance + norm.epsilon)).sqrt()
    return {
        "weight": scale,
        "bias": norm.shift.double(),
        "running_mean": norm.mean.double(),
        "running_var": variance,
        "num_batches_tracked": torch.tensor(0),
    }


def _as_rows(taken: Taken, channels: int, *, first: bool) -> Tensor:
    """Return a fully connected layer's weights (O, D), with D in the order C, s, s."""
    weight = taken.source.weight
    if first and weight.dim() == 2 and taken.source.flatten == "hwc":
        side = round((weight.shape[1] // channels) ** 0.5)
        weight = weight.view(-1, side, side, channels).permute(0, 3, 1, 2)
    return weight.flatten(1)
