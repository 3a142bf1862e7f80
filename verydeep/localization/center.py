"""A box net on the central crops of pictures, for their true classes: Testing 1 of appendix A.

N pictures that can be read, H height, W width.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from verydeep.data.augment import rescale
from verydeep.data.geometry import center_window
from verydeep.data.loading import load_pictures
from verydeep.data.samples import Sample, relative_name
from verydeep.errors import DataError
from verydeep.localization.boxes import View, from_view, iou, to_corners, to_view
from verydeep.localization.head import CORRECT_ABOVE, LOSSES, LossName, of_class
from verydeep.localization.localizer import Localizer
from verydeep.progress import Progress, Task


@dataclass(frozen=True)
class CenterBoxes:
    """What a box net answered for the central crops.

    Attributes:
        samples: The pictures that could be read, N, each with its true box.
        views: Where the crops are.
        relative: float32 (N, 4), the boxes found: centre and size relative to the crop.
        true: float32 (N, 4), the true boxes, likewise.
        unreadable: Number in the list that was asked for, and reason, of the others.
    """

    samples: tuple[Sample, ...]
    views: tuple[View, ...]
    relative: Tensor
    true: Tensor
    unreadable: dict[int, str]

    @property
    def found(self) -> Tensor:
        """The boxes found: corners in pixels of the pictures, float32 (N, 4)."""
        return from_view(self.relative, self.views)


@dataclass(frozen=True)
class CenterTest:
    """How well a box net finds objects of a known class on central crops.

    Attributes:
        localization_error: Pictures whose box overlaps the true one by half or less, in percent.
        mean_iou: Mean overlap (intersection over union) of the boxes found and the true ones.
        loss: Mean loss.
        images: Pictures counted.
        unreadable: Names of those that could not be read; they are not counted.
        scales: Q, in pixels.
        split: Name of the split.
        seconds: Time that it took.
    """

    localization_error: float
    mean_iou: float
    loss: float
    images: int
    unreadable: tuple[str, ...]
    scales: tuple[int, ...]
    split: str
    seconds: float
    protocol: str = "center"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in vars(self).items()}


def rate_center(
    model: Localizer,
    samples: Sequence[Sample],
    scale: int,
    *,
    loss: LossName,
    split: str = "",
    root: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> CenterTest:
    """Ask a box net for the boxes of true classes on central crops (Testing 1), and rate them.

    Raises:
        DataError: No picture can be read.
    """
    started = time.monotonic()
    with (progress or Progress()).task(f"testing {split}".strip(), len(samples)) as task:
        answers = center_boxes(model, samples, scale, workers=workers, task=task)
    if not answers.samples:
        reasons = "".join(f"\n  {fault}" for fault in [*answers.unreadable.values()][:10])
        raise DataError(f"none of the {len(samples)} pictures to test on can be read:{reasons}")
    overlaps = iou(to_corners(answers.relative), to_corners(answers.true))
    names = [relative_name(samples[index].path, root or Path()) for index in answers.unreadable]
    return CenterTest(
        localization_error=100 * float((overlaps <= CORRECT_ABOVE).double().mean()),
        mean_iou=float(overlaps.double().mean()),
        loss=float(LOSSES[loss](answers.relative, answers.true).double().mean()),
        images=len(answers.samples),
        unreadable=tuple(names),
        scales=(scale,),
        split=split,
        seconds=time.monotonic() - started,
    )


@dataclass(frozen=True)
class CenterCrop:
    """Cuts the central square out of a rescaled picture; runs where the file is decoded."""

    scale: int
    side: int

    def __call__(self, picture: Image.Image) -> tuple[NDArray[np.uint8], View]:
        """Return the crop, uint8 (side, side, 3), and where it is."""
        pixels = np.asarray(rescale(picture, self.scale))
        rescaled = (pixels.shape[0], pixels.shape[1])
        window = center_window(*rescaled, self.side)
        view = View((picture.height, picture.width), rescaled, window)
        top, left, height, width = window
        return pixels[top : top + height, left : left + width].copy(), view


def center_boxes(
    model: Localizer,
    samples: Sequence[Sample],
    scale: int,
    *,
    workers: int | None = None,
    task: Task | None = None,
) -> CenterBoxes:
    """Ask a box net where the objects are on the central crops of pictures.

    Args:
        model: The box net.
        samples: Pictures with a box; labels count into its classes.
        scale: Q, smallest side of the rescaled pictures, in pixels.
        workers: Decoding processes.
        task: Told how many pictures are done.
    """
    model.check_scale(scale)
    side = model.input_size
    paths = [sample.path for sample in samples]
    loaded = load_pictures(paths, CenterCrop(scale, side), workers=workers)
    good: list[Sample] = []
    views: list[View] = []
    found: list[Tensor] = []
    unreadable: dict[int, str] = {}
    while part := list(islice(loaded, max(1, model.pixels_at_once // side**2))):
        unreadable |= {one.index: str(one.fault) for one in part if one.value is None}
        shown = [(samples[one.index], *one.value) for one in part if one.value is not None]
        if shown:
            found.append(_answer(model, shown))
        good += [sample for sample, _, _ in shown]
        views += [view for _, _, view in shown]
        if task:
            task.update(part[-1].index + 1)
    boxes = torch.tensor([sample.box for sample in good], dtype=torch.float64).view(-1, 4)
    return CenterBoxes(
        tuple(good),
        tuple(views),
        torch.cat(found) if found else torch.empty(0, 4),
        (to_view(boxes, views) if views else boxes).float(),
        unreadable,
    )


def _answer(model: Localizer, shown: Sequence[tuple[Sample, NDArray[np.uint8], View]]) -> Tensor:
    pictures = torch.from_numpy(np.stack([crop for _, crop, _ in shown])).permute(0, 3, 1, 2)
    labels = torch.tensor([sample.label for sample, _, _ in shown], device=model.machine.device)
    return of_class(model.outputs(pictures), labels)[..., 0, 0].cpu()
