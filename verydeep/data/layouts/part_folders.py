"""The same classes in parts that are not splits: ``site-a/cat/*.jpg``, ``site-b/cat/*.jpg``.

This layout is never detected: the parts could as well be classes.
"""

from __future__ import annotations

from pathlib import Path

from verydeep.data.dataset import Dataset
from verydeep.data.layouts.class_folders import checked_classes, class_folders, folder_dataset
from verydeep.data.layouts.folder_tree import branches


def recognise(path: Path) -> bool:
    """Return False: parts cannot be told from classes."""
    return False


def read(path: Path) -> Dataset:
    """Read the data set; all its images are one split, ``all``.

    Raises:
        DataError: There are fewer than two classes.
    """
    tops = [part.base for part in branches(path)] if path.is_dir() else []
    found = [one for top in tops for one in class_folders(top)]
    layout = f"the same classes in {len(tops)} parts"
    return folder_dataset(path, layout, tops, {"all": found}, checked_classes(found, path))
