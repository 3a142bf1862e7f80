"""Which crop of an image an epoch shows, and where on the crop the object is.

N crops.
"""

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
    """Draws crops, and says what is to be learned of them beside the class."""

    def crop(
        self, sample: Sample, size: Size, original: Size, generator: np.random.Generator
    ) -> Crop:
        """Draw a crop of an image.

        Args:
            sample: What is known of the image.
            size: Of the pixels that it is cut from.
            original: Of the upright image, in whose pixels a box is given.
            generator: Of this image in this epoch.
        """

    def boxes(
        self, samples: Sequence[Sample], originals: Sequence[Size], crops: Sequence[Crop]
    ) -> Tensor | None:
        """Return where on N crops the objects are, float32 (N, 4); None if that is not asked."""


@dataclass(frozen=True, slots=True)
class AnyCrop:
    """Any crop is as good as another: to learn the class."""

    augmentation: Augmentation

    def crop(
        self, sample: Sample, size: Size, original: Size, generator: np.random.Generator
    ) -> Crop:
        """Draw a crop, whatever it shows."""
        return draw_crop(self.augmentation, *size, generator)

    def boxes(
        self, samples: Sequence[Sample], originals: Sequence[Size], crops: Sequence[Crop]
    ) -> Tensor | None:
        """Return None."""
        return None
