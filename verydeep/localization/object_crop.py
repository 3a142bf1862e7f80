"""Training crops that keep enough of the object, with boxes relative to the crop.

N crops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from verydeep.data.geometry import Box, Window
from verydeep.data.pipeline.augment import Augmentation, Crop, draw_crop
from verydeep.data.pipeline.crop_policy import Size
from verydeep.data.samples import Sample
from verydeep.localization.box_geometry import PlacedView, to_view, visible_share

TRIES = 10
"""Maximum number of crops drawn per image before one is moved onto the object."""


@dataclass(frozen=True, slots=True)
class ObjectCrop:
    """Random crops that show enough of the object, with its box.

    The paper does not say how to handle crops that miss the object. Here, up to :data:`TRIES` crops
    are drawn until one shows a fraction ``visible`` of the box's area. If none does, the last one
    is centred on the box, as far as the image allows, which shows as much of it as a crop of that
    size can. The box is not clipped, because the visible part of an object indicates the rest.

    Crops depend only on the seed, the epoch and the image's index, as in classification.

    Attributes:
        augmentation: Random augmentation of images.
        visible: Minimum visible fraction of the box's area, 0 to 1.
    """

    augmentation: Augmentation
    visible: float = 0.5

    def crop(
        self, sample: Sample, size: Size, original: Size, generator: np.random.Generator
    ) -> Crop:
        """Draw a random crop of an image with a box."""
        assert sample.box is not None
        box = torch.tensor(sample.box, dtype=torch.float64)
        for _ in range(TRIES):
            crop = draw_crop(self.augmentation, *size, generator)
            if float(visible_share(box, view_of(crop, original))) >= self.visible:
                return crop
        return onto(sample.box, original, crop)

    def boxes(
        self, samples: Sequence[Sample], originals: Sequence[Size], crops: Sequence[Crop]
    ) -> Tensor:
        """Return the boxes as centre and size relative to the crop, float32 (N, 4)."""
        if not crops:
            return torch.empty(0, 4)
        given = torch.tensor([sample.box for sample in samples], dtype=torch.float64)
        views = [view_of(crop, size) for crop, size in zip(crops, originals, strict=True)]
        return to_view(given, views).float()


def view_of(crop: Crop, original: Size) -> PlacedView:
    """Return a crop of an image of size ``original`` as a view."""
    return PlacedView(original, crop.rescaled, crop.window, crop.flip)


def onto(box: Box, original: Size, crop: Crop) -> Crop:
    """Return the crop centred on the box, but within the image."""
    whole = PlacedView(original, crop.rescaled, Window(0, 0, *crop.rescaled))
    x, y, *_ = to_view(torch.tensor(box, dtype=torch.float64), whole).tolist()
    window, (height, width) = crop.window, crop.rescaled
    top = min(max(round(y * height - window.height / 2), 0), height - window.height)
    left = min(max(round(x * width - window.width / 2), 0), width - window.width)
    return replace(crop, window=window._replace(top=top, left=left))
