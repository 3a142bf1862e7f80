"""A folder a class, nothing else: ``cat/*.jpg``, ``dog/*.jpg``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from verydeep.data.class_names import check_class_names, unknown_class
from verydeep.data.pictures import has_pictures, picture_names, subfolders
from verydeep.data.samples import Dataset, Samples, SamplesBuilder


def recognise(path: Path) -> bool:
    """Return whether there are pictures in a folder of the folder."""
    return path.is_dir() and any(map(has_pictures, subfolders(path)))


def read(path: Path) -> Dataset:
    """Read the data set; all its pictures are one split, ``all``.

    Raises:
        DataError: There are fewer than two classes.
    """
    classes = class_names(path)
    splits = {"all": samples_of(path, path, classes)}
    return Dataset(path, "a folder a class", classes, splits, folders=(path,))


def class_names(folder: Path) -> tuple[str, ...]:
    """Return the names of the folders with pictures.

    Raises:
        DataError: There are fewer than two, or one has a name that cannot be printed.
    """
    told = ((path.name, str(path)) for path in subfolders(folder) if has_pictures(path))
    return check_class_names(told, folder, "folders with pictures, a folder a class")


def samples_of(folder: Path, root: Path, classes: Iterable[str]) -> Samples:
    """Return the pictures of each class in a folder of a data set.

    Raises:
        DataError: A folder with pictures is none of the classes.
    """
    labels = {name: label for label, name in enumerate(classes)}
    builder = SamplesBuilder(root)
    for path in subfolders(folder):
        for picture in picture_names(path):
            if path.name not in labels:
                raise unknown_class(path.name, labels, path)
            builder.add(picture, labels[path.name])
    return builder.samples()
