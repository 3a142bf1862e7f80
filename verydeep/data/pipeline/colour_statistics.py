"""Mean colour and principal axes of the training images, from one pass that also finds faults.

The mean RGB is the paper's only preprocessing (section 2.1); the principal axes define the colour
shift of Krizhevsky et al. (2012). Every image has the same weight, whatever its size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from verydeep.data.images.rescale import rescale
from verydeep.data.pipeline.image_cache import PictureStore, Room
from verydeep.data.pipeline.workers import load_pictures
from verydeep.data.samples import Sample, Samples
from verydeep.data.volumes.volume import Volume
from verydeep.errors import DataError
from verydeep.system.option_names import option, setting

if TYPE_CHECKING:
    import torch

Pixels = NDArray[np.uint8]
BLOCK = 2**16
"""Pixels to process at once."""

Moments = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class ColourStatistics:
    """The colours of a training set.

    Attributes:
        mean: Mean red, green and blue, 0 to 255.
        covariance: 3 x 3, of RGB in 0 to 1, the unit of Krizhevsky's published shift.
    """

    mean: tuple[float, float, float]
    covariance: tuple[tuple[float, float, float], ...]

    def shift_axes(self) -> NDArray[np.float32]:
        """Return the matrix with columns 255·λₖ·pₖ; times α, it gives the shift in pixel values."""
        eigenvalues, axes = np.linalg.eigh(np.array(self.covariance))
        return np.asarray(255 * axes * eigenvalues, dtype=np.float32)


class ColourSum:
    """Running sum of the colour moments of images."""

    def __init__(self) -> None:
        self.count = 0
        self.first, self.second = np.zeros(3), np.zeros((3, 3))

    def add(self, moments: Moments) -> None:
        """Add one image, measured by :class:`Measure`."""
        self.count += 1
        self.first += moments[0]
        self.second += moments[1]

    def join(self, other: ColourSum) -> None:
        """Add another sum."""
        self.count += other.count
        self.first += other.first
        self.second += other.second

    def statistics(self) -> ColourStatistics:
        """Return the statistics of the images so far; there must be at least one."""
        mean = self.first / self.count
        covariance = self.second / self.count - np.outer(mean, mean)
        return ColourStatistics(
            tuple((255 * mean).tolist()), tuple(tuple(row) for row in covariance.tolist())
        )


@dataclass(frozen=True)
class Scan:
    """The results of a pass over images.

    Attributes:
        colours: Colour statistics.
        samples: Samples with readable images, in order.
        unreadable: The other images: name and reason.
        left_out: Indices of the unreadable images.
        store: The images of ``samples``, if kept.
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
    dimensions: int = 2,
    progress: Callable[[int], None] = lambda done: None,
) -> Scan:
    """Read every training image once.

    Args:
        samples: The training set.
        keep_on: Device on which to keep the decoded images; None keeps none.
        largest_scale: Rescale kept images to this smallest side if theirs is larger; only for a
            fixed S, since other scales would resample them twice.
        unreadable_limit: Maximum share of broken images.
        workers: Decoding processes; see :func:`verydeep.data.pipeline.workers.load_pictures`.
        dimensions: 2 for images, 3 for volumes; the others are broken.
        progress: Called with the number of images read so far.

    Raises:
        DataError: More images are broken than the limit allows, or memory is too small.
    """
    samples = Samples.of(samples)
    measure = Measure(keep=keep_on is not None, largest_scale=largest_scale)
    room = Room(keep_on) if keep_on else None
    faults, left_out, kept, sizes = [], [], [], []
    colours = ColourSum()
    loading = load_pictures(samples.paths, measure, workers=workers, dimensions=dimensions)
    with closing(loading) as all_loaded:
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


MOST_LISTED = 50
"""Maximum number of broken images in a message."""


def check_unreadable(
    faults: Sequence[str],
    total: int,
    limit: float,
    *,
    images: str = "training images",
    named: str | None = None,
    finished: bool = True,
) -> None:
    """Refuse a set with too many broken images, or only broken ones.

    Args:
        faults: The broken images: name and reason.
        total: Number of images in the set.
        limit: Maximum share of broken images.
        images: Name of the images in messages.
        named: Option that gives the limit; None for the setting ``data.unreadable_limit``.
        finished: Whether all images were read; if not, no limit can be suggested.

    Raises:
        DataError: Lists the broken images.
    """
    if not faults or (len(faults) / total <= limit and len(faults) < total):
        return
    listed = "".join(f"\n  {fault}" for fault in faults[:MOST_LISTED])
    more = len(faults) - MOST_LISTED
    listed += f"\n  and {more} more" if more > 0 else ""
    if len(faults) == total:
        raise DataError(f"all {total} {images} are unreadable:{listed}")
    enough = math.ceil(1000 * len(faults) / total) / 1000
    key = "data.unreadable_limit"
    raised = option(named, enough) if named else setting(key, enough)
    raise DataError(
        f"{'' if finished else 'at least '}{len(faults)} of {total} {images} cannot be read, more "
        f"than the {limit:.1%} that {option(named) if named else key} allows:{listed}\n"
        f"Fix or remove them, or raise the limit{f': {raised}' if finished else ''}"
    )


@dataclass(frozen=True)
class Measure:
    """Measures the first and second colour moments of an image, and perhaps keeps its pixels."""

    keep: bool
    largest_scale: int | None

    def __call__(
        self, picture: Image.Image | Volume
    ) -> tuple[Moments, NDArray[np.uint8] | None, tuple[int, int]]:
        """Measure an image.

        Returns:
            Moments ((3,), (3, 3)) of RGB in 0 to 1; pixels (H, W, 3) to keep, if any; height and
            width of the whole image.
        """
        if isinstance(picture, Volume):  # these are not kept
            return _moments(picture.voxels.reshape(-1, 3)), None, picture.sides[1:]
        pixels = np.asarray(picture)
        moments, size = _moments(pixels.reshape(-1, 3)), (picture.height, picture.width)
        if not self.keep:
            return moments, None, size
        if self.largest_scale and min(picture.size) > self.largest_scale:
            pixels = np.asarray(rescale(picture, self.largest_scale))
        return moments, pixels, size


def _moments(pixels: Pixels) -> Moments:
    """Return the moments of RGB pixels (P, 3), by blocks to limit memory and rounding."""
    first, second = np.zeros(3), np.zeros((3, 3))
    for start in range(0, len(pixels), BLOCK):
        # By channel, several times as fast, and the same to the last bit: 2^16 numbers up to 1 in
        # steps of 2^-32 have an exact sum in float64 in any order.
        channels = np.ascontiguousarray(pixels[start : start + BLOCK].T).astype(np.float32)
        channels /= 255
        first += channels.sum(1, dtype=np.float64)
        second += (channels @ channels.T).astype(np.float64)
    return first / len(pixels), second / len(pixels)
