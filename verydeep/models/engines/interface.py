"""What a trained net asks of whatever computes its answers.

N images, H height, W width; h, w: sides of a map of answers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection

from torch import Tensor


class Engine(ABC):
    """Computes a net's answers from pixels; preprocessing is a part of it."""

    @property
    @abstractmethod
    def pixels_at_once(self) -> int:
        """Pixels of all images that should go through it together."""

    @abstractmethod
    def answers(self, pictures: Tensor) -> Tensor:
        """Return the output of the last layer at every position of the net.

        Args:
            pictures: Pixel values from 0 to 255, (N, 3, H, W); H and W at least the input size.

        Returns:
            float32 (N, outputs, h, w); h = w = 1 for images of the input size.
        """

    @abstractmethod
    def activation_map(self, pictures: Tensor, layer: str) -> Tensor:
        """Return the dense activations of a layer that describes images, float32 (N, D, h, w)."""

    @abstractmethod
    def maps(self, pictures: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Return the dense outputs of any layers, float32 (N, C, h, w), in forward order."""
