"""Policies for drawing training crops and their box targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from verydeep.data.pipeline.augment import Augmentation, Crop, draw_crop
from verydeep.data.samples import Sample

Size = tuple[int, int]
"""Height and width in pixels."""


class Drawing(Protocol):
    """Draws crops, and gives their targets besides the class."""

    def crop(
        self, sample: Sample, size: Size, original: Size, generator: np.random.Generator
    ) -> Crop:
        """Draw a crop of an image.

        Args:
            sample: The image's sample.
            size: Size of the pixels to crop from.
            original: Size of the upright image, in whose pixels boxes are given.
            generator: Random generator of this image in this epoch.
        """

    def boxes(
        self, samples: Sequence[Sample], originals: Sequence[Size], crops: Sequence[Crop]
    ) -> Tensor | None:
        """Return the boxes on N crops, float32 (N, 4); None if they are not learned."""


@dataclass(frozen=True, slots=True)
class AnyCrop:
    """Draw crops anywhere, for classification."""

    augmentation: Augmentation

    def crop(
        self, sample: Sample, size: Size, original: Size, generator: np.random.Generator
    ) -> Crop:
        """Draw a crop."""
        return draw_crop(self.augmentation, *size, generator)

    def boxes(
        self, samples: Sequence[Sample], originals: Sequence[Size], crops: Sequence[Crop]
    ) -> Tensor | None:
        """Return None."""
        return None
