"""Maps of the frozen layers of a net, for training and validation images.

N images, C channels; h, w: sides of a map.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from verydeep.data.geometry import center_window
from verydeep.data.images.member import ImageSource
from verydeep.data.pipeline.batches import TrainingBatches
from verydeep.data.pipeline.on_device import on_device
from verydeep.data.pipeline.rescaled import TestPicture, TestPictures
from verydeep.models.engines.eager import inference_form, pixels_at_once
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.halves import lower_half
from verydeep.nets.interface import Net
from verydeep.system.device import Machine
from verydeep.system.progress import ProgressTask

Rows = Iterator[tuple[Tensor, Tensor]]
"""Indices of images, int64 (n,), and their maps, (n, C, h, w), on the CPU."""


@dataclass
class MapMaker:
    """Computes the maps of a layer, in inference form.

    Attributes:
        net: The net.
        layer: The layer, a pool.
        preprocessing: Conversion of pixels to the net's input.
        machine: Device and precision.
    """

    net: Net
    layer: str
    preprocessing: Preprocessing
    machine: Machine

    @cached_property
    def _frozen(self) -> nn.Sequential:
        return lower_half(inference_form(self.net, self.machine), self.layer)

    @property
    def at_once(self) -> int:
        """Number of crops that go through the layers at once."""
        return max(1, pixels_at_once(self.machine) // self.net.input_size**2)

    def shape(self) -> tuple[int, int, int]:
        """Return C, h, w of a map."""
        size = self.net.input_size
        _, channels, h, w = self.maps(torch.zeros(1, 3, size, size, dtype=torch.uint8)).shape
        return channels, h, w

    def maps(self, crops: Tensor, shifts: Tensor | None = None) -> Tensor:
        """Return the maps (N, C, h, w) of crops, uint8 (N, 3, S, S).

        Args:
            crops: The crops.
            shifts: RGB shift of each, float32 (N, 3), or None.
        """
        shifts = None if shifts is None else shifts.to(self.machine.device)
        x = self.preprocessing(crops.to(self.machine.device), shifts)
        x = x.bfloat16() if self.machine.precision == "bf16" else x
        with torch.inference_mode():
            return cast(Tensor, self._frozen(x))

    def of_view(
        self, crops: TrainingBatches, view: int, shift_axes: Tensor, task: ProgressTask
    ) -> Rows:
        """Yield the maps of one augmented crop of every training image.

        Args:
            crops: The crops; view v is their epoch v.
            view: Number of the view.
            shift_axes: Principal axes of the colours; see
                :meth:`~verydeep.data.pipeline.colour_statistics.ColourStatistics.shift_axes`.
            task: Told how many images are done.
        """
        done = 0
        with closing(crops.epoch(view)) as parts:
            for coded in parts:
                part = on_device(coded, self.machine.device)
                if part.draws:
                    maps = self.maps(part.pictures, part.shifts @ shift_axes.T)
                    yield torch.tensor(part.draws), maps
                done += len(part.draws)
                task.update(done)

    def of_centers(
        self,
        images: Sequence[ImageSource | Path],
        scale: int,
        workers: int | None,
        task: ProgressTask,
    ) -> Rows:
        """Yield the maps of the central crops of images at a scale."""
        found: list[TestPicture] = []
        with closing(iter(TestPictures(images, (scale,), workers))) as pictures:
            for picture in pictures:
                found.append(picture)
                if len(found) == self.at_once:
                    yield self._of_centers(found)
                    found = []
                task.update(picture.index + 1)
        if found:
            yield self._of_centers(found)

    def _of_centers(self, pictures: Sequence[TestPicture]) -> tuple[Tensor, Tensor]:
        crops = [_center(picture, self.net.input_size) for picture in pictures]
        indices = torch.tensor([picture.index for picture in pictures])
        return indices, self.maps(torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2))


def _center(picture: TestPicture, size: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return the central crop, uint8 (S, S, 3)."""
    pixels = picture.pixels[0]
    top, left, height, width = center_window(pixels.shape[0], pixels.shape[1], size)
    return pixels[top : top + height, left : left + width]
