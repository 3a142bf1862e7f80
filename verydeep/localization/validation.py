"""Quick validation of a box regressor after an epoch (appendix A, first test protocol)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.data.samples import Sample
from verydeep.evaluation.group_sums import sum_over_images
from verydeep.evaluation.joint_tests import block_size, none_readable
from verydeep.localization.box_geometry import to_view
from verydeep.localization.dense_outputs import BoxRegressor, DenseOutputs, dense_outputs
from verydeep.localization.detect import check_nets, located_in
from verydeep.localization.head import of_class
from verydeep.localization.protocol import CORRECT_ABOVE, BoxProtocol
from verydeep.localization.result import LocatedSample
from verydeep.system.group.distributed import Group, joined
from verydeep.system.progress import ProgressTask

Loss = Callable[[Tensor, Tensor], Tensor]
"""Loss of relative boxes; see :data:`verydeep.localization.head.LOSSES`."""


@dataclass(frozen=True)
class CenterFigures:
    """Validation results of a box regressor on central crops, with known classes.

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
    model: BoxRegressor,
    samples: Sequence[Sample],
    scale: int,
    loss: Loss,
    *,
    workers: int | None = None,
    task: ProgressTask | None = None,
) -> tuple[CenterFigures, Mapping[int, str]]:
    """Evaluate the boxes of the true classes on central crops.

    This equals protocol ``center`` of :func:`verydeep.localization.evaluate.evaluate_boxes`, with
    the loss but without baselines and predictions. Processes of a group share the images, and all
    return the whole result.

    Args:
        model: Box regressor.
        samples: Images with a box, and labels that index the net's classes.
        scale: Test scale Q, smallest side of the rescaled images in pixels.
        loss: Loss on relative boxes.
        workers: Number of decoding processes.
        task: Progress task, updated with the number of images done.

    Returns:
        Results, and the reasons why images are unreadable, by index; these are not counted.

    Raises:
        DataError: No image can be read.
        InputError: The scale is too small for the net.
    """
    protocol = BoxProtocol("center", (scale,), flip=False)
    check_nets([], [model], protocol)
    with joined() as group:
        found, faults = _share(model, samples, protocol, loss, group, workers, task)
        values = [(loss, overlap <= CORRECT_ABOVE, overlap) for loss, overlap in found]
        sums = sum_over_images(np.array(values).reshape(-1, 3), group)
    count = float(sums[-1])
    if not count:
        raise none_readable(len(samples), faults)
    total, wrong, overlaps = sums[:3].tolist()
    return CenterFigures(total / count, 100 * wrong / count, overlaps / count), faults


def _share(
    model: BoxRegressor,
    samples: Sequence[Sample],
    protocol: BoxProtocol,
    loss: Loss,
    group: Group,
    workers: int | None,
    task: ProgressTask | None,
) -> tuple[list[tuple[float, float]], dict[int, str]]:
    """Test this process's share of the images.

    Returns:
        Loss and overlap of each of them; and reasons why images of all processes are unreadable,
        by index.
    """
    block = block_size(len(samples))
    mine = group.share(len(samples), block)
    pictures = TestPictures([samples[i].path for i in mine], protocol.used_scales, workers)
    found = []
    for place, seen in dense_outputs([], [model], pictures, protocol, block=block, task=task):
        sample = samples[mine[place]]
        located = located_in(seen, protocol, sample.label)
        overlap = LocatedSample("", sample.label, sample.boxes, located).overlap
        found.append((_loss(seen, sample, loss), overlap))
    return found, group.join_values(pictures.unreadable, mine)


def _loss(seen: DenseOutputs, sample: Sample, loss: Loss) -> float:
    """Return the loss of the true class's box on the main object's, relative to the crop."""
    (answer,) = seen.answers
    (boxes,) = answer.boxes
    (found,) = of_class(boxes[None], torch.tensor([sample.label]))
    true = torch.tensor(sample.boxes[0], dtype=torch.float64)
    return float(loss(found[..., 0, 0], to_view(true, answer.first)))
