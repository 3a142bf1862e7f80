"""Engines of other runtimes, as engines of a trained net.

N images, H height, W width; D, C channels; h, w: sides of an output map.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from verydeep.models.engines.eager import PIXELS_AT_MOST, PIXELS_AT_ONCE, Eager
from verydeep.models.engines.interface import Engine
from verydeep.models.engines.runner import Pixels, Runner
from verydeep.models.exported.session import SCORES


class Foreign(Engine):
    """A runtime that reads the net as a graph; eager PyTorch computes what the graph lacks.

    Args:
        name: Name of the engine.
        precision: Precision of its answers.
        runner: The runtime with the net.
        input_size: Side of the smallest image, in pixels.
        eager: Makes the engine for all else; called at first need.
    """

    def __init__(
        self,
        name: str,
        precision: str,
        runner: Runner,
        *,
        input_size: int,
        eager: Callable[[], Eager],
    ) -> None:
        self._name, self._precision = name, precision
        self._runner = runner
        self._outputs = frozenset(runner.outputs)
        self._input_size = input_size
        self._make_eager = eager

    @property
    def name(self) -> str:
        """Name, as for ``--engine``."""
        return self._name

    @property
    def precision(self) -> str:
        """Precision of the answers."""
        return self._precision

    @property
    def pixels_at_once(self) -> int:
        """Recommended number of pixels per batch."""
        return PIXELS_AT_ONCE["cpu"]

    @cached_property
    def _eager(self) -> Eager:
        return self._make_eager()

    def engine_of(self, layer: str | None = None) -> Engine:
        """Return this engine, or the eager one for a layer that the graph does not give."""
        return self if (layer or SCORES) in self._outputs else self._eager

    def answers(self, pictures: Tensor) -> Tensor:
        """Return the output of the last layer, float32 (N, outputs, h, w)."""
        if self._takes(pictures):
            return self._run(pictures, SCORES)
        return self._eager.answers(pictures)

    def activation_map(self, pictures: Tensor, layer: str) -> Tensor:
        """Return the dense activations of a layer, float32 (N, D, h, w)."""
        if layer in self._outputs and self._takes(pictures):
            return self._run(pictures, layer)
        return self._eager.activation_map(pictures, layer)

    def scores_and_activations(self, pictures: Tensor, layer: str) -> tuple[Tensor, Tensor]:
        """Return the scores and the activations of a layer from one pass."""
        if {SCORES, layer} <= self._outputs and self._takes(pictures):
            scores, inner = self._runner.run_all(_as_images(pictures), (SCORES, layer))
            return torch.from_numpy(scores), torch.from_numpy(inner)
        return super().scores_and_activations(pictures, layer)

    def maps(self, pictures: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Return the dense outputs of any layers, from eager PyTorch."""
        return self._eager.maps(pictures, layers)

    def _takes(self, pictures: Tensor) -> bool:
        """Return whether these are images for a runtime.

        A very large image would need a runtime's memory whole, where eager PyTorch computes it in
        strips. Wrong shapes are left to eager PyTorch for its messages.
        """
        if pictures.dtype != torch.uint8 or pictures.dim() != 4 or not len(pictures):
            return False
        height, width = pictures.shape[2:]
        if pictures.shape[1] != 3 or min(height, width) < self._input_size:
            return False
        return bool(height * width <= PIXELS_AT_MOST * self.pixels_at_once)

    def _run(self, pictures: Tensor, output: str) -> Tensor:
        return torch.from_numpy(self._runner.run(_as_images(pictures), output))


def _as_images(pictures: Tensor) -> Pixels:
    """Return images (N, 3, H, W) as a runtime takes them, uint8 (N, H, W, 3)."""
    return np.ascontiguousarray(pictures.cpu().permute(0, 2, 3, 1).numpy())
