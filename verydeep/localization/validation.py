"""Quick validation of a box net after an epoch (appendix A, first test protocol).

N images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from verydeep.data.geometry import center_window
from verydeep.data.pipeline.augment import rescale
from verydeep.data.pipeline.workers import load_pictures
from verydeep.data.samples import Sample
from verydeep.errors import DataError
from verydeep.localization.box_geometry import PlacedView, clip, from_view, iou, to_view
from verydeep.localization.head import CORRECT_ABOVE, of_class
from verydeep.localization.localizer import Localizer
from verydeep.system.progress import ProgressTask


@dataclass(frozen=True)
class CenterFigures:
    """Validation results of a box net on central crops, with known classes.

    Attributes:
        loss: Mean loss over the main objects' boxes.
        localization_error: Images whose box has an IoU of at most 0.5 with each true box, in
            percent.
        mean_iou: Mean IoU of the boxes with the best-matching true boxes, 0 to 1.
    """

    loss: float
    localization_error: float
    mean_iou: float


def check_center(
    model: Localizer,
    samples: Sequence[Sample],
    scale: int,
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    workers: int | None = None,
    task: ProgressTask | None = None,
) -> tuple[CenterFigures, dict[int, str]]:
    """Evaluate the boxes of the true classes on central crops.

    This equals protocol ``center`` of :func:`verydeep.localization.evaluate.evaluate_boxes`, with
    the loss but without baselines and predictions.

    Args:
        model: Box net.
        samples: Images with a box, and labels that index the net's classes.
        scale: Test scale Q, smallest side of the rescaled images in pixels.
        loss: Loss on relative boxes; see :data:`verydeep.localization.head.LOSSES`.
        workers: Number of decoding processes.
        task: Progress task, updated with the number of images done.

    Returns:
        Results, and the reasons why images are unreadable, by index; these are not counted.

    Raises:
        DataError: No image can be read.
        InputError: The scale is too small for the net.
    """
    model.check_scale(scale)
    losses: list[float] = []
    overlaps: list[float] = []
    faults: dict[int, str] = {}
    crop = CenterCrop(scale, model.input_size)
    paths = [sample.path for sample in samples]
    with closing(load_pictures(paths, crop, workers=workers)) as loaded:
        while part := list(islice(loaded, max(1, model.pixels_at_once // model.input_size**2))):
            faults |= {one.index: str(one.fault) for one in part if one.value is None}
            shown = [(samples[one.index], *one.value) for one in part if one.value is not None]
            for (sample, _, view), found in zip(shown, _answer(model, shown), strict=True):
                true = torch.tensor(sample.boxes, dtype=torch.float64)
                losses.append(float(loss(found, to_view(true[0], view))))
                on_picture = clip(from_view(found.double(), view), *view.picture)
                overlaps.append(float(iou(on_picture, true).max()))
            if task:
                task.update(part[-1].index + 1)
    if not overlaps:
        reasons = "".join(f"\n  {fault}" for fault in [*faults.values()][:10])
        raise DataError(f"none of the {len(samples)} images to test on can be read:{reasons}")
    wrong = sum(overlap <= CORRECT_ABOVE for overlap in overlaps)
    count = len(overlaps)
    figures = CenterFigures(sum(losses) / count, 100 * wrong / count, sum(overlaps) / count)
    return figures, faults


@dataclass(frozen=True)
class CenterCrop:
    """Crops the central square of a rescaled image, in the decoding process."""

    scale: int
    side: int

    def __call__(self, picture: Image.Image) -> tuple[NDArray[np.uint8], PlacedView]:
        """Return the crop, uint8 (side, side, 3), and its view."""
        pixels = np.asarray(rescale(picture, self.scale))
        rescaled = (pixels.shape[0], pixels.shape[1])
        window = center_window(*rescaled, self.side)
        view = PlacedView((picture.height, picture.width), rescaled, window)
        top, left, height, width = window
        return pixels[top : top + height, left : left + width].copy(), view


def _answer(
    model: Localizer, shown: Sequence[tuple[Sample, NDArray[np.uint8], PlacedView]]
) -> Tensor:
    if not shown:
        return torch.empty(0, 4)
    pictures = torch.from_numpy(np.stack([crop for _, crop, _ in shown])).permute(0, 3, 1, 2)
    labels = torch.tensor([sample.label for sample, _, _ in shown], device=model.machine.device)
    return of_class(model.outputs(pictures), labels)[..., 0, 0].cpu()
