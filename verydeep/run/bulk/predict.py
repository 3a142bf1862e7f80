"""Predictions of a trained model for very many images."""

from __future__ import annotations

from pathlib import Path

from verydeep.evaluation.protocol import Scales
from verydeep.models.path import check_models
from verydeep.run.bulk.bulk import run_bulk
from verydeep.run.bulk.predictions import PredictWork
from verydeep.run.bulk.result import BulkResult
from verydeep.run.bulk.settings import PART_SIZE, Cluster, check_count
from verydeep.system.files import expanded, from_anywhere
from verydeep.system.progress import ProgressWish, choose_progress
from verydeep.system.settings import Compute


def bulk_predict(
    model: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    column: str | None = None,
    top: int = 5,
    scales: Scales = None,
    flip: bool | None = None,
    part_size: int = PART_SIZE,
    cluster: Cluster | None = None,
    compute: Compute | str | None = None,
    progress: ProgressWish = None,
) -> BulkResult:
    """Classify very many images with actors of Ray, each exactly once.

    Every image gets one row in ``out/parts/*.parquet``: ``row``, its number in the list; ``path``;
    ``class`` and ``class_name``, the display name and the name of the most likely class;
    ``probability``; ``classes`` and ``probabilities``, the ``top`` most likely; ``labels`` of a
    multi-label model; ``abstained``, ``reason`` and ``set`` of a model that may abstain; ``error``,
    the reason why it cannot be read; ``model``. The answers are those of
    :meth:`verydeep.Classifier.predict`.

    The list of images is divided into parts, and the file of a part appears as a whole. If the
    program or the machine is stopped, the same call goes on with the parts that are missing.
    ``out/manifest.json`` describes the job, ``out/summary.json`` its end.

    Args:
        model: As for ``verydeep predict``; every machine of a cluster must see it.
        source: Folder of images or of shards; pattern like ``photos/*.jpg`` or
            ``train-{000..146}.tar``; shard; or table (Parquet, CSV, TSV, JSON lines) with a column
            of paths. Local, or at a URL such as ``s3://bucket/photos``.
        out: Output folder on this machine.
        column: Column of a table that names images; None looks for a usual name.
        top: Maximum number of classes per image.
        scales: Test scales Q in pixels; None takes those of the model.
        flip: Whether to average with the mirror image; None decides as the model was tested.
        part_size: Images per part. With a multiple of 256, batches are those of plain prediction,
            and so are the last digits of the probabilities.
        cluster: Where to run; None uses this machine.
        compute: Device, precision and engine; a string names the device. The first actor chooses
            the engine for all.
        progress: Progress reporting; None enables it in notebooks and terminals, True everywhere,
            False nowhere.

    Raises:
        InputError: The source, the model or a setting cannot be used, or another job was begun in
            the folder.
        MachineError: Parts failed three times; the others are kept.
        MissingExtra: Ray, or a package for a table or a URL, is not installed.
    """
    check_count("top", top)
    check_models(model, torchvision="any")
    name, place = str(model), str(from_anywhere(str(model)))
    return run_bulk(
        PredictWork(name, place, Compute.of(compute), top, scales, flip),
        source,
        expanded(out),
        column=column,
        part_size=part_size,
        cluster=cluster or Cluster(),
        progress=choose_progress(progress),
    )
