"""A net's scores as a function that can be differentiated by the image's pixels.

N images, H, W their sides in pixels, K classes.
"""

from __future__ import annotations

import copy
from itertools import chain
from typing import cast

import torch
from torch import Tensor, nn

from verydeep.models.trained_net import TrainedNet
from verydeep.nets.vgg import VGG


class Scores(nn.Module):
    """From pixel values to class scores before the softmax, in float32.

    The layers are those of the model's net, with the same weights in the same memory (on another
    device, copies of them), in evaluation mode. But they are modules of its own, and no gradient
    is asked of the weights: whatever is hooked into them or computed backwards through them, the
    model's net does not notice.

    Attributes:
        net: The layers.
        device: Where they compute.
    """

    def __init__(self, model: TrainedNet) -> None:
        super().__init__()
        self.net = frozen_twin(model.net).to(model.machine.device)
        self.device = model.machine.device
        self.divisor = model.preprocessing.divisor
        mean = torch.tensor(model.preprocessing.mean, device=self.device)
        self.register_buffer("mean", mean.view(1, -1, 1, 1))

    def reading(self, pixels: Tensor) -> Tensor:
        """Return what the net reads, from pixel values 0 to 255, (N, 3, H, W)."""
        shifted = pixels.to(self.device) - cast(Tensor, self.mean)
        return (shifted / self.divisor).contiguous(memory_format=torch.channels_last)

    def colours(self, x: Tensor) -> Tensor:
        """Return pixel values, 0 to 255 or beyond, from what the net reads; undoes ``reading``."""
        return x * self.divisor + cast(Tensor, self.mean)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return scores (N, K), averaged over the positions of the net, as the dense test does.

        Args:
            pixels: Values from 0 to 255, a floating type, (N, 3, H, W); H and W at least the
                net's ``input_size``.

        Raises:
            SizeError: The images are smaller than ``input_size``.
        """
        return cast(Tensor, self.net(self.reading(pixels)))


def frozen_twin(net: VGG) -> VGG:
    """Return a net of its own modules, whose weights are the net's, and need no gradient."""
    memo: dict[int, object] = {}
    for parameter in net.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=False)
    for buffer in net.buffers():
        memo[id(buffer)] = buffer.detach()
    twin = copy.deepcopy(net, memo).eval()
    shared = (p.data_ptr() for p in chain(net.parameters(), net.buffers()))
    assert [*shared] == [p.data_ptr() for p in chain(twin.parameters(), twin.buffers())]
    return twin
