"""Eager PyTorch, the reference engine for all others.

N images, H height, W width; D, C channels; h, w: sides of an output map.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from functools import partial

import torch
from torch import Tensor, nn

from verydeep.models.engines.interface import Engine
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.interface import Net
from verydeep.nets.layer_outputs import trace
from verydeep.nets.spatial import Convolution, channels_last
from verydeep.system.device import Machine
from verydeep.system.engine_names import TORCH

PIXELS_AT_ONCE = {"cpu": 2**19, "cuda": 2**24}
"""Pixels per batch by device type; on a CPU, small batches fit the caches and are fastest."""

PIXELS_AT_MOST = 4
"""Multiple of these pixels above which one image is computed in overlapping strips."""


class Eager(Engine):
    """A net in inference form: on its device, channels_last, weights in the target precision.

    Args:
        net: Net with float32 weights.
        preprocessing: Conversion of pixels to the net's input.
        machine: Device and precision.
        exact_answers: Always compute the last layer in float32.
    """

    def __init__(
        self, net: Net, preprocessing: Preprocessing, machine: Machine, *, exact_answers: bool
    ) -> None:
        self.preprocessing, self.machine = preprocessing, machine
        # Weights created in inference mode could not be used for gradients later.
        with torch.inference_mode(False):
            self.net = inference_form(net, machine, exact_answers)

    @property
    def name(self) -> str:
        """``torch``."""
        return TORCH

    @property
    def precision(self) -> str:
        """``bf16`` or ``fp32``."""
        return "bf16" if self.machine.precision == "bf16" else "fp32"

    @property
    def pixels_at_once(self) -> int:
        """Recommended number of pixels per batch."""
        return pixels_at_once(self.machine)

    def input_of(self, pictures: Tensor) -> Tensor:
        """Return the net's input for images (N, 3, H, W) with values from 0 to 255."""
        x = self.preprocessing(pictures.to(self.machine.device, non_blocking=True))
        return x.bfloat16() if self.machine.precision == "bf16" else x

    def answers(self, pictures: Tensor) -> Tensor:
        """Return the output of the last layer, float32 (N, outputs, h, w)."""
        return self._compute(pictures, self.net.score_map)

    def activation_map(self, pictures: Tensor, layer: str) -> Tensor:
        """Return the dense activations of a layer, float32 (N, D, h, w)."""
        return self._compute(pictures, partial(self.net.activation_map, layer=layer))

    def scores_and_activations(self, pictures: Tensor, layer: str) -> tuple[Tensor, Tensor]:
        """Return the scores and the activations of a layer from one pass."""
        with torch.inference_mode():
            x, pixels = self.input_of(pictures), PIXELS_AT_MOST * self.pixels_at_once
            scores, inner = self.net.scores_and_activations(x, layer, pixels=pixels)
            return scores.float(), inner.float()

    def maps(self, pictures: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Return the dense outputs of any layers, float32 (N, C, h, w), in forward order."""
        with torch.inference_mode():
            found = trace(self.net, self.input_of(pictures), layers)
            return {name: values.float() for name, values in found.items()}

    def _compute(self, pictures: Tensor, form: Callable[..., Tensor]) -> Tensor:
        """Apply a form of the net to images, in strips if they are large."""
        with torch.inference_mode():
            x = self.input_of(pictures)
            return form(x, pixels=PIXELS_AT_MOST * self.pixels_at_once).float()


def pixels_at_once(machine: Machine) -> int:
    """Return the recommended number of pixels per batch on a machine."""
    return PIXELS_AT_ONCE.get(machine.device.type, PIXELS_AT_ONCE["cpu"])


def inference_form(net: Net, machine: Machine, exact_answers: bool = False) -> Net:
    """Return a copy for fast inference: on its device, channels_last, in the target precision.

    Normalisation layers stay in float32, as under autocast.

    Args:
        net: Net with float32 weights.
        machine: Device and precision; with bf16 the weights are bf16.
        exact_answers: Always compute the last layer in float32.
    """
    form = copy.deepcopy(net).eval().requires_grad_(False).to(machine.device)
    if machine.precision == "bf16":
        exact = form.classifier[-1] if exact_answers else None
        for module in form.modules():
            if isinstance(module, Convolution | nn.Linear) and module is not exact:
                module.bfloat16()
        if exact is not None:
            exact.register_forward_pre_hook(_in_float32)
    return form.to(memory_format=channels_last(net.dimensions))


def _in_float32(_: nn.Module, read: tuple[Tensor]) -> tuple[Tensor]:
    return (read[0].float(),)
