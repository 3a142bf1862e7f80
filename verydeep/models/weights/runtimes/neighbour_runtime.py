"""Weights of GoogLeNet by torchvision's own net, and of SENet-154 by timm's.

N images, S input size, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from verydeep.models.weights.imported import Imported
from verydeep.models.weights.runtimes.library import library, running
from verydeep.models.weights.runtimes.torch_state import answers


class _Source(NamedTuple):
    """A library's net.

    Attributes:
        library: Name of the library.
        module: Module of the net.
        make: Makes the net, from the module and the number of classes.
        first: Name of its first weights.
    """

    library: str
    module: str
    make: Callable[[Any, int], nn.Module]
    first: str


def _googlenet(models: Any, classes: int) -> nn.Module:
    net: nn.Module = models.GoogLeNet(classes, aux_logits=False, init_weights=False)
    return net


def _senet154(models: Any, classes: int) -> nn.Module:
    net: nn.Module = models.SENet(
        models.SEBottleneck,
        layers=(3, 8, 36, 3),
        groups=64,
        reduction=16,
        num_classes=classes,
    )
    return net


SOURCES: Mapping[str, _Source] = {
    "googlenet": _Source(
        "torchvision", "torchvision.models.googlenet", _googlenet, "conv1.conv.weight"
    ),
    "senet154": _Source("timm", "timm.models.senet", _senet154, "layer0.conv1.weight"),
}
"""Library and net by name of ours."""


def run(imported: Imported, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return class scores (N, K).

    Args:
        imported: The net made of the file.
        pixels: Images as the source's net reads them, (N, 3, S, S), channels in its order.

    Raises:
        MissingExtra: The library is not installed.
        ModelError: The library's net has other layers or names of layers than the file.
    """
    source = SOURCES[imported.match.name]
    models = library(source.module, source.library)
    with running(imported, source.library):
        with torch.device("meta"):
            net = source.make(models, imported.match.num_classes)
        return answers(net, imported, pixels, first=source.first)
