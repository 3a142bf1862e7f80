"""The same classes in parts that are no splits: ``site-a/cat/*.jpg``, ``site-b/cat/*.jpg``.

It is read only if it is asked for: the parts could as well be classes.
"""

from __future__ import annotations

from pathlib import Path

from verydeep.data.layouts.class_folders import (
    checked_classes,
    class_folders,
    loose,
    respelled,
    samples_of,
)
from verydeep.data.layouts.folder_tree import branches
from verydeep.data.samples import Dataset


def recognise(path: Path) -> bool:
    """Return False: nothing tells parts from classes."""
    return False


def read(path: Path) -> Dataset:
    """Read the data set; all its pictures are one split, ``all``.

    Raises:
        DataError: There are fewer than two classes.
    """
    parts = branches(path) if path.is_dir() else []
    found = [one for part in parts for one in class_folders(part.base)]
    classes = checked_classes(found, path)
    return Dataset(
        path,
        f"the same classes in {len(parts)} parts",
        classes,
        {"all": samples_of(found, path, classes)},
        notes=tuple(loose([path, *(part.base for part in parts)])),
        respelled=respelled(found),
        folders=(path,),
    )
