"""Listing of a source of images: a folder, a pattern, shards or a table, local or remote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from verydeep.data.folders.passed_over import PassedOver
from verydeep.data.folders.system_files import is_system_path
from verydeep.data.images.formats import SUFFIXES
from verydeep.data.images.image_files import picture_names
from verydeep.data.listing.listing import Listing, Places, suffix_of
from verydeep.data.listing.shard_files import is_picture, list_shards
from verydeep.data.listing.table_column import READERS, list_table
from verydeep.data.shards.paths import expand, find_shards, is_pattern
from verydeep.data.string_array import Names
from verydeep.errors import DataError
from verydeep.system.device import without_secret
from verydeep.system.files import expanded
from verydeep.system.object_stores import has_wildcards, is_remote, list_remote
from verydeep.system.option_names import option
from verydeep.system.progress import Progress

SHARD = ".tar"


def list_images(
    source: str | Path, column: str | None = None, progress: Progress | None = None
) -> Listing:
    """Return the images of a source, in a fixed order. None is opened.

    Args:
        source: Folder of images or of shards; pattern like ``photos/*.jpg`` or
            ``train-{000..146}.tar``; shard; table with a column of paths. Local, or a URL such as
            ``s3://bucket/photos``.
        column: Column of a table; None looks for a usual name.
        progress: Told what was skipped.

    Raises:
        DataError: There are no images, or the source cannot be read.
        MissingExtra: The package for a table or a URL is not installed.
    """
    text = str(source)
    found = _list(text, column, progress or Progress())
    if not len(found):
        raise DataError(f"{without_secret(text)}: no images there")
    if column is not None and found.kind != "table":
        raise DataError(
            f"{option('column')} is of tables ({', '.join(READERS)}), and {without_secret(text)} "
            "is none"
        )
    return found


def _list(source: str, column: str | None, progress: Progress) -> Listing:
    if is_remote(source):
        return _list_remote(source, column, progress)
    path = expanded(source)
    if path.is_dir():
        return _list_folder(path, progress)
    if path.exists():
        return _list_files([str(path)], column, progress)
    if is_pattern(str(path)):
        return _list_files(find_shards(str(path)), column, progress)
    raise DataError(f"{path}: no such file or folder")


def _list_folder(folder: Path, progress: Progress) -> Listing:
    passed = PassedOver()
    names = Names(picture_names(folder, passed))
    if len(names):
        for note in passed.notes:
            progress.log(note)
        return Listing("folder", names, Places(str(Path.cwd()), names))
    shards = [
        str(path)
        for path in sorted(folder.rglob(f"*{SHARD}"))
        if not is_system_path(str(path.relative_to(folder)))
    ]
    if shards:
        return list_shards(shards, progress)
    raise DataError("; ".join([f"{folder}: no images and no shards in this folder", *passed.notes]))


def _list_remote(source: str, column: str | None, progress: Progress) -> Listing:
    expanded = list(expand(source))
    if not has_wildcards(source) and (len(expanded) > 1 or _is_file(source)):
        return _list_files(expanded, column, progress)
    sizes = {url: size for one in expanded for url, size in list_remote(one).items()}
    pictures = [url for url in sizes if is_picture(url.partition("://")[2])]
    shards = [url for url in sizes if url.endswith(SHARD)]
    if not pictures and shards:
        return list_shards(shards, progress)
    skipped = len(sizes) - len(pictures)
    if skipped:
        progress.log(f"{without_secret(source)}: {skipped:,} other files skipped")
    known = [-1 if (size := sizes[url]) is None else size for url in pictures]
    return _files(pictures, known)


def _is_file(url: str) -> bool:
    """Return whether a URL is that of one file, by its extension."""
    return suffix_of(url) in (*SUFFIXES, *READERS, SHARD)


def _list_files(places: Sequence[str], column: str | None, progress: Progress) -> Listing:
    suffixes = set(map(suffix_of, places))
    if suffixes == {SHARD}:
        return list_shards(places, progress)
    if len(places) == 1 and suffixes <= READERS.keys():
        return list_table(places[0], column)
    if suffixes & {SHARD, *READERS}:
        raise DataError(
            f"{places[0]} …: files of several kinds ({', '.join(sorted(suffixes))}); give images, "
            "shards or one table"
        )
    return _files(places)


def _files(places: Sequence[str], sizes: Sequence[int] = ()) -> Listing:
    names = Names(places)
    return Listing("files", names, Places(str(Path.cwd()), names), np.asarray(sizes, np.int64))
