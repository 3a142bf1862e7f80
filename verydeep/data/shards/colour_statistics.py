"""Colour statistics of a stream without recorded ones, from one pass over its first shards."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from verydeep.data.images.decode import decode
from verydeep.data.pipeline.colour_statistics import (
    ColourStatistics,
    ColourSum,
    Measure,
    check_unreadable,
)
from verydeep.data.pipeline.workers import in_parallel
from verydeep.data.shards.paths import open_shard
from verydeep.data.shards.stream import ShardStream
from verydeep.data.shards.tar import pictures_in_shard
from verydeep.errors import DataError, PictureError
from verydeep.system.progress import Progress

ENOUGH = 1_000_000
"""Approximate maximum number of images to measure."""


@dataclass
class _Measured:
    colours: ColourSum
    faults: list[str]
    broken: str | None = None


def measure_stream(
    stream: ShardStream, limit: float, workers: int | None, progress: Progress
) -> tuple[ColourStatistics, tuple[str, ...]]:
    """Measure the colours of a stream on its first shards, about :data:`ENOUGH` images.

    Returns:
        The colours, and the unreadable images.

    Raises:
        DataError: A shard is broken, or too many images are.
    """
    chosen = [n for n, first in enumerate(stream.firsts[:-1].tolist()) if first < ENOUGH]
    pictures = int(stream.firsts[len(chosen)])
    if pictures < len(stream):
        progress.log(f"measuring colours on the first {pictures:,} images")
    total, faults = ColourSum(), []
    places = [stream.places[number] for number in chosen]
    with (
        progress.task("measuring the training images", len(places)) as task,
        closing(in_parallel(_measure, places, workers=workers, chunk=1)) as measured,
    ):
        for done, one in enumerate(measured, 1):
            if one.broken:
                raise DataError(one.broken)
            total.join(one.colours)
            faults += one.faults
            task.update(done)
    check_unreadable(faults, pictures, limit)
    return total.statistics(), tuple(faults)


def _measure(place: str) -> _Measured:
    found = _Measured(ColourSum(), [])
    measure = Measure(keep=False, largest_scale=None)
    try:
        with open_shard(place) as stream:
            for picture in pictures_in_shard(stream, place, lambda number: True):
                if picture is None or picture.data is None:
                    continue
                try:
                    found.colours.add(measure(decode(picture.data))[0])
                except PictureError as error:
                    reason = str(error).removeprefix("<bytes>: ")
                    found.faults.append(f"{place}/{picture.name}: {reason}")
    except (DataError, OSError) as error:
        found.broken = str(error) if isinstance(error, DataError) else f"{place}: {error}"
    return found
