"""torchvision's VGG nets converted to nets of this package, with identical scores.

K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from verydeep.errors import ModelError
from verydeep.models.folder import ModelConfig, NetConfig, PreprocessingConfig, read_config
from verydeep.models.path import TORCHVISION, check_vgg, find_model, names_torchvision
from verydeep.models.weights.torchvision import (
    TorchvisionWeights,
    count_outputs,
    find_weights,
    load_into,
)
from verydeep.nets.interface import Net
from verydeep.nets.registry import known_as

DIVISOR = 64.0
"""Divisor of pixels, as in training; the first layer absorbs the rest of the scaling."""


def read_vgg(text: str) -> tuple[Net, ModelConfig]:
    """Convert a torchvision VGG net to a net of this package.

    The layers and their order are the same. torchvision divides each colour by its standard
    deviation; here the first convolution's weights absorb this.

    Args:
        text: ``torchvision/NAME`` for the weights that torchvision recommends,
            ``torchvision/NAME:WEIGHTS`` for other published ones, ``torchvision/NAME:FILE`` for a
            file.

    Returns:
        Net and model configuration.

    Raises:
        ModelError: The net is not a torchvision VGG net, or its weights cannot be read or
            downloaded.
    """
    check_vgg(text)
    weights = find_weights(text, default=True)
    if weights.published:
        weights.class_names(0)  # refuse weights without classes before a download
    state = weights.read()
    origin = weights.file or weights.text
    outputs = count_outputs(state, origin, weights.describe())
    state = _checked(weights, state, outputs)
    config = _config(weights, weights.class_names(outputs))
    with torch.device("meta"):
        net = config.net.build(outputs)
    ours = dict(zip(net.state_dict(), state.values(), strict=True))
    first = next(iter(ours))
    ours[first] = _fold_deviation(ours[first].float(), _preset(weights).std)
    net.load_state_dict(ours, assign=True)
    return net.float(), config


def source_config(source: str | Path) -> ModelConfig:
    """Return the configuration of a model folder or torchvision name, without loading weights.

    Raises:
        ModelError: The model does not exist.
    """
    if not names_torchvision(source):
        return read_config(find_model(source))
    check_vgg(source)
    return _config(find_weights(str(source), default=True), ("0",))


def _checked(
    weights: TorchvisionWeights, state: Mapping[str, Tensor], outputs: int
) -> dict[str, Tensor]:
    """Return the weights in the order of torchvision's net.

    Raises:
        ModelError: The weights do not fit the net.
    """
    from torchvision.models import get_model

    with torch.device("meta"):
        theirs: nn.Module = get_model(
            weights.name, weights=None, num_classes=outputs, init_weights=False
        )
    load_into(theirs, state, weights.file or weights.text, weights.describe(outputs))
    return dict(theirs.state_dict())


def _fold_deviation(first: Tensor, deviation: tuple[float, ...]) -> Tensor:
    """Return the first convolution's weights for pixels divided only by ``DIVISOR``."""
    factors = DIVISOR / (255 * torch.tensor(deviation, dtype=torch.float64))
    return (first.double() * factors.view(1, -1, 1, 1)).float()


def _preset(weights: TorchvisionWeights) -> Any:
    from torchvision.models import get_model_weights

    return (weights.published or get_model_weights(weights.name).DEFAULT).transforms()


def _config(weights: TorchvisionWeights, classes: tuple[str, ...]) -> ModelConfig:
    known = known_as(weights.name)
    if known is None:  # unreachable after check_vgg
        raise ModelError(f"{TORCHVISION}{weights.name}: no VGG net")
    preset = _preset(weights)
    resize = preset.resize_size[0]
    red, green, blue = (255 * value for value in preset.mean)
    return ModelConfig(
        net=NetConfig(
            name=known.name,
            input_size=preset.crop_size[0],
            width=1.0,
            hidden=4096,
            dropout=0.5,
            norm="batch" if known.batch_norm else None,
        ),
        classes=classes,
        preprocessing=PreprocessingConfig(mean=(red, green, blue), divisor=DIVISOR),
        train_scale=(resize, resize),
        test_scales=(resize,),
    )
