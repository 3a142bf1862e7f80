"""Splits under each class: ``cat/train/*.jpg``, ``cat/test/*.jpg``, and so on."""

from __future__ import annotations

from pathlib import Path

from verydeep.data.dataset import Dataset
from verydeep.data.folders.content import Content
from verydeep.data.images.image_files import IMAGES
from verydeep.data.layouts.class_folders import checked_classes, folder_dataset, unread
from verydeep.data.layouts.folder_reading import splits_within
from verydeep.data.layouts.folder_tree import Branch, branches
from verydeep.data.name_forms import nfc
from verydeep.data.split_names import ORDER, spelled_out
from verydeep.errors import DataError

LAYOUT = "splits under each class"


def read(path: Path, content: Content = IMAGES) -> Dataset:
    """Read the data set; the classes are those with training images or, without any, all.

    Raises:
        DataError: A class has two folders for a split, there are fewer than two classes, or
            training lacks a class.
    """
    tops = branches(path, content)
    folders: dict[str, list[tuple[str, Path]]] = {}
    others: list[Path] = []
    known = splits_within(tops)
    for top in tops:
        splits = {path.name: known[path.name] for path in top.children if path.name in known}
        _refuse_twice(top, splits)
        for child in top.children:
            if child.name in splits:
                folders.setdefault(splits[child.name], []).append((nfc(top.name), child))
            else:
                others.append(child)
    if not folders:
        raise DataError(
            f"{path}: needs split folders in its class folders, like cat/train/ and cat/test/; "
            f"found {', '.join(f'{top.name}/' for top in tops) or 'no images'}"
        )
    words = spelled_out(
        sorted({(f"{folder.name}/", s) for s, found in folders.items() for _, folder in found})
    )
    whole = folders.get("train") or [one for found in folders.values() for one in found]
    return folder_dataset(
        path,
        f"{LAYOUT} ({words})" if words else LAYOUT,
        [path, *(top.base for top in tops)],
        {split: folders[split] for split in ORDER if split in folders},
        checked_classes(whole, path, least=2 if "train" in folders else 1),
        notes=unread(others, content),
        content=content,
        named=[(nfc(top.name), top.path) for top in tops],
    )


def _refuse_twice(top: Branch, splits: dict[str, str]) -> None:
    known: dict[str, str] = {}
    for name, split in splits.items():
        if split in known:
            raise DataError(
                f"{top.path} has {known[split]}/ and {name}/, which both mean {split}: keep one"
            )
        known[split] = name
