"""Volumes in class folders, perhaps within splits: ``train/tumour/001.nii.gz``, ``cube/7.npy``.

A volume is a file, or a folder of slices. Folders of slices look like folders of images, so they
are read only if the layout is asked for by its name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from verydeep.data.dataset import Dataset
from verydeep.data.folders.content import Content
from verydeep.data.folders.links import Links
from verydeep.data.folders.passed_over import PassedOver
from verydeep.data.folders.walk import Walk, suffix_of
from verydeep.data.images.formats import SUFFIXES as IMAGE_SUFFIXES
from verydeep.data.images.image_files import folders_in, has_own_pictures, has_pictures
from verydeep.data.layouts import class_folders, split_folders, splits_in_classes
from verydeep.data.layouts.folder_reading import (
    CLASS_FOLDERS,
    SPLIT_FOLDERS,
    SPLITS_IN_CLASSES,
    reading_of,
)
from verydeep.data.volumes.formats import SUFFIXES, is_volume_name
from verydeep.data.volumes.read import natural
from verydeep.errors import DataError
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
    return suffix_of(name) in IMAGE_SUFFIXES


def read(path: Path) -> Dataset:
    """Read the data set.

    Raises:
        DataError: There are fewer than two classes, another split has a class that training
            lacks, the folders can be read in several ways, or images lie beside the volumes.
    """
    if not path.is_dir():
        raise DataError(f"{path}: volumes are read from a folder, with one per class in it")
    reading = reading_of(path, VOLUMES)
    if reading.layout is None:
        for folder in folders_in(path):
            _refuse_images(folder)
        raise DataError(f"{path}: no volumes in its folders; found {_ENDINGS} nowhere")
    if reading.doubt and not reading.may_be_parts:  # parts were never asked for: they are classes
        raise DataError(
            f"{path}: its folders can be read in several ways; volumes need at least two classes, "
            "as CLASS/, SPLIT/CLASS/ or CLASS/SPLIT/: rename the other folders, or move them away"
        )
    found = _READERS[reading.layout](path, VOLUMES)
    return replace(found, layout=f"volumes, {found.layout}", dimensions=3)


_READERS = {
    SPLIT_FOLDERS: split_folders.read,
    SPLITS_IN_CLASSES: splits_in_classes.read,
    CLASS_FOLDERS: class_folders.read,
}


def volumes_in(folder: Path) -> list[Path]:
    """Return the volumes in a folder: files at any depth, or else folders of slices."""
    return [*map(Path, VOLUMES.all_in(folder))]


def _own(folder: Path) -> Iterator[str]:
    """Yield the names of the files directly in a folder or, without files, of slices."""
    with os.scandir(folder) as entries:
        names = [one.name for one in entries]
    files = [name for name in names if is_volume_name(name) and name[0] != "."]
    if files or _has_files(folder):
        return iter(files)
    return (path.name for path in folders_in(folder) if has_own_pictures(path))


def _below(folder: Path, passed: PassedOver, links: Links) -> Iterator[str]:
    """Yield the files in a folder and below or, without files, the folders of slices."""
    if _has_files(folder):
        yield from sorted(_files(folder, passed, links), key=natural)
    else:
        yield from _slices(folder, folder, passed, links)


def _has_files(folder: Path) -> bool:
    return any(True for _ in _files(folder, PassedOver(), Links(lambda: [folder])))


def _files(folder: Path, passed: PassedOver, links: Links) -> Iterator[str]:
    for name in Walk(str(folder), passed, links, _LAST_SUFFIXES):
        if is_volume_name(name):
            yield name
        else:
            passed.file(name)


_LAST_SUFFIXES = frozenset(suffix_of(suffix) for suffix in SUFFIXES)


def _slices(folder: Path, top: Path, passed: PassedOver, links: Links) -> Iterator[str]:
    """Yield the folders below another that directly contain images."""
    for path in sorted(folders_in(folder), key=lambda path: natural(path.name)):
        if path.is_symlink():
            follow = links.judge(str(path), str(top))
            noted = passed.followed if follow else passed.repeated
            noted.append(path.relative_to(top.parent).as_posix())
            if not follow:
                continue
        if has_own_pictures(path):
            yield str(path)
        else:
            yield from _slices(path, top, passed, links)


def _refuse_images(folder: Path) -> None:
    """Refuse the folder of a class whose images lie in no folder of slices.

    Raises:
        DataError: There are images in it.
    """
    if has_own_pictures(folder):
        raise DataError(
            f"{folder}: images, where a class of volumes has files ({_ENDINGS}) or one folder of "
            f"slices for each volume; without {option('layout', NAME)} they are images"
        )


_ENDINGS = ", ".join(SUFFIXES)

VOLUMES = Content("volume", _own, _below, _refuse_images)
"""Class folders of volumes."""
