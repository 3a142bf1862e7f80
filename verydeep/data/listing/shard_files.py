"""Images in tar shards by offset, with or without classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from verydeep.data.folders.system_files import is_system_path
from verydeep.data.images.formats import SUFFIXES
from verydeep.data.listing.listing import Listing
from verydeep.data.pipeline.workers import in_parallel
from verydeep.data.shards.index import ShardIndex, TarPlaces
from verydeep.data.shards.paths import open_shard
from verydeep.data.shards.tar import TarReader
from verydeep.data.string_array import Names
from verydeep.errors import DataError
from verydeep.system.device import without_secret
from verydeep.system.object_stores import is_remote
from verydeep.system.progress import Progress


def list_shards(places: Sequence[str], progress: Progress | None = None) -> Listing:
    """Return every image in shards, in order.

    Args:
        places: Paths or URLs of the shards.
        progress: Told how many shards were scanned.

    Raises:
        DataError: A shard is missing or broken.
    """
    found: list[ShardIndex] = []
    with (progress or Progress()).task("scanning the shards", len(places)) as task:
        for one in in_parallel(scan, places, workers=0, chunk=1):
            if one.fault:
                raise DataError(one.fault)
            found.append(one)
            task.update(len(found))
    shown = tuple(map(without_secret, places))
    whole = tuple(place if is_remote(place) else str(Path(place).absolute()) for place in places)
    shard = np.repeat(np.arange(len(places), dtype=np.int32), [len(one.names) for one in found])
    offsets = np.concatenate([np.asarray(one.offsets, np.int64) for one in found])
    sizes = np.concatenate([np.asarray(one.sizes, np.int64) for one in found])
    pictures = Names.joined(one.names for one in found)
    return Listing(
        "shards",
        Names(f"{shown[number]}/{name}" for number, name in zip(shard, pictures, strict=True)),
        TarPlaces(whole, shown, shard, offsets, sizes, pictures),
        np.concatenate([offsets, sizes]),
    )


def scan(place: str) -> ShardIndex:
    """Return the images in a shard, without classes and without raising."""
    found = ShardIndex()
    try:
        with open_shard(place) as stream:
            for file in TarReader(stream, place).files():
                if is_picture(file.name):
                    found.names.append(file.name)
                    found.offsets.append(file.offset)
                    found.sizes.append(file.size)
    except (DataError, OSError) as error:
        return ShardIndex(fault=str(error) if isinstance(error, DataError) else f"{place}: {error}")
    return found


def is_picture(name: str) -> bool:
    """Return whether a name in an archive or an object store is that of an image.

    >>> [is_picture(name) for name in ("./a/1.JPG", "1.cls", "._1.jpg", ".thumbnails/1.jpg")]
    [True, False, False, False]
    """
    last = name.rpartition("/")[2]
    hidden = last.startswith(".") or is_system_path(name)
    return not hidden and f".{last.rpartition('.')[2].lower()}" in SUFFIXES
