"""Whole images rescaled to every test scale, for testing and prediction."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from verydeep.data.geometry import Rounding
from verydeep.data.images.limits import check_sides
from verydeep.data.images.member import ImageSource
from verydeep.data.images.rescale import rescale
from verydeep.data.pipeline.workers import load_pictures
from verydeep.data.volumes.volume import Volume

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class TestPicture:
    """One image at every test scale.

    Attributes:
        index: Index in the list of images.
        scales: Test scales Q (smallest sides).
        pixels: Pixels at each scale, uint8 (H, W, 3); of a volume, uint8 (D, H, W, 3).
        size: Height and width of the upright image before rescaling; those of a volume's slices.
    """

    __test__ = False  # not a test for pytest to collect

    index: int
    scales: tuple[int, ...]
    pixels: tuple[Pixels, ...]
    size: tuple[int, int]

    def at(self, scale: int) -> Pixels:
        """Return the pixels (H, W, 3) at a scale."""
        return self.pixels[self.scales.index(scale)]


@dataclass(frozen=True)
class Rescale:
    """Rescales an image to every test scale, in the process that decodes it."""

    scales: tuple[int, ...]
    rounding: Rounding = "nearest"
    interpolation: str = "bilinear"

    def __call__(self, picture: Image.Image | Volume) -> tuple[Pixels, ...]:
        """Return the pixels (H, W, 3) at each scale; of a volume, the voxels (D, H, W, 3).

        Raises:
            PictureError: The image is too thin.
        """
        if isinstance(picture, Volume):
            from verydeep.data.volumes.crop import rescaled  # imports torch, and images need none

            return tuple(rescaled(picture, scale, self.rounding) for scale in self.scales)
        check_sides(*picture.size)  # an image from memory has not been checked
        filter_ = Image.Resampling[self.interpolation.upper()]
        return tuple(
            np.asarray(rescale(picture, scale, self.rounding, filter_)) for scale in self.scales
        )


@dataclass(frozen=True)
class _Measured:
    """Rescales an image and returns its original size too."""

    rescale: Rescale

    def __call__(self, picture: Image.Image | Volume) -> tuple[tuple[int, int], tuple[Pixels, ...]]:
        if isinstance(picture, Volume):
            return picture.sides[1:], self.rescale(picture)
        return (picture.height, picture.width), self.rescale(picture)


@dataclass
class TestPictures:
    """A list of images, rescaled to every test scale.

    Attributes:
        pictures: Files, or images in memory.
        scales: Test scales Q, in pixels.
        workers: Decoding processes for files.
        rounding: Rounding of the longer side.
        interpolation: ``bilinear``, as was usual in 2014, or ``bicubic``.
        dimensions: 2 for images, 3 for volumes; the others are unreadable.
        unreadable: Reasons by index of unreadable files, known after iteration.
    """

    __test__ = False

    pictures: Sequence[ImageSource | Image.Image]
    scales: tuple[int, ...]
    workers: int | None = None
    rounding: Rounding = "nearest"
    interpolation: str = "bilinear"
    dimensions: int = 2
    unreadable: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.pictures)

    def __iter__(self) -> Generator[TestPicture, None, None]:
        """Yield every readable image once, in order."""
        self.unreadable.clear()
        prepare = _Measured(Rescale(self.scales, self.rounding, self.interpolation))
        loading = load_pictures(
            self.pictures, prepare, workers=self.workers, dimensions=self.dimensions
        )
        with closing(loading) as all_loaded:
            for loaded in all_loaded:
                if loaded.value is None:
                    self.unreadable[loaded.index] = str(loaded.fault)
                else:
                    size, pixels = loaded.value
                    yield TestPicture(loaded.index, self.scales, pixels, size)
