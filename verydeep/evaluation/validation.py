"""Quick validation of a classifier after an epoch: loss and errors alone.

The processes of a group add up numbers of errors; no posteriors travel between them, unlike in a
test, which records the answer for every image, and unlike for multi-label classifiers.

N images, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from verydeep.data.dataset import relative_name
from verydeep.data.samples import Sample, Samples
from verydeep.evaluation.group_sums import sum_over_images
from verydeep.evaluation.joint_tests import (
    Circumstances,
    Model,
    check_tests,
    measure_tests,
    none_readable,
    one_test,
    share_of_tests,
)
from verydeep.evaluation.label_metrics import average_precisions, binary_log_losses, mean_of_known
from verydeep.evaluation.metrics import likeliest, log_losses
from verydeep.evaluation.multi_label import MultiLabelModel, truth_of
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.sigmoid import sigmoid
from verydeep.evaluation.softmax import softmax
from verydeep.evaluation.thresholds import USUAL
from verydeep.system.group.distributed import Group, joined


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


@dataclass(frozen=True)
class LabelFigures:
    """Loss and errors of a validation.

    Attributes:
        loss: Binary cross-entropy, mean over images and classes, in nats.
        subset_error: Images with a wrong set of labels at a threshold of 0.5, in percent.
        mean_average_precision: Mean over the classes that occur, in percent; 0 if none does.
        map_error: 100 − mean average precision, which the plateau schedule can watch.
    """

    loss: float
    subset_error: float
    mean_average_precision: float
    map_error: float


def label_figures(posteriors: NDArray[np.float32], truth: NDArray[np.bool_]) -> LabelFigures:
    """Return loss and errors of all images of a validation.

    Args:
        posteriors: (N, K).
        truth: True for the classes of each image, (N, K).
    """
    precision = 100 * mean_of_known(average_precisions(posteriors, truth))
    precision = precision if np.isfinite(precision) else 0.0
    return LabelFigures(
        float(binary_log_losses(posteriors, truth).mean()),
        100 * float(((posteriors >= USUAL) != truth).any(1).mean()),
        precision,
        100 - precision,
    )


def validate_samples(
    model: Model,
    samples: Sequence[Sample],
    protocol: TestProtocol,
    **how: Unpack[Circumstances],
) -> tuple[Figures, tuple[str, ...]]:
    """Measure loss and errors of a classifier; the processes of a group share the images.

    Args:
        model: The classifier.
        samples: Images to validate on.
        protocol: Views of each image.
        **how: See :class:`verydeep.evaluation.joint_tests.Circumstances`.

    Returns:
        The same figures in every process, for any number of processes, and the names of images
        that could not be read, which are not counted.

    Raises:
        InputError: The scale is too small for the net, or no image can be read.
    """
    test = one_test([model], protocol)
    check_tests([model], [test])
    samples = Samples.of(samples)
    with joined() as group:
        own = share_of_tests([model], samples, [test], softmax, group, how)
        faults = group.join_values(own.faults, own.images)
        good = [place for place in range(len(own.images)) if place not in own.faults]
        labels = np.array(samples.labels[[own.images[place] for place in good]], np.int64)
        figures = figures_of(own.posteriors[0, good], labels, group)
    if figures is None:
        raise none_readable(len(samples), faults)
    root = how.get("root") or Path()
    return figures, tuple(relative_name(samples[index].path, root) for index in sorted(faults))


def validate_labels(
    model: MultiLabelModel,
    samples: Sequence[Sample],
    protocol: TestProtocol,
    **how: Unpack[Circumstances],
) -> tuple[LabelFigures, tuple[str, ...]]:
    """Measure a multi-label classifier after an epoch; see :func:`validate_samples`.

    Average precision ranks all images, so the processes of a group exchange posteriors here.
    """
    samples = Samples.of(samples)
    measured = measure_tests([model], samples, [one_test([model], protocol)], sigmoid, **how)
    truth = truth_of(samples, len(model.classes))[measured.good]
    return label_figures(measured.posteriors[0], truth), measured.unreadable
