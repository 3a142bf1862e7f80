"""Training images that come as a stream: what a run settles, measures and reads of them."""

from __future__ import annotations

from verydeep.data.pipeline.augment import Augmentation
from verydeep.data.pipeline.colour_statistics import Scan
from verydeep.data.pipeline.workers import worker_count
from verydeep.data.samples import Samples
from verydeep.data.shards.batches import StreamBatches
from verydeep.data.shards.colour_statistics import measure_stream
from verydeep.data.shards.stream import ShardStream
from verydeep.errors import RecipeError
from verydeep.recipe.recipe import Recipe
from verydeep.system.option_names import setting
from verydeep.system.progress import Progress


def settle_stream(recipe: Recipe, stream: ShardStream) -> Recipe:
    """Put what a stream depends on into the recipe, so that the run can be resumed.

    Raises:
        RecipeError: The recipe asks for what a stream cannot give.
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
    workers = worker_count(recipe.data.workers, len(stream))
    return recipe.replace(data__stream=True, data__workers=workers)


def scan_stream(stream: ShardStream, recipe: Recipe, progress: Progress) -> Scan:
    """Return the colours of a stream: those that stand beside the shards, or measured ones.

    Raises:
        DataError: A shard is broken, or too many images are.
    """
    colours = stream.colours
    faults: tuple[str, ...] = ()
    if colours is None:
        colours, faults = measure_stream(
            stream, recipe.data.unreadable_limit, recipe.data.workers, progress
        )
    return Scan(colours, Samples.of(()), faults)


def stream_batches(
    stream: ShardStream, augmentation: Augmentation, recipe: Recipe
) -> StreamBatches:
    """Return a stream as batches of augmented crops."""
    assert recipe.training.micro_batch is not None
    return StreamBatches(
        stream,
        augmentation,
        batch=recipe.training.batch,
        micro_batch=recipe.training.micro_batch,
        seed=recipe.training.seed,
        buffer=recipe.data.shuffle_buffer,
        workers=recipe.data.workers,
        reduced=recipe.data.reduced_decoding,
    )
