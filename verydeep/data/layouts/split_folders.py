"""A folder a class under each split: ``train/cat/*.jpg``, ``val/cat/*.jpg``, ``test/cat/*.jpg``."""

from __future__ import annotations

from pathlib import Path

from verydeep.data.layouts.class_folders import Listing, class_names
from verydeep.data.pictures import has_pictures, subfolders
from verydeep.data.samples import Dataset
from verydeep.data.words import SPLITS
from verydeep.errors import DataError

VALIDATION_NAMES = [name for name, split in SPLITS.items() if split == "val"]


def recognise(path: Path) -> bool:
    """Return whether there are splits; a folder ``train`` may also be a class of that name."""
    train = path / "train"
    others = any((path / name).is_dir() for name in (*VALIDATION_NAMES, "test"))
    return train.is_dir() and (others or any(map(has_pictures, subfolders(train))))


def read(path: Path) -> Dataset:
    """Read the data set; the classes are those of ``train/``.

    Raises:
        DataError: There are two validation folders, fewer than two classes, or a class that
            training lacks.
    """
    folders = {"train": path / "train"}
    found = [path / name for name in VALIDATION_NAMES if (path / name).is_dir()]
    if len(found) > 1:
        names = " and ".join(f"{folder.name}/" for folder in found)
        raise DataError(f"{path} has {names}: keep one of them, both mean validation")
    if found:
        folders["val"] = found[0]
    if (path / "test").is_dir():
        folders["test"] = path / "test"
    classes = class_names(folders["train"])
    listing = Listing(path, folders.values(), classes)
    splits = {name: listing.samples_of(folder) for name, folder in folders.items()}
    # A test folder of unsorted pictures has no classes to test against.
    splits = {name: samples for name, samples in splits.items() if samples}
    layout = "a folder a class under each split"
    return Dataset(path, layout, classes, splits, folders=(path,), passed_over=listing.passed)
