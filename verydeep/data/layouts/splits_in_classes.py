"""Splits under each class: ``cat/train/*.jpg``, ``cat/test/*.jpg``, and so on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from verydeep.data.layouts.class_folders import Listing, checked_classes, respelled, unread
from verydeep.data.layouts.folder_reading import splits_within
from verydeep.data.layouts.folder_tree import Branch, branches
from verydeep.data.name_forms import nfc
from verydeep.data.samples import Dataset
from verydeep.data.split_names import ORDER, spelled_out
from verydeep.errors import DataError

LAYOUT = "splits under each class"


def read(path: Path) -> Dataset:
    """Read the data set; the classes are those with training images or, without any, all.

    Raises:
        DataError: A class has two folders for a split, there are fewer than two classes, or one
            that training lacks.
    """
    tops = branches(path)
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
            f"{path}: needs folders of splits in its folders of classes, like cat/train/ and "
            f"cat/test/; found {', '.join(f'{top.name}/' for top in tops) or 'no pictures'}"
        )
    return _dataset(path, tops, folders, others)


def _dataset(
    path: Path,
    tops: Sequence[Branch],
    folders: dict[str, list[tuple[str, Path]]],
    others: Sequence[Path],
) -> Dataset:
    named = {(f"{folder.name}/", s) for s, each in folders.items() for _, folder in each}
    words = spelled_out(sorted(named))
    whole = folders.get("train") or [one for each in folders.values() for one in each]
    classes = checked_classes(whole, path, least=2 if "train" in folders else 1)
    every = [one for each in folders.values() for one in each]
    listing = Listing(path, [path, *(top.base for top in tops)], every, classes)
    splits = {split: listing.samples_of(folders[split]) for split in ORDER if split in folders}
    return Dataset(
        path,
        f"{LAYOUT} ({words})" if words else LAYOUT,
        classes,
        splits,
        notes=(*unread(others), *listing.notes),
        passed_over=listing.passed,
        respelled=respelled((nfc(top.name), top.path) for top in tops),
        folders=(path,),
    )


def _refuse_twice(top: Branch, splits: dict[str, str]) -> None:
    known: dict[str, str] = {}
    for name, split in splits.items():
        if split in known:
            raise DataError(
                f"{top.path} has {known[split]}/ and {name}/: keep one of them, both mean {split}"
            )
        known[split] = name
