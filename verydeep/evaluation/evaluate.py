"""A data set through one model or several: the result."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from verydeep.classifier import Classifier
from verydeep.data.samples import Dataset, Sample, relative_name
from verydeep.data.testing import TestPictures
from verydeep.errors import DataError, InputError, did_you_mean
from verydeep.evaluation.protocol import Protocol
from verydeep.evaluation.topk import log_loss, topk_error
from verydeep.evaluation.views import views
from verydeep.posteriors import average_posteriors
from verydeep.progress import Progress


@dataclass(frozen=True)
class Result:
    """What a test measured, and how.

    Attributes:
        top1_error: Pictures whose class was not the likeliest, in percent.
        top5_error: Pictures whose class was not among the five likeliest (K, if fewer).
        loss: Mean −log probability of the true class, in nats.
        images: Pictures counted.
        unreadable: Names of those that could not be read; they are not counted.
        protocol: ``center`` or ``dense``.
        scales: Test scales Q, in pixels.
        flip: Whether mirror images were averaged in.
        split: Name of the split.
        models: Nets whose posteriors were averaged.
        seconds: Time that it took.
    """

    top1_error: float
    top5_error: float
    loss: float
    images: int
    unreadable: tuple[str, ...]
    protocol: str
    scales: tuple[int, ...]
    flip: bool
    split: str
    models: tuple[str, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as ``--json`` prints them."""
        return {**asdict(self), **{k: list(getattr(self, k)) for k in _LISTS}}


_LISTS = ("unreadable", "scales", "models")


def evaluate_samples(
    models: Sequence[Classifier],
    samples: Sequence[Sample],
    protocol: Protocol,
    *,
    split: str = "",
    root: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Result:
    """Test models on samples; every picture is counted exactly once.

    Args:
        models: Of the same classes; several are fused by averaging their posteriors.
        samples: What to test on; labels count into the models' classes.
        protocol: How.
        split: Name of the split, for the result.
        root: Folder that the names of unreadable pictures are relative to.
        workers: Decoding processes.
        progress: Where to report to.

    Raises:
        InputError: A scale is too small for a net, the models' classes differ, or no picture can
            be read.
    """
    _check(models, protocol)
    started = time.monotonic()
    pictures = TestPictures([sample.path for sample in samples], protocol.scales, workers)
    with (progress or Progress()).task(f"testing {split}".strip(), len(samples)) as task:
        likely = average_posteriors(
            models, len(models[0].classes), pictures, partial(views, protocol=protocol), task
        )
    good = [index for index in range(len(samples)) if index not in pictures.unreadable]
    if not good:
        reasons = "".join(f"\n  {fault}" for fault in [*pictures.unreadable.values()][:10])
        raise DataError(f"none of the {len(samples)} pictures to test on can be read:{reasons}")
    labels = torch.tensor([samples[index].label for index in good], dtype=torch.long)
    return Result(
        top1_error=topk_error(likely[good], labels, 1),
        top5_error=topk_error(likely[good], labels, 5),
        loss=log_loss(likely[good], labels),
        images=len(good),
        unreadable=tuple(
            relative_name(samples[index].path, root or Path())
            for index in sorted(pictures.unreadable)
        ),
        protocol=protocol.name,
        scales=protocol.scales,
        flip=protocol.flip,
        split=split,
        models=tuple(model.net.name for model in models),
        seconds=time.monotonic() - started,
    )


def _check(models: Sequence[Classifier], protocol: Protocol) -> None:
    first = models[0]
    for model in models:
        for scale in protocol.scales:
            model.check_scale(scale)
        if model.classes != first.classes:
            raise InputError(
                "models can only be fused if they know the same classes in the same order; "
                f"{first.net.name} knows {len(first.classes)} ({first.classes[0]}, …), "
                f"{model.net.name} {len(model.classes)} ({model.classes[0]}, …)"
            )


def relabel(dataset: Dataset, split: str, classes: Sequence[str]) -> tuple[Sample, ...]:
    """Return a split's samples with labels that count into a model's classes, matched by name.

    Raises:
        DataError: The model does not know a class of the data set.
    """
    known = {name: label for label, name in enumerate(classes)}
    unknown = [name for name in dataset.classes if name not in known]
    if unknown:
        raise DataError(
            f"{dataset.root}: the model does not know {len(unknown)} of its classes: "
            f"{', '.join(map(repr, unknown[:5]))}{did_you_mean(unknown[0], known)}"
        )
    return tuple(
        Sample(sample.path, known[dataset.classes[sample.label]], sample.box)
        for sample in dataset.split(split)
    )
