"""Evaluation of box regressors on a data set (appendix A)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from torch import Tensor

from verydeep.data.dataset import relative_name
from verydeep.data.images.decode import upright_size
from verydeep.data.images.member import ImageSource
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.data.pipeline.workers import in_parallel
from verydeep.data.samples import Sample
from verydeep.errors import DataError, PictureError
from verydeep.evaluation.joint_tests import Model, block_size, none_readable
from verydeep.localization.baselines import fit_baselines, relative_boxes
from verydeep.localization.dense_outputs import BoxRegressor
from verydeep.localization.detect import Located, check_nets, locate
from verydeep.localization.protocol import BoxProtocol, unseen_notice
from verydeep.localization.result import (
    LocalizationResult,
    LocatedSample,
    make_localization_result,
)
from verydeep.system.group.distributed import Group, joined
from verydeep.system.option_names import option
from verydeep.system.progress import Progress


def evaluate_boxes(
    models: Sequence[Model],
    nets: Sequence[BoxRegressor],
    samples: Sequence[Sample],
    protocol: BoxProtocol,
    *,
    fitted: Mapping[str, Tensor] | None = None,
    split: str = "",
    root: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> LocalizationResult:
    """Evaluate box regressors on samples; every image with a true box is counted exactly once.

    Under ``torchrun`` every process evaluates a share of the images and returns the full result.

    Args:
        models: Classification nets, averaged; ``center`` needs none.
        nets: Box regressors with the same classes and input size; their boxes are pooled before
            merging.
        samples: Samples, with labels that index the nets' classes; those without a box are skipped.
        protocol: Test protocol.
        fitted: Baseline boxes of the training set, see :func:`training_baselines`; None omits them.
        split: Name of the split, for the result.
        root: Folder that image names are relative to.
        workers: Number of decoding processes.
        progress: Progress report.

    Raises:
        InputError: The nets are incompatible with each other or the protocol.
        DataError: No sample has a box, or no image can be read.
    """
    started = time.monotonic()
    check_nets(models, nets, protocol)
    boxed = [sample for sample in samples if sample.boxes]
    if not boxed:
        raise DataError(
            f"none of the {len(samples):,} images to test on has a box: name another split "
            f"({option('split')}), or a layout that has boxes (docs/data.md)"
        )
    progress = progress or Progress()
    notice = unseen_notice(protocol, nets[0].input_size, nets[0].stride)
    if notice:
        progress.log(notice)
    with joined() as group:
        found, faults = _share(models, nets, boxed, protocol, group, split, workers, progress)
    if not found:
        raise none_readable(len(boxed), faults)
    names = [relative_name(sample.path, root or Path()) for sample in boxed]
    return make_localization_result(
        [
            LocatedSample(names[row], boxed[row].label, boxed[row].boxes, found[row])
            for row in sorted(found)
        ],
        protocol,
        fitted=fitted or {},
        unreadable=tuple(names[row] for row in sorted(faults)),
        without_box=len(samples) - len(boxed),
        split=split,
        models=tuple(model.name for model in models),
        nets=tuple(net.name for net in nets),
        seconds=time.monotonic() - started,
        classes=len(nets[0].classes),
    )


def _share(
    models: Sequence[Model],
    nets: Sequence[BoxRegressor],
    samples: Sequence[Sample],
    protocol: BoxProtocol,
    group: Group,
    split: str,
    workers: int | None,
    progress: Progress,
) -> tuple[dict[int, Located], dict[int, str]]:
    """Predict boxes for this process's share of the images, and gather all shares.

    Returns:
        Predictions, and reasons why images are unreadable, both by index.
    """
    block = block_size(len(samples))
    mine = group.share(len(samples), block)
    pictures = TestPictures([samples[i].path for i in mine], protocol.used_scales, workers)
    labels = {place: samples[i].label for place, i in enumerate(mine)}
    with progress.task(f"finding objects {split}".strip(), len(mine)) as task:
        found = locate(models, nets, pictures, protocol, labels=labels, block=block, task=task)
    return group.join_values(found, mine), group.join_values(pictures.unreadable, mine)


ENOUGH = 10_000
"""Maximum number of training images used to fit baselines."""


def training_baselines(samples: Sequence[Sample], workers: int | None = None) -> dict[str, Tensor]:
    """Fit baseline boxes on a training set: centre and size relative to the image, float64 (4,).

    The boxes are fitted on the main objects of images with a box. Of more than :data:`ENOUGH`
    images, every second, third, … is used, so that at most that many files are opened. Only file
    headers are read, for the image sizes; images with unreadable headers are skipped.

    Args:
        samples: Training set.
        workers: Number of reading processes (default: chosen automatically).

    Returns:
        Boxes by name, see :func:`~verydeep.localization.baselines.fit_baselines`; empty if no
        image has a box.
    """
    chosen = samples[:: -(-len(samples) // ENOUGH) or 1]
    boxed = [sample for sample in chosen if sample.box]
    paths = [sample.path for sample in boxed]
    with closing(in_parallel(_size, paths, workers=workers, chunk=256)) as sizes:
        known = [(s.box, size) for s, size in zip(boxed, sizes, strict=True) if s.box and size]
    if not known:
        return {}
    return fit_baselines(relative_boxes([box for box, _ in known], [size for _, size in known]))


def _size(path: ImageSource) -> tuple[int, int] | None:
    try:
        return upright_size(path)
    except PictureError:
        return None
