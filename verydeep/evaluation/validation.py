"""Quick validation of a classifier after an epoch: loss and errors alone.

The processes of a group add up numbers of errors; no posteriors travel between them, unlike in a
test, which records the answer for every image.

N images, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from verydeep.data.dataset import relative_name
from verydeep.data.samples import Sample, Samples
from verydeep.evaluation.evaluate import Model, Test, check_tests, none_readable, share_of_tests
from verydeep.evaluation.group_sums import sum_over_images
from verydeep.evaluation.metrics import likeliest, log_losses
from verydeep.evaluation.protocol import TestProtocol
from verydeep.system.group.distributed import Group, joined
from verydeep.system.progress import Progress


@dataclass(frozen=True)
class Figures:
    """Loss and errors of a classifier.

    Attributes:
        loss: Mean −log probability of the true class, in nats, to 2⁻³².
        top1_error: Images whose class was not the most likely, in percent.
        top5_error: Images whose class was not among the five most likely, in percent.
    """

    loss: float
    top1_error: float
    top5_error: float


def figures_of(posteriors: ArrayLike, labels: ArrayLike, group: Group) -> Figures | None:
    """Return loss and errors over the images of all processes; None if there are no images.

    Args:
        posteriors: Of this process's images, (N, K).
        labels: Their classes, int64 (N,).
        group: Processes that have a share of the images each.
    """
    true = np.asarray(labels)
    missed = [(likeliest(posteriors, k) != true[:, None]).all(1) for k in (1, 5)]
    values = np.column_stack([log_losses(posteriors, true), *missed])
    loss, first, five, images = sum_over_images(values, group).tolist()
    if not images:
        return None
    return Figures(loss / images, 100 * first / images, 100 * five / images)


def validate_samples(
    model: Model,
    samples: Sequence[Sample],
    protocol: TestProtocol,
    *,
    split: str = "",
    root: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> tuple[Figures, tuple[str, ...]]:
    """Measure loss and errors of a classifier; the processes of a group share the images.

    Args:
        model: The classifier.
        samples: Images to validate on.
        protocol: Views of each image.
        split: Name of the split, for the progress.
        root: Folder that the names of unreadable images are relative to.
        workers: Decoding processes.
        progress: Progress reporting.

    Returns:
        The same figures in every process, for any number of processes, and the names of images
        that could not be read, which are not counted.

    Raises:
        InputError: The scale is too small for the net, or no image can be read.
    """
    test = Test(((0, protocol.for_model(model)),))
    check_tests([model], [test])
    samples = Samples.of(samples)
    with joined() as group:
        own = share_of_tests([model], samples, [test], group, split, workers, progress)
        faults = group.join_values(own.faults, own.images)
        good = [place for place in range(len(own.images)) if place not in own.faults]
        labels = np.array(samples.labels[[own.images[place] for place in good]], np.int64)
        figures = figures_of(own.posteriors[0, good], labels, group)
    if figures is None:
        raise none_readable(len(samples), faults)
    names = [relative_name(samples[index].path, root or Path()) for index in sorted(faults)]
    return figures, tuple(names)
