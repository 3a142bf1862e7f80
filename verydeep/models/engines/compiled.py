"""PyTorch with ``torch.compile`` for the convolutions.

N images, H height, W width; C, D channels; h, w: sides of an output map.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from verydeep.models.engines.eager import Eager
from verydeep.models.engines.runner import Maps, Pixels
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.interface import Net
from verydeep.nets.layer_outputs import trace
from verydeep.system.device import Machine

SETTINGS = {"compile_threads": 1}
"""Settings of the compiler: no processes of its own, which outlive the work."""


class Compiled(Eager):
    """Eager PyTorch whose convolutions are compiled once, for images of any number and size."""

    def __init__(
        self, net: Net, preprocessing: Preprocessing, machine: Machine, *, exact_answers: bool
    ) -> None:
        super().__init__(net, preprocessing, machine, exact_answers=exact_answers)
        self._plain = self.net
        self.net = copy.copy(self.net)
        self.net._modules = dict(self._plain._modules)
        compiled = _ManyAtOnce(self._plain.features)
        self.net.features = cast(nn.Sequential, compiled)

    @property
    def name(self) -> str:
        """``compile``."""
        return "compile"

    def maps(self, pictures: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Return the dense outputs of any layers, which are not compiled."""
        with torch.inference_mode():
            found = trace(self._plain, self.input_of(pictures), layers)
            return {name: values.float() for name, values in found.items()}


class _ManyAtOnce(nn.Module):
    """Compiled layers that never see a single image, for which they would be compiled again."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self._call: Any = torch.compile(layers, dynamic=True, options=dict(SETTINGS))

    def forward(self, x: Tensor) -> Tensor:
        """Return the output (N, C, h, w) for images (N, 3, H, W)."""
        if len(x) == 1:
            return cast(Tensor, self._call(x.expand(2, -1, -1, -1).contiguous()))[:1]
        return cast(Tensor, self._call(x))


class CompiledRunner:
    """The engine as a runner, for its trial in a child process.

    Args:
        file: Pickled arguments of :class:`Compiled`, written by :func:`pack`.
        precision: ``fp32`` or ``bf16``.
        threads: Number of threads.
    """

    def __init__(self, file: Path, precision: str, threads: int) -> None:
        torch.set_num_threads(threads)
        packed = torch.load(file, weights_only=False)  # our own file
        self._engine = Compiled(*packed[:3], exact_answers=packed[3])

    def run(self, images: Pixels, output: str) -> Maps:
        """Return the scores or a layer's map, float32 (N, D, h, w), for images (N, H, W, 3)."""
        found = self._engine.output_of(torch.from_numpy(images).permute(0, 3, 1, 2), output)
        return cast(Maps, found.numpy())


def pack(file: Path, net: Net, preprocessing: Preprocessing, machine: Machine, exact: bool) -> None:
    """Write the arguments of :class:`Compiled` to a file that only this program reads."""
    torch.save((net, preprocessing, machine, exact), file)
