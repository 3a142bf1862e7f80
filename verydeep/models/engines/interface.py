"""Interface of the engines that compute a trained net's outputs.

N images, H height, W width; D, C channels; h, w: sides of an output map.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any

from torch import Tensor

from verydeep.models.exported.session import SCORES


class Engine(ABC):
    """Computes a net's outputs from pixels, including preprocessing."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name, as for ``--engine``."""

    @property
    @abstractmethod
    def precision(self) -> str:
        """Precision of the answers: ``fp32``, ``bf16`` or ``int8``."""

    @property
    @abstractmethod
    def pixels_at_once(self) -> int:
        """Recommended number of pixels per batch."""

    @abstractmethod
    def answers(self, pictures: Tensor) -> Tensor:
        """Return the output of the last layer at every position.

        Args:
            pictures: Pixel values from 0 to 255, (N, 3, H, W); H, W ≥ the input size.

        Returns:
            float32 (N, outputs, h, w); h = w = 1 for images of the input size.
        """

    @abstractmethod
    def activation_map(self, pictures: Tensor, layer: str) -> Tensor:
        """Return the dense activations of a layer that describes images, float32 (N, D, h, w)."""

    def output_of(self, pictures: Tensor, output: str) -> Tensor:
        """Return :meth:`answers` for ``scores``, else :meth:`activation_map` of a layer."""
        if output == SCORES:
            return self.answers(pictures)
        return self.activation_map(pictures, output)

    def scores_and_activations(self, pictures: Tensor, layer: str) -> tuple[Tensor, Tensor]:
        """Return :meth:`answers` and :meth:`activation_map`, from one pass if possible."""
        return self.answers(pictures), self.activation_map(pictures, layer)

    @abstractmethod
    def maps(self, pictures: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Return the dense outputs of any layers, float32 (N, C, h, w), in forward order."""

    def engine_of(self, layer: str | None = None) -> Engine:
        """Return the engine that really computes a layer; None means the last.

        An engine leaves to eager PyTorch what it cannot compute.
        """
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return name and precision, as results give them."""
        return {"engine": self.name, "precision": self.precision}
