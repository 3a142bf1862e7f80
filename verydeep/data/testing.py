"""Whole pictures for testing and prediction: rescaled, and batched with others of their size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from verydeep.data.augment import rescale
from verydeep.data.loading import load_pictures

Pixels = NDArray[np.uint8]

BATCH_PIXELS = 32 * 256 * 256
"""Pixels that go through a net at once, so that memory stays bounded whatever the sizes."""

PENDING_PIXELS = 8 * BATCH_PIXELS
"""Pixels that may wait for others of their size."""


@dataclass(frozen=True, slots=True)
class TestBatch:
    """Pictures of one size at one scale.

    Attributes:
        indices: Their numbers in the list that was asked for, (N,).
        pictures: uint8 (N, 3, H, W).
        scale: Q, the smallest side they were rescaled to.
    """

    __test__ = False  # not a test for pytest to collect

    indices: tuple[int, ...]
    pictures: Tensor
    scale: int


@dataclass(frozen=True)
class Rescale:
    """Brings a picture to every test scale; runs where the file is decoded."""

    scales: tuple[int, ...]

    def __call__(self, picture: Image.Image) -> tuple[Pixels, ...]:
        """Return the pixels (H, W, 3) at each scale."""
        return tuple(np.asarray(rescale(picture, scale)) for scale in self.scales)


@dataclass
class TestPictures:
    """A list of pictures, rescaled to every test scale and batched by size.

    Attributes:
        pictures: Files, or pictures in memory.
        scales: Test scales Q, in pixels.
        workers: Decoding processes for files.
        unreadable: Number and reason of the files that could not be read, known after a pass.
    """

    __test__ = False

    pictures: Sequence[Path | Image.Image]
    scales: tuple[int, ...]
    workers: int | None = None
    unreadable: dict[int, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[TestBatch]:
        """Yield every readable picture once at each scale."""
        self.unreadable.clear()
        groups: dict[tuple[int, int, int], list[tuple[int, Pixels]]] = defaultdict(list)
        pending = 0
        for loaded in load_pictures(self.pictures, Rescale(self.scales), workers=self.workers):
            if loaded.value is None:
                self.unreadable[loaded.index] = str(loaded.fault)
                continue
            for scale, pixels in zip(self.scales, loaded.value, strict=True):
                key = (scale, *pixels.shape[:2])
                area = pixels.shape[0] * pixels.shape[1]
                groups[key].append((loaded.index, pixels))
                pending += area
                if (len(groups[key]) + 1) * area > BATCH_PIXELS:
                    pending -= area * len(groups[key])
                    yield _batch(key[0], groups.pop(key))
            if pending > PENDING_PIXELS:
                yield from (_batch(key[0], group) for key, group in groups.items())
                groups.clear()
                pending = 0
        yield from (_batch(key[0], group) for key, group in groups.items())


def _batch(scale: int, group: list[tuple[int, Pixels]]) -> TestBatch:
    indices, pictures = zip(*group, strict=True)
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    return TestBatch(indices, stacked, scale)
