"""The same classes in parts that are no splits: ``site-a/cat/*.jpg``, ``site-b/cat/*.jpg``.

It is read only if it is asked for: the parts could as well be classes.
"""

from __future__ import annotations

from pathlib import Path

from verydeep.data.layouts.class_folders import Listing, checked_classes, class_folders, respelled
from verydeep.data.layouts.folder_tree import branches
from verydeep.data.samples import Dataset


def recognise(path: Path) -> bool:
    """Return False: nothing tells parts from classes."""
    return False


def read(path: Path) -> Dataset:
    """Read the data set; all its images are one split, ``all``.

    Raises:
        DataError: There are fewer than two classes.
    """
    parts = branches(path) if path.is_dir() else []
    found = [one for part in parts for one in class_folders(part.base)]
    classes = checked_classes(found, path)
    listing = Listing(path, [part.base for part in parts], found, classes)
    splits = {"all": listing.samples_of(found)}
    return Dataset(
        path,
        f"the same classes in {len(parts)} parts",
        classes,
        splits,
        notes=listing.notes,
        passed_over=listing.passed,
        respelled=respelled(found),
        folders=(path,),
    )
