"""Folders that stand among those of the classes and have no picture in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from verydeep.data.members import Source
from verydeep.data.name_forms import nfc
from verydeep.data.pictures import has_pictures, subfolders
from verydeep.data.samples import Dataset
from verydeep.data.split_names import whole_split
from verydeep.data.system_files import is_system_folder
from verydeep.errors import DataError


def find_empty_folders(dataset: Dataset) -> tuple[Path, ...]:
    """Find the folders beside those of the classes that have no picture.

    One that is named after a class is left out: that the class is missing from a split is said of
    the class.
    """
    if dataset.folders is None or not any(dataset.classes):
        return ()
    parents = dict.fromkeys(_parents(dataset))
    return tuple(
        folder
        for parent in parents
        for folder in _subfolders(parent)
        if not _is_named(folder, dataset) and not has_pictures(folder)
    )


def _is_named(folder: Path, dataset: Dataset) -> bool:
    """Return whether a folder bears the name of a class or of a split, or is the system's."""
    name = nfc(folder.name)
    named = name in dataset.classes or whole_split(name) is not None
    return named or is_system_folder(name)


def _subfolders(parent: Path) -> list[Path]:
    try:
        return subfolders(parent)
    except DataError:  # links among them, which only some of the layouts mind
        return []


def _parents(dataset: Dataset) -> Iterator[Path]:
    """Yield the folders in which a class has a folder of its name, from one picture of each."""
    for samples in dataset.splits.values():
        for number in np.unique(samples.labels, return_index=True)[1].tolist():
            sample = samples[number]
            yield from _above(sample.path, dataset.classes[sample.label], dataset.root)


def _above(path: Source, name: str, root: Path) -> Iterator[Path]:
    for folder in path.parents if isinstance(path, Path) else ():
        if nfc(folder.name) == name and folder.parent.is_relative_to(root):
            yield folder.parent
            return
