"""Training batches of volumes: as those of images, with crops that are cubes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from verydeep.data.pipeline.augment import Augmentation, sample_generator
from verydeep.data.pipeline.batches import Order, TrainingBatches
from verydeep.data.pipeline.micro_batch import MicroBatch
from verydeep.data.samples import Samples
from verydeep.data.volumes.crop import CubeCrop, draw_cube, read_cube
from verydeep.errors import PictureError


class VolumeBatches(TrainingBatches):
    """The training set as batches of augmented cubes."""

    def from_files(self) -> Callable[[Order], MicroBatch]:
        """Return what makes a micro-batch from files, here or in a worker."""
        return _FromVolumes(self.samples, self.augmentation, self.seed)


@dataclass(frozen=True)
class _FromVolumes:
    samples: Samples
    augmentation: Augmentation
    seed: int

    def __call__(self, order: Order) -> MicroBatch:
        cubes, shifts, draws, faults = [], [], [], []
        for number in order.indices.tolist():
            path = self.samples[number % len(self.samples)].path
            assert isinstance(path, Path)
            draw = _Draw(self.augmentation, sample_generator(self.seed, order.epoch, number))
            try:
                cube, crop = read_cube(path, draw)
            except PictureError as error:
                faults.append(str(error))
                continue
            cubes.append(cube)
            shifts.append(crop.shift)
            draws.append(number)
        empty = torch.empty((0, 3, *[self.augmentation.size] * 3), dtype=torch.uint8)
        labels = [self.samples[number % len(self.samples)].label for number in draws]
        return MicroBatch(
            pictures=torch.stack(cubes) if cubes else empty,
            labels=torch.tensor(labels, dtype=torch.long),
            shifts=torch.tensor(shifts, dtype=torch.float32).view(-1, 3),
            step=order.step,
            images=order.images,
            last=order.last,
            unreadable=tuple(faults),
            draws=tuple(draws),
        )


@dataclass(frozen=True)
class _Draw:
    """Draws the crop of one volume once its size is known."""

    augmentation: Augmentation
    generator: np.random.Generator

    def __call__(self, *extent: float) -> CubeCrop:
        depth, height, width = extent
        return draw_cube(self.augmentation, (depth, height, width), self.generator)
