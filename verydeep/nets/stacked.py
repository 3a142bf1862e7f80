"""Nets that are a chain of layers: what the neighbours of the paper's nets have in common.

N images, C channels, H height, W width, K classes; h, w: sides of a map.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from verydeep.errors import InputError, SizeError, did_you_mean
from verydeep.nets.anatomy import Anatomy
from verydeep.nets.counted import counted
from verydeep.nets.dense import classify_densely, classify_through
from verydeep.nets.families import family_of
from verydeep.nets.interface import Net
from verydeep.nets.windows import window_of


class Stacked(Net):
    """A net whose layers follow one another: ``features``, then ``classifier``.

    The last layer of ``features`` gives the map that the classifier reads: a window of one position
    where the net averages its last map.
    """

    divisible = False
    SETTINGS: Mapping[str, Any]
    """Settings of the family with their defaults."""

    def check_input_size(self, input_size: int) -> None:
        """Refuse an input size that the net cannot be made for.

        Raises:
            SizeError: The size is too small.
        """
        least = family_of(self.name).smallest_input
        if input_size < least:
            raise SizeError(f"input_size must be at least {least}, got {input_size} instead")

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores before the softmax, (N, K), averaged over the positions of the net.

        Raises:
            SizeError: The net cannot read images (N, C, H, W) of this size.
        """
        return self.score_map(x).mean((2, 3))

    def score_map(self, x: Tensor, *, pixels: int | None = None) -> Tensor:
        """Return class scores at every position, (N, K, h, w).

        Args:
            x: Images, (N, C, H, W).
            pixels: Maximum number of pixels per pass; more images are computed in parts, but no
                image is divided. None means no limit.

        Raises:
            SizeError: The net cannot read images of this size.
        """
        self.check_head()
        return classify_densely(self.classifier, self.feature_map(x, pixels=pixels))

    def feature_map(self, x: Tensor, *, pixels: int | None = None) -> Tensor:
        """Return the map that the classifier reads, (N, C', h, w); ``pixels`` as elsewhere."""
        self.check_pictures(x)
        count, _, height, width = x.shape
        if pixels is None or count * height * width <= pixels:
            return cast(Tensor, self.features(x))
        each = max(1, pixels // (height * width))
        return torch.cat([self.features(part) for part in torch.split(x, each)])

    def activation_map(self, x: Tensor, layer: str, *, pixels: int | None = None) -> Tensor:
        """Return dense activations (N, D, h, w) of a layer of :attr:`feature_layers`.

        Raises:
            InputError: The layer is not one of these.
            SizeError: The net cannot read images of this size.
        """
        self.activations(layer)
        maps = self.feature_map(x, pixels=pixels)
        if layer == self.last_map:
            return maps
        return classify_densely(self.classifier[: self._end_of(layer)], maps)

    def scores_and_activations(
        self, x: Tensor, layer: str, *, pixels: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return :meth:`score_map` and :meth:`activation_map` from one pass."""
        self.check_head()
        self.activations(layer)
        maps = self.feature_map(x, pixels=pixels)
        if layer == self.last_map:
            return classify_densely(self.classifier, maps), maps
        return classify_through(self.classifier, self._end_of(layer), maps)

    def _end_of(self, layer: str) -> int:
        """Return the number of layers of the classifier up to one."""
        return [name for name, _ in self.classifier.named_children()].index(layer) + 1

    def activations(self, layer: str) -> int:
        """Return the number D of activations of a layer per position.

        Raises:
            InputError: :meth:`activation_map` does not support the layer.
        """
        if layer not in self.feature_layers:
            raise InputError(
                f"layer must be one of {', '.join(self.feature_layers)}, got {layer!r} instead"
                f"{did_you_mean(layer, self.feature_layers)}"
            )
        return next(p.channels for p in self.anatomy().parts if p.layer.name == layer)

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """Layers whose activations describe images, deepest first."""
        return (self.last_map,)

    @property
    def final_map(self) -> int:
        """Side of the map that the classifier reads, for an image of exactly ``input_size``."""
        return self.sides(self.input_size)

    def sides(self, length: int) -> int:
        """Return the side of the last map for an image of this side, in pixels."""
        for module in self.features:
            length = window_of(module).outputs(length)
        return length

    def map_size(self, *sides: int) -> tuple[int, ...]:
        """Return the sides of the score map of an image (H, W), in positions."""
        return tuple(self.sides(side) - self.final_map + 1 for side in sides)

    def anatomy(self) -> Anatomy:
        """Return sizes, weights and receptive fields, layer by layer, counted on the modules."""
        if self._anatomy is None:
            self._anatomy = counted(self)
        return self._anatomy

    _anatomy: Anatomy | None = None

    def settings(self) -> dict[str, Any]:
        """Return the settings to build the same net with, without the number of classes."""
        return {name: getattr(self, name) for name in ("name", *self.SETTINGS)}

    def extra_repr(self) -> str:
        """Return name, classes and input size."""
        return f"{self.name}, num_classes={self.num_classes}, input_size={self.input_size}"
