"""A folder a class, nothing else: ``cat/*.jpg``, ``dog/*.jpg``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from verydeep.data.pictures import has_pictures, picture_names, subfolders
from verydeep.data.samples import Dataset, Samples, SamplesBuilder
from verydeep.errors import DataError, did_you_mean


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
    names = [path.name for path in subfolders(folder) if has_pictures(path)]
    for name in names:
        if not name.isprintable():
            raise DataError(f"{str(folder / name)!r}: a class needs a name of printable characters")
    if len(names) < 2:
        here = ", ".join(names) if names else "none"
        raise DataError(
            f"{folder}: a classifier needs at least two folders with pictures, a folder a class; "
            f"found {here}"
        )
    return tuple(names)


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
                raise DataError(
                    f"{path}: there is no training class {path.name!r}"
                    f"{did_you_mean(path.name, labels)}; every class needs training pictures"
                )
            builder.add(picture, labels[path.name])
    return builder.samples()
