"""PyTorch weights by torchvision's own net.

N images, S input size, K classes, C channels, s side of the last map.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from verydeep.errors import ModelError, printable
from verydeep.models.weights.imported import Imported
from verydeep.models.weights.match import Match
from verydeep.models.weights.runtimes.layout import channels_and_pools
from verydeep.models.weights.runtimes.torch_state import run_net

NAME = "torchvision"


def run(imported: Imported, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return class scores (N, K), or the last map (N, C, s, s) without head.

    Args:
        imported: The net made of the file.
        pixels: Images as the source's net reads them, (N, 3, S, S), channels in its order.

    Raises:
        ModelError: torchvision's net has other layers or names of layers than the file.
    """
    return run_net(NAME, _net, imported, pixels)


def _net(vgg: Any, imported: Imported) -> nn.Module:
    match = imported.match
    layers = vgg.make_layers(channels_and_pools(match), batch_norm=match.batch_norm)
    if match.final_map is None:
        return nn.Sequential(OrderedDict(features=layers))  # VGG itself flattens the last map
    net: nn.Module = vgg.VGG(layers, init_weights=False)
    net.avgpool = nn.AdaptiveAvgPool2d((match.final_map, match.final_map))
    net.classifier = _classifier(imported, match)
    return net


def _classifier(imported: Imported, match: Match) -> nn.Module:
    """Return the fully connected layers by the names in the file, with ReLUs between them.

    People replace the whole of torchvision's ``classifier``, or its last layer.
    """
    linear = [nn.Linear(one.source.weight[0].numel(), len(one.source.weight)) for one in match.head]
    names = [one.source.name for one in match.head]
    if names == ["classifier"]:
        return linear[0]
    places = [name.removeprefix("classifier.") for name in names]
    if not all(place.isdecimal() and len(place) < 3 for place in places):
        raise ModelError(
            f"{printable(imported.path)}: {printable(names[0])} is no layer of torchvision's net"
        )
    modules: list[nn.Module] = [nn.Identity() for _ in range(int(places[-1]) + 1)]
    for place, layer in zip(map(int, places), linear, strict=True):
        modules[place] = layer
        if place + 1 < len(modules):
            modules[place + 1] = nn.ReLU()
    return nn.Sequential(*modules)
