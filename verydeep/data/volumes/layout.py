"""Volumes in class folders, perhaps within splits: ``train/tumour/001.nii.gz``, ``cube/7.npy``.

A volume is a file, or a folder of slices. Folders of slices look like folders of images, so they
are read only if the layout is asked for by its name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from verydeep.data.dataset import Dataset
from verydeep.data.folders.system_files import is_system_folder
from verydeep.data.folders.walk import suffix_of
from verydeep.data.images.formats import SUFFIXES
from verydeep.data.images.image_files import folders_in, has_own_pictures, has_pictures
from verydeep.data.layouts.assemble import Entry, assemble
from verydeep.data.split_names import resolve_eval, split_name, whole_split
from verydeep.data.volumes.formats import is_volume_name
from verydeep.data.volumes.read import natural
from verydeep.errors import DataError, plural
from verydeep.system.option_names import option

NAME = "volumes"
"""Value of the option ``layout``."""

LOOKED_AT = 100
"""Files of a folder that are looked at to tell what it holds."""


def recognise(path: Path) -> bool:
    """Return whether a folder holds files of volumes, and no images."""
    return path.is_dir() and next(_signs(path, 2), False) and not has_pictures(path)


def _signs(folder: Path, depth: int) -> Iterator[bool]:
    """Yield True for a volume and False for an image among the first files of each folder."""
    with os.scandir(folder) as entries:
        names = [one.name for one in islice(entries, LOOKED_AT)]
    yield from (is_volume_name(name) for name in names if is_volume_name(name) or _is_image(name))
    if depth:
        for inner in folders_in(folder):
            yield from _signs(inner, depth - 1)


def _is_image(name: str) -> bool:
    """Return whether a file's name is that of an image."""
    return suffix_of(name) in SUFFIXES


def read(path: Path) -> Dataset:
    """Read the data set.

    Raises:
        DataError: There are fewer than two classes, another split has a class that training
            lacks, or images lie beside the volumes.
    """
    if not path.is_dir():
        raise DataError(f"{path}: volumes are read from a folder, with one per class in it")
    tops = _tops(path)
    found = assemble(
        path,
        "volumes, one folder per class" + ("" if set(tops) == {"all"} else " in each split"),
        {split: _entries(top) for split, top in tops.items()},
        notes=_loose(tops.values()),
    )
    return replace(found, dimensions=3)


def _tops(path: Path) -> dict[str, Path]:
    """Return the folder of each split; ``all`` where nothing divides the volumes.

    Raises:
        DataError: Two folders mean one split.
    """
    named = {one.name: one for one in folders_in(path) if whole_split(one.name) is not None}
    splits = resolve_eval({name: found.split for name in named if (found := split_name(name))})
    if not any(folders_in(folder) for folder in named.values()):
        return {"all": path}
    tops: dict[str, Path] = {}
    for name, split in splits.items():
        if split in tops:
            raise DataError(
                f"{path} has {tops[split].name}/ and {name}/: keep one of them, both mean {split}"
            )
        tops[split] = named[name]
    return tops


def _entries(top: Path) -> Iterator[Entry]:
    for folder in folders_in(top):
        for volume in _volumes(folder):
            yield Entry(volume, folder.name, None, str(volume))


def volumes_in(folder: Path) -> list[Path]:
    """Return the volumes in a folder: files at any depth, or else folders of slices."""
    files = sorted(volume_files(folder), key=lambda path: natural(str(path)))
    if files:
        return files
    inner = sorted(folders_in(folder), key=lambda path: natural(path.name))
    return [path for path in inner if has_own_pictures(path)]


def _volumes(folder: Path) -> list[Path]:
    """Return the volumes of a class.

    Raises:
        DataError: Its images lie in no folder of slices.
    """
    found = volumes_in(folder)
    if not found and has_own_pictures(folder):
        raise DataError(
            f"{folder}: images, where a class of volumes has files (.npy, .nii, .nii.gz) or one "
            f"folder of slices for each volume; without {option('layout', NAME)} they are images"
        )
    return found


def volume_files(folder: Path) -> Iterator[Path]:
    """Yield the files of volumes in a folder and below, unsorted."""
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_system_folder(name)]
        for name in names:
            if is_volume_name(name) and name[0] != ".":
                yield Path(top, name)


def _loose(tops: Iterable[Path]) -> Iterator[str]:
    """Yield a note on the volumes in no class folder."""
    count = sum(is_volume_name(one.name) for top in tops for one in top.iterdir())
    if count:
        yield f"{plural(count, 'volume')} in no class folder left out"
