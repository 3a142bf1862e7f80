"""Training data of a run: reading, colour statistics, streaming from shards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from verydeep.data.dataset import Dataset
from verydeep.data.pipeline.augment import Augmentation
from verydeep.data.pipeline.colour_statistics import Scan, scan
from verydeep.data.read import DataSource, read_dataset
from verydeep.data.samples import Samples
from verydeep.data.shards.batches import StreamBatches, all_readers
from verydeep.data.shards.colour_statistics import measure_stream
from verydeep.data.shards.stream import ShardStream
from verydeep.errors import DataError, RecipeError, plural
from verydeep.recipe.recipe import Recipe
from verydeep.run.data_record import recorded_colours, resumed_dataset
from verydeep.run.training.tasks.task import TrainingTask
from verydeep.system.device import Machine
from verydeep.system.group.distributed import Group
from verydeep.system.option_names import setting
from verydeep.system.progress import Progress
from verydeep.training.run_folder import RunFolder


def settle_stream(recipe: Recipe, stream: ShardStream, group: Group) -> Recipe:
    """Fix the settings that a stream depends on in the recipe, so that the run can be resumed.

    In a stream ``data.workers`` counts the reading processes of the whole group.

    Raises:
        RecipeError: The recipe asks for something that a stream does not support.
    """
    if recipe.data.cache != "none":
        raise RecipeError(
            f"data.cache: must be none for a stream, got {recipe.data.cache!r} instead; or read "
            f"the shards by index: {setting('data.stream', False)}"
        )
    if recipe.data.balance == "sampling":
        raise RecipeError(
            "data.balance: a stream cannot draw single images; must be none or weights, or read "
            f"the shards by index: {setting('data.stream', False)}"
        )
    workers = recipe.data.workers
    if workers is None:
        workers = all_readers(len(stream), group.size)
    return recipe.replace(data__stream=True, data__workers=workers)


def scan_stream(stream: ShardStream, recipe: Recipe, progress: Progress) -> Scan:
    """Return the colour statistics of a stream: stored beside the shards, else measured.

    Raises:
        DataError: A shard is broken, or too many images are unreadable.
    """
    colours = stream.colours
    faults: tuple[str, ...] = ()
    if colours is None:
        colours, faults = measure_stream(
            stream, recipe.data.unreadable_limit, recipe.data.workers, progress
        )
    return Scan(colours, Samples.of(()), faults)


def stream_batches(
    stream: ShardStream,
    augmentation: Augmentation,
    recipe: Recipe,
    micro_batch: int,
    group: Group,
) -> StreamBatches:
    """Return a process's slices of batches of augmented crops from a stream.

    Args:
        stream: The training set.
        augmentation: Augmentation settings.
        recipe: Recipe of the run.
        micro_batch: Images per forward pass, over all processes.
        group: The processes.
    """
    return StreamBatches(
        stream,
        augmentation,
        batch=recipe.training.batch,
        micro_batch=micro_batch,
        seed=recipe.training.seed,
        buffer=recipe.data.shuffle_buffer,
        workers=recipe.data.workers,
        reduced=recipe.data.reduced_decoding,
        decode=recipe.data.decode,
        rank=group.rank,
        world=group.size,
    )


UNEQUAL = 3
"""Ratio of the largest class to the smallest from which imbalance is reported."""


def read_data(
    source: DataSource, recipe: Recipe, resumed: RunFolder | None, progress: Progress
) -> Dataset:
    """Read the data set of a run; for a resumed run, as recorded."""
    if resumed is None:
        return read_dataset(
            source.data,
            layout=source.layout,
            progress=progress,
            # Streams carry no boxes.
            stream=False if recipe.localization else recipe.data.stream,
            task=recipe.data.task,
            validation_share=recipe.data.validation_share,
            test_share=recipe.data.test_share,
            seed=recipe.training.seed,
            group_by=recipe.data.group_by,
            fold=recipe.data.fold,
        )
    return resumed_dataset(resumed, source, progress)


def report_balance(dataset: Dataset, recipe: Recipe, progress: Progress) -> None:
    """Report strong class imbalance and how the recipe handles it."""
    counts = dataset.count("train")
    least, most = min(counts), max(counts)
    if most < UNEQUAL * least:
        return
    if dataset.multi_label:
        remedy = "each class counts alike in the loss; see data.balance (weights)"
        if recipe.data.balance == "weights":
            remedy = "presence weighs as much as absence for each class (data.balance=weights)"
        progress.log(f"classes have from {least:,} to {most:,} training images: {remedy}")
        return
    remedy = {
        "none": "their errors count alike in the training; see data.balance (weights or sampling)",
        "weights": "errors of small classes weigh more in the loss (data.balance=weights)",
        "sampling": "every class is drawn as often as any other (data.balance=sampling)",
    }[recipe.data.balance]
    progress.log(f"classes have from {least:,} to {most:,} training images: {remedy}")


def scan_images(
    dataset: Dataset,
    task: TrainingTask[Any],
    machine: Machine,
    resumed: RunFolder | None,
    progress: Progress,
) -> Scan:
    """Scan the training images once; a resumed run without an image cache uses its record.

    Raises:
        DataError: Too many images are unreadable, or others than when the run began.
        RecipeError: The recipe keeps images in a cache and decodes them on the device.
    """
    if dataset.stream is not None:
        if resumed is not None:
            return Scan(recorded_colours(resumed.read("data.json")), Samples.of(()))
        return scan_stream(dataset.stream, task.recipe, progress)
    recipe, samples = task.recipe, task.samples("train")
    if recipe.data.decode == "device" and recipe.data.cache != "none":
        raise RecipeError(
            f"data.decode: device decodes in each epoch, and data.cache={recipe.data.cache} keeps "
            f"decoded images: {setting('data.cache', 'none')}, or {setting('data.decode', 'cpu')}"
        )
    if len(samples) < len(dataset.split("train")):
        progress.log(
            f"{len(dataset.split('train')) - len(samples):,} of {len(dataset.split('train')):,} "
            "training images have no box and are left out"
        )
    kept = {"none": None, "ram": torch.device("cpu"), "device": machine.device}[recipe.data.cache]
    if resumed and kept is None:
        record = resumed.read("data.json")
        good = samples.take(np.delete(np.arange(len(samples)), record["left_out"]))
        return Scan(recorded_colours(record), good, tuple(record["unreadable"]))
    low, high = recipe.data.train_scale
    fixed = low == high and recipe.data.crop != "area"
    with progress.task("reading the training images", len(samples)) as reading:
        scanned = scan(
            samples,
            keep_on=kept,
            largest_scale=high if fixed else None,
            unreadable_limit=recipe.data.unreadable_limit,
            workers=recipe.data.workers,
            dimensions=dataset.dimensions,
            progress=reading.update,
        )
    if resumed is None:
        scanned = replace(scanned, colours=task.colours(scanned.colours))
    elif list(scanned.left_out) != resumed.read("data.json")["left_out"]:
        raise DataError(
            f"{dataset.place}: other training images can be read now than when {resumed.path} "
            "began; put them back as they were, or start a new run"
        )
    else:
        scanned = replace(scanned, colours=recorded_colours(resumed.read("data.json")))
    if scanned.unreadable:
        broken = plural(len(scanned.unreadable), "image")
        progress.log(f"{broken} cannot be read, left out of training:")
        for fault in scanned.unreadable:
            progress.log(f"  {fault}")
    return scanned
