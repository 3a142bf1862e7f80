"""A net's scores as a differentiable function of the pixels.

N images; H, W: their sides in pixels; K classes.
"""

from __future__ import annotations

import copy
from itertools import chain
from typing import cast

import torch
from torch import Tensor, nn

from verydeep.models.preprocessing import to_channels
from verydeep.models.trained_net import TrainedNet
from verydeep.nets.interface import Net
from verydeep.nets.spatial import channels_last


class Scores(nn.Module):
    """Module from pixel values to class scores before the softmax, in float32.

    It has its own copy of the net's modules in evaluation mode, which share the weights' memory (on
    the same device) but require no gradients. Hooks and backward passes therefore do not affect the
    model's net.

    Attributes:
        net: The layers.
        device: Device of the computation.
    """

    def __init__(self, model: TrainedNet) -> None:
        super().__init__()
        self.net = frozen_twin(model.net).to(model.machine.device)
        self.device = model.machine.device
        self.divisor = model.preprocessing.divisor
        self.channels = model.preprocessing.channels
        mean = torch.tensor(model.preprocessing.mean, device=self.device)
        self.register_buffer("mean", mean.view(1, -1, *[1] * model.net.dimensions))

    def reading(self, pixels: Tensor) -> Tensor:
        """Return the preprocessed input from pixel values 0 to 255, (N, 3, H, W).

        Volumes have D before H, here as elsewhere.
        """
        shifted = pixels.to(self.device) - cast(Tensor, self.mean)
        x = to_channels(shifted / self.divisor, self.channels)
        return x.contiguous(memory_format=channels_last(self.net.dimensions))

    def colours(self, x: Tensor) -> Tensor:
        """Return pixel values (N, 3, H, W) from preprocessed input; inverse of :meth:`reading`."""
        return x * self.divisor + cast(Tensor, self.mean)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return scores (N, K), averaged over the positions of the net as in the dense test.

        Args:
            pixels: Floating-point values from 0 to 255, (N, 3, H, W); H and W at least the net's
                ``input_size``.

        Raises:
            SizeError: The images are smaller than ``input_size``.
        """
        return cast(Tensor, self.net(self.reading(pixels)))


def frozen_twin(net: Net) -> Net:
    """Return a copy of a net that shares its weights but requires no gradients."""
    memo: dict[int, object] = {}
    for parameter in net.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=False)
    for buffer in net.buffers():
        memo[id(buffer)] = buffer.detach()
    twin = copy.deepcopy(net, memo).eval()
    shared = (p.data_ptr() for p in chain(net.parameters(), net.buffers()))
    assert [*shared] == [p.data_ptr() for p in chain(twin.parameters(), twin.buffers())]
    return twin
