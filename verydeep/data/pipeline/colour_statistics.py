"""One pass over the training images before training: mean colour, principal axes, faults.

The mean RGB is the only preprocessing of the paper (section 2.1); the principal axes carry the
colour shift of Krizhevsky et al. (2012). Each image counts alike, whatever its size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from verydeep.data.pipeline.augment import rescale
from verydeep.data.pipeline.image_cache import PictureStore, Room
from verydeep.data.pipeline.workers import load_pictures
from verydeep.data.samples import Sample, Samples
from verydeep.errors import DataError
from verydeep.system.option_names import setting

Pixels = NDArray[np.uint8]
BLOCK = 2**16
"""Pixels that are measured at once."""

Moments = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class ColourStatistics:
    """The colours of a training set.

    Attributes:
        mean: Mean red, green and blue, 0 to 255.
        covariance: 3 x 3, of RGB between 0 and 1, which is the unit in which Krizhevsky's shift
            has its published size.
    """

    mean: tuple[float, float, float]
    covariance: tuple[tuple[float, float, float], ...]

    def shift_axes(self) -> NDArray[np.float32]:
        """Return the matrix whose k-th column is 255·λₖ·pₖ.

        Times the factors α it gives the colour shift in pixel values.
        """
        eigenvalues, axes = np.linalg.eigh(np.array(self.covariance))
        return np.asarray(255 * axes * eigenvalues, dtype=np.float32)


class ColourSum:
    """Adds up the colour moments of images, one after the other."""

    def __init__(self) -> None:
        self.count = 0
        self.first, self.second = np.zeros(3), np.zeros((3, 3))

    def add(self, moments: Moments) -> None:
        """Count one image, by what :class:`Measure` says of it."""
        self.count += 1
        self.first += moments[0]
        self.second += moments[1]

    def join(self, other: ColourSum) -> None:
        """Count the images of another sum too."""
        self.count += other.count
        self.first += other.first
        self.second += other.second

    def statistics(self) -> ColourStatistics:
        """Return the statistics of the images so far; there must be one."""
        mean = self.first / self.count
        covariance = self.second / self.count - np.outer(mean, mean)
        return ColourStatistics(
            tuple((255 * mean).tolist()), tuple(tuple(row) for row in covariance.tolist())
        )


@dataclass(frozen=True)
class Scan:
    """What a pass over images found.

    Attributes:
        colours: None if no image could be read.
        samples: Those whose images can be read, in order.
        unreadable: The others: name and reason.
        left_out: Their numbers in the list that was read.
        store: The images of ``samples``, if they were to be kept.
    """

    colours: ColourStatistics
    samples: Samples
    unreadable: tuple[str, ...] = ()
    left_out: tuple[int, ...] = ()
    store: PictureStore | None = field(default=None, repr=False)


def scan(
    samples: Sequence[Sample],
    *,
    keep_on: torch.device | None = None,
    largest_scale: int | None = None,
    unreadable_limit: float = 0.01,
    workers: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Scan:
    """Read every training image once.

    Args:
        samples: The training set.
        keep_on: Device on which the decoded images are kept; None keeps none.
        largest_scale: Kept images with a larger smallest side are rescaled to this; right for a
            fixed S alone, since other scales would resample them twice.
        unreadable_limit: Share of broken images above which the data set is refused.
        workers: Decoding processes; see :func:`verydeep.data.pipeline.workers.load_pictures`.
        progress: Called with the count of images read so far.

    Raises:
        DataError: More images are broken than the limit allows, or they do not fit into memory.
    """
    samples = Samples.of(samples)
    measure = Measure(keep=keep_on is not None, largest_scale=largest_scale)
    room = Room(keep_on) if keep_on else None
    faults, left_out, kept, sizes = [], [], [], []
    colours = ColourSum()
    with closing(load_pictures(samples.paths, measure, workers=workers)) as all_loaded:
        for loaded in all_loaded:
            progress(loaded.index + 1)
            if loaded.value is None:
                faults.append(str(loaded.fault))
                left_out.append(loaded.index)
                continue
            moments, picture, size = loaded.value
            colours.add(moments)
            if room and picture is not None:
                room.take(picture.nbytes)
                kept.append(picture)
                sizes.append(size)
    check_unreadable(faults, len(samples), unreadable_limit)
    store = PictureStore(kept, keep_on, sizes) if keep_on else None
    good = samples.take(np.delete(np.arange(len(samples)), left_out))
    return Scan(colours.statistics(), good, tuple(faults), tuple(left_out), store)


def check_unreadable(faults: Sequence[str], total: int, limit: float) -> None:
    """Refuse a training set with too many broken images, or with none that is whole.

    Raises:
        DataError: With the list of the broken ones.
    """
    if not faults or (len(faults) / total <= limit and len(faults) < total):
        return
    listed = "".join(f"\n  {fault}" for fault in faults[:50])
    listed += f"\n  and {len(faults) - 50} more" if len(faults) > 50 else ""
    if len(faults) == total:
        raise DataError(f"none of the {total} training images can be read:{listed}")
    enough = math.ceil(1000 * len(faults) / total) / 1000
    raise DataError(
        f"{len(faults)} of {total} training images cannot be read, more than the "
        f"{limit:.1%} that data.unreadable_limit allows:{listed}\n"
        f"Mend or remove them, or raise the limit: {setting('data.unreadable_limit', enough)}"
    )


@dataclass(frozen=True)
class Measure:
    """Takes the first and second moments of an image's colours, and perhaps its pixels along."""

    keep: bool
    largest_scale: int | None

    def __call__(
        self, picture: Image.Image
    ) -> tuple[Moments, NDArray[np.uint8] | None, tuple[int, int]]:
        """Return what was measured, and what is kept.

        Returns:
            ((3,), (3, 3)) moments of RGB between 0 and 1; the pixels (H, W, 3) to be kept, if any;
            height and width of the whole image.
        """
        pixels = np.asarray(picture)
        moments, size = _moments(pixels.reshape(-1, 3)), (picture.height, picture.width)
        if not self.keep:
            return moments, None, size
        if self.largest_scale and min(picture.size) > self.largest_scale:
            pixels = np.asarray(rescale(picture, self.largest_scale))
        return moments, pixels, size


def _moments(pixels: Pixels) -> Moments:
    """Return the moments of RGB pixels (P, 3), block by block to bound memory and rounding."""
    first, second = np.zeros(3), np.zeros((3, 3))
    for start in range(0, len(pixels), BLOCK):
        # Channel by channel, several times as quick, and the same to the last bit: 2^16 numbers up
        # to 1 in steps of 2^-32 have an exact sum in float64, whatever their order.
        channels = np.ascontiguousarray(pixels[start : start + BLOCK].T).astype(np.float32)
        channels /= 255
        first += channels.sum(1, dtype=np.float64)
        second += (channels @ channels.T).astype(np.float64)
    return first / len(pixels), second / len(pixels)
