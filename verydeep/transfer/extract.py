"""Extraction of the features of a data set, in parts.

N images of a part, D features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verydeep.data.dataset import Dataset, relative_name
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.data.samples import Samples
from verydeep.evaluation.joint_tests import block_size
from verydeep.models.trained_net import TrainedNet
from verydeep.system.files import encodable
from verydeep.system.group.distributed import Group
from verydeep.system.progress import Progress, ProgressTask
from verydeep.transfer.describe import describe_pictures
from verydeep.transfer.descriptor import Descriptor
from verydeep.transfer.features import Vectors

PART_BYTES = 64 * 2**20
"""Maximum size of the vectors in memory, in bytes."""


@dataclass(frozen=True, eq=False)
class FeaturePart:
    """Features of consecutive images of a split.

    Attributes:
        split: Name of the split.
        files: Names of the readable images, N.
        labels: Names of their classes.
        vectors: Feature vectors, float32 (N, D).
        unreadable: Names of the unreadable images.
    """

    split: str
    files: tuple[str, ...]
    labels: tuple[str, ...]
    vectors: Vectors
    unreadable: tuple[str, ...] = ()


def describe_dataset(
    model: TrainedNet,
    dataset: Dataset,
    descriptor: Descriptor,
    group: Group,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Iterator[FeaturePart]:
    """Yield the features of a data set by split, in the order of the samples.

    Every image is in exactly one part. Batches depend only on the split, so the result is the same
    for any number of processes.

    Args:
        model: The net.
        dataset: The data set.
        descriptor: Definition of the features.
        group: Processes that share the work; each yields all parts.
        workers: Number of decoding processes.
        progress: Progress reporter.
    """
    row_bytes = 4 * descriptor.dimension(model)
    for name, samples in dataset.splits.items():
        block = block_size(len(samples))
        blocks = max(PART_BYTES // row_bytes // block, 4 * group.size)
        with (progress or Progress()).task(f"features of {name}", len(samples)) as task:
            for start in range(0, len(samples), blocks * block):
                part = samples[start : start + blocks * block]
                shared = _PartProgress(task, start, group.size)
                vectors, faults = _share(model, part, descriptor, group, block, workers, shared)
                yield _part(dataset, name, part, vectors, faults)
                task.update(start + len(part))


@dataclass(frozen=True, slots=True)
class _PartProgress:
    """Reports one process's progress in a part as progress of the whole."""

    task: ProgressTask
    start: int
    processes: int

    def update(self, done: float, note: str = "") -> None:
        """Report the number of finished images of this process."""
        self.task.update(self.start + done * self.processes, note)


def _share(
    model: TrainedNet,
    samples: Samples,
    descriptor: Descriptor,
    group: Group,
    block: int,
    workers: int | None,
    task: ProgressTask,
) -> tuple[NDArray[np.float32], set[int]]:
    """Compute this process's blocks of the samples, and combine those of all processes.

    Returns:
        Vectors, float32 (N, D), and the indices of unreadable images.
    """
    mine = group.share(len(samples), block)
    pictures = TestPictures(
        samples.take(mine).paths,
        descriptor.used_scales,
        workers,
        dimensions=model.net.dimensions,
    )
    vectors = describe_pictures(model, pictures, descriptor, block=block, task=task)
    faults = set(group.join_values(pictures.unreadable, mine))
    return group.join_rows(vectors.numpy(), mine, len(samples)), faults


def _part(
    dataset: Dataset, split: str, samples: Samples, vectors: NDArray[np.float32], faults: set[int]
) -> FeaturePart:
    names = [encodable(relative_name(path, dataset.root)) for path in samples.paths]
    good = [index for index in range(len(samples)) if index not in faults]
    labels = samples.labels
    return FeaturePart(
        split,
        tuple(names[index] for index in good),
        tuple(dataset.label_text(int(labels[index])) for index in good),
        np.ascontiguousarray(vectors[good]),
        tuple(names[index] for index in sorted(faults)),
    )
