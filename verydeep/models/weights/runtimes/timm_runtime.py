"""PyTorch weights by timm's own net.

N images, S input size, K classes, C channels, s side of the last map.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from verydeep.models.weights.imported import Imported
from verydeep.models.weights.runtimes.layout import channels_and_pools
from verydeep.models.weights.runtimes.torch_state import run_net

NAME = "timm"


def run(imported: Imported, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return class scores (N, K), or the last map (N, C, s, s) without head.

    Args:
        imported: The net made of the file.
        pixels: Images as the source's net reads them, (N, 3, S, S), channels in its order.

    Raises:
        MissingExtra: timm is not installed.
        ModelError: timm's net has other layers or names of layers than the file.
    """
    return run_net(NAME, _net, imported, pixels)


def _net(vgg: Any, imported: Imported) -> nn.Module:
    match = imported.match
    plan = channels_and_pools(match)
    net: nn.Module = vgg.VGG(plan, norm_layer=nn.BatchNorm2d if match.batch_norm else None)
    if not match.head:
        net.pre_logits, net.head = nn.Identity(), nn.Identity()
        return net
    channels = len(match.convolutions[-1].source.weight)
    net.pre_logits = vgg.ConvMlp(channels, match.hidden, match.final_map)
    net.head = vgg.ClassifierHead(match.hidden, match.num_classes)
    return net
