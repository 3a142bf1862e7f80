"""Features of very many images from a trained model."""

from __future__ import annotations

from pathlib import Path

from verydeep.models.path import check_models
from verydeep.run.bulk.bulk import run_bulk
from verydeep.run.bulk.result import BulkResult
from verydeep.run.bulk.settings import PART_SIZE, Cluster
from verydeep.run.bulk.vectors import FeaturesWork
from verydeep.system.files import expanded, from_anywhere
from verydeep.system.progress import ProgressWish, choose_progress
from verydeep.system.settings import Compute
from verydeep.transfer.descriptor import Descriptor


def bulk_features(
    model: str | Path,
    source: str | Path,
    out: str | Path,
    descriptor: Descriptor | None = None,
    *,
    column: str | None = None,
    part_size: int = PART_SIZE,
    cluster: Cluster | None = None,
    compute: Compute | str | None = None,
    progress: ProgressWish = None,
) -> BulkResult:
    """Extract a feature vector for each of very many images with actors of Ray.

    Every image gets one row in ``out/parts/*.parquet``: ``row``, its number in the list; ``path``;
    ``vector``, a list of D float32 of length one as from :func:`verydeep.features`; ``error``, the
    reason why it cannot be read; ``model``. Images need no classes.

    Args:
        model: Model or run folder of a classifier, or a VGG net of torchvision like
            ``torchvision/vgg16``; every machine of a cluster must see it.
        source: As for :func:`verydeep.bulk_predict`.
        out: Output folder on this machine. A job that was begun there goes on.
        descriptor: Layer, scales, mirror image and aggregation; None takes the deepest layer at
            the model's test scales.
        column: Column of a table that names images; None looks for a usual name.
        part_size: Images per part.
        cluster: Where to run; None uses this machine.
        compute: Device, precision and engine; a string names the device.
        progress: Progress reporting; None enables it in notebooks and terminals, True everywhere,
            False nowhere.

    Raises:
        InputError: The source, the model or a setting cannot be used, or another job was begun in
            the folder.
        MachineError: Parts failed three times; the others are kept.
        MissingExtra: Ray, or a package for a table or a URL, is not installed.
    """
    check_models(model, torchvision="vgg")
    name, place = str(model), str(from_anywhere(str(model)))
    return run_bulk(
        FeaturesWork(name, place, Compute.of(compute), descriptor or Descriptor()),
        source,
        expanded(out),
        column=column,
        part_size=part_size,
        cluster=cluster or Cluster(),
        progress=choose_progress(progress),
    )
