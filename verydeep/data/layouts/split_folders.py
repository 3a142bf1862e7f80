"""Class folders under each split: ``train/cat/*.jpg``, ``val/cat/*.jpg``, ``test/cat/*.jpg``.

:mod:`verydeep.data.split_names` recognises the splits: ``Training``, ``test_set``, ``pets-val``.
They may be one folder deeper, in a folder with nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from verydeep.data.dataset import Dataset
from verydeep.data.folders.content import Content
from verydeep.data.images.image_files import IMAGES
from verydeep.data.layouts.class_folders import (
    ClassFolders,
    checked_classes,
    class_folders,
    folder_dataset,
    unread,
)
from verydeep.data.layouts.folder_reading import splits_of
from verydeep.data.layouts.folder_tree import Branch, branches
from verydeep.data.split_names import ORDER, spelled_out
from verydeep.errors import DataError
from verydeep.system.option_names import option

LAYOUT = "one folder per class in each split"


def read(path: Path, content: Content = IMAGES) -> Dataset:
    """Read the data set; the classes are those of ``train/`` or, without it, of all splits.

    Raises:
        DataError: A split has two folders, there are fewer than two classes, or training lacks a
            class.
    """
    top, found = _base(path, content)
    chosen = _by_split(top, found)
    folders = {split: class_folders(one.base, content) for split, one in chosen.items()}
    words = spelled_out((f"{one.path.relative_to(path)}/", s) for s, one in chosen.items())
    return folder_dataset(
        path,
        f"{LAYOUT} ({words})" if words else LAYOUT,
        [one.base for one in chosen.values()],
        folders,
        _classes(folders, chosen, path),
        notes=unread((one.path for one in found if one not in chosen.values()), content),
        content=content,
    )


def _base(path: Path, content: Content) -> tuple[Path, Sequence[Branch]]:
    """Return the folder of the splits, and its branches."""
    found = branches(path, content)
    while len(found) == 1 and not splits_of(found):
        inner = branches(found[0].path, content)
        if not inner:
            break
        path, found = found[0].path, inner
    return path, found


def _by_split(folder: Path, found: Sequence[Branch]) -> dict[str, Branch]:
    """Return the folder of each split, ignoring folders of unsorted images.

    Raises:
        DataError: There are no splits, or two folders of one split.
    """
    splits = splits_of(found)
    nested = [one for one in found if one.name in splits and one.children]
    if not nested:
        names = ", ".join(f"{one.name}/" for one in found) or "none"
        raise DataError(
            f"{folder}: needs a folder per split with one per class in each, like train/cat/ and "
            f"test/cat/; found {names}"
        )
    chosen: dict[str, Branch] = {}
    for one in nested:
        split = splits[one.name]
        if split in chosen:
            raise DataError(
                f"{folder} has {chosen[split].name}/ and {one.name}/: keep one of them, both mean "
                f"{_IN_FULL[split]} ({option('layout', 'part-folders')} merges their classes, "
                f"{option('layout', 'class-folders')} reads each as a class)"
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
