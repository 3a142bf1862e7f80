"""A folder a class under each split: ``train/cat/*.jpg``, ``val/cat/*.jpg``, ``test/cat/*.jpg``.

Folders are splits by :mod:`verydeep.data.split_names`: ``Training``, ``test_set``, ``pets-val``.
They may lie one folder deeper, in a folder that holds nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from verydeep.data.layouts.class_folders import (
    ClassFolders,
    Listing,
    checked_classes,
    class_folders,
    respelled,
    unread,
)
from verydeep.data.layouts.folder_reading import splits_of
from verydeep.data.layouts.folder_tree import Branch, branches
from verydeep.data.samples import Dataset
from verydeep.data.split_names import ORDER, spelled_out
from verydeep.errors import DataError
from verydeep.system.option_names import option

LAYOUT = "a folder a class under each split"


def read(path: Path) -> Dataset:
    """Read the data set; the classes are those of ``train/`` or, without it, of all splits.

    Raises:
        DataError: There are two folders for a split, fewer than two classes, or a class that
            training lacks.
    """
    top, found = _base(path)
    chosen = _by_split(top, found)
    folders = {split: class_folders(one.base) for split, one in chosen.items()}
    classes = _classes(folders, chosen, path)
    others = [one.path for one in found if one not in chosen.values()]
    told = [(f"{one.path.relative_to(path)}/", split) for split, one in chosen.items()]
    words = spelled_out(told)
    every = [one for each in folders.values() for one in each]
    listing = Listing(path, [one.base for one in chosen.values()], every, classes)
    splits = {split: listing.samples_of(each) for split, each in folders.items()}
    return Dataset(
        path,
        f"{LAYOUT} ({words})" if words else LAYOUT,
        classes,
        splits,
        notes=(*unread(others), *listing.notes),
        passed_over=listing.passed,
        respelled=tuple(sorted({name for each in folders.values() for name in respelled(each)})),
        folders=(path,),
    )


def _base(path: Path) -> tuple[Path, Sequence[Branch]]:
    """Return the folder in which the splits lie, and what lies there."""
    found = branches(path)
    while len(found) == 1 and not splits_of(found):
        inner = branches(found[0].path)
        if not inner:
            break
        path, found = found[0].path, inner
    return path, found


def _by_split(folder: Path, found: Sequence[Branch]) -> dict[str, Branch]:
    """Return the folder of each split; one of unsorted images has no classes, and is none.

    Raises:
        DataError: There are none, or two of one split.
    """
    splits = splits_of(found)
    nested = [one for one in found if one.name in splits and one.children]
    if not nested:
        names = ", ".join(f"{one.name}/" for one in found) or "none"
        raise DataError(
            f"{folder}: needs a folder a split with a folder a class in each, like train/cat/ and "
            f"test/cat/; of the folders with images none is so; found {names}"
        )
    chosen: dict[str, Branch] = {}
    for one in nested:
        split = splits[one.name]
        if split in chosen:
            raise DataError(
                f"{folder} has {chosen[split].name}/ and {one.name}/: keep one of them, both mean "
                f"{_IN_FULL[split]} ({option('layout', 'part-folders')} takes their classes "
                f"together, {option('layout', 'class-folders')} takes each for a class)"
            )
        chosen[split] = one
    return {split: chosen[split] for split in ORDER if split in chosen}


_IN_FULL = {"train": "training", "val": "validation", "test": "test"}


def _classes(
    folders: dict[str, ClassFolders], chosen: dict[str, Branch], path: Path
) -> tuple[str, ...]:
    if "train" in folders:
        return checked_classes(folders["train"], chosen["train"].path)
    return checked_classes([one for each in folders.values() for one in each], path, least=1)
