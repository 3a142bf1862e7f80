"""Which layout a tree of folders has, and whether it could as well be read in another way.

Folders are either classes or splits, and nothing but their names and what lies in them tells which.
They are taken for splits only if their names say so and folders of classes lie in them, or for
splits within classes if the names of the inner folders say so. Where two readings are equally good,
neither is taken: the message spells out both, and ``--layout`` chooses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from verydeep.data.layouts.folder_tree import Branch, branch, branches, has_own_pictures
from verydeep.data.split_names import SplitName, settled, spelled_out, split_name
from verydeep.system.option_names import option

SPLIT_FOLDERS = "split-folders"
SPLITS_IN_CLASSES = "splits-in-classes"
PART_FOLDERS = "part-folders"
CLASS_FOLDERS = "class-folders"


@dataclass(frozen=True)
class Reading:
    """How a tree of folders is read.

    Attributes:
        layout: The layout; None if there is no folder with images.
        doubt: Why it is not read without being asked: what else it could be. Empty if it is clear.
    """

    layout: str | None
    doubt: str = ""


def reading_of(path: Path) -> Reading:
    """Return how a folder is read."""
    found = branches(path) if path.is_dir() else []
    if not found:
        return Reading(None)
    as_splits = _as_splits(found)
    if as_splits is not None:
        return as_splits
    if len(found) == 1:
        return _within(found[0], has_own_pictures(path))
    return _divided_classes(found) or _recurring(found) or Reading(CLASS_FOLDERS)


def _within(only: Branch, beside_pictures: bool) -> Reading:
    """Return the reading of a folder that has but one with images: no two classes."""
    inner = Reading(None) if beside_pictures else reading_of(only.path)
    if inner.layout == SPLIT_FOLDERS or len(only.children) < 2:
        return inner if inner.layout == SPLIT_FOLDERS else Reading(CLASS_FOLDERS)
    return Reading(
        CLASS_FOLDERS,
        f"a classifier needs at least two folders with images, and only {only.name}/ has some; "
        f"if the classes are the folders in it ({_listed(only.children)}), give {only.path} as "
        "DATA",
    )


def is_read_as(path: Path, layout: str) -> bool:
    """Return whether a folder is read in a layout, whether or not another is as good."""
    return reading_of(path).layout == layout


def splits_of(found: Sequence[Branch]) -> dict[str, str]:
    """Return the folders that are named after splits, each with its split."""
    told = _told(one.name for one in found)
    keys = {one.name: one.keys for one in found}
    alone = len(found) == 1
    return settled(
        {
            name: its.split
            for name, its in told.items()
            if not its.rest
            or (alone and keys[name])
            or any(_belong(its, other, keys[name] & keys[o]) for o, other in told.items())
        }
    )


def splits_within(found: Sequence[Branch]) -> dict[str, str]:
    """Return the folders within some that mean splits, each with its split, by their names."""
    told = _told(path.name for one in found for path in one.children)
    return settled(
        {
            name: its.split
            for name, its in told.items()
            if not its.rest or any(_belong(its, other, ()) for other in told.values())
        }
    )


def _told(names: Iterable[str]) -> dict[str, SplitName]:
    return {name: its for name in names if (its := split_name(name)) is not None}


def _belong(one: SplitName, other: SplitName, shared: Iterable[str]) -> bool:
    """Return whether two names are those of two splits: ``pets_train`` and ``pets_test``.

    ``bullet_train`` beside ``test_tube`` are not, unless the same classes lie in both.
    """
    return one.split != other.split and (one.rest == other.rest or any(True for _ in shared))


def _as_splits(found: Sequence[Branch]) -> Reading | None:
    """Return the reading in which the folders are splits; None if they are none."""
    splits = splits_of(found)
    nested = [one for one in found if one.name in splits and one.children]
    others = [one for one in found if one.name not in splits]
    if len(nested) == 1 and others:
        return _one_split(nested[0], splits[nested[0].name], others)
    if nested:
        return Reading(SPLIT_FOLDERS)
    if len(found) == 1 and splits:
        return Reading(SPLIT_FOLDERS)  # and is refused there: it has no classes
    if len(splits) > 1 and (not others or len(set(splits.values())) > 1):
        folders = _folders(splits)
        words = spelled_out((f"{name}/", split) for name, split in splits.items()) or folders
        return Reading(
            CLASS_FOLDERS,
            f"folders are named like splits, but images lie in them, not folders of classes. "
            f"They are either splits ({words}), which need a folder a class in each (train/cat/, "
            f"test/cat/); or classes ({folders}): then give {option('layout', CLASS_FOLDERS)}",
        )
    return None


def _one_split(one: Branch, split: str, others: Sequence[Branch]) -> Reading | None:
    """Judge one folder named after a split that has folders in it, and others of other names."""
    strange = [other for other in others if not other.keys & one.keys]
    if not strange:
        return Reading(SPLIT_FOLDERS)
    if len(one.children) < 2:
        return None
    if len(strange) == 1 and not strange[0].children and not one.is_loose:
        return Reading(SPLIT_FOLDERS)
    inner, outer = _listed(one.children), _folders([one.name, *(other.name for other in others)])
    return Reading(
        SPLIT_FOLDERS,
        f"can be read in two ways: {one.name}/ as the split {split}, with the classes {inner}: "
        f"then give {option('layout', SPLIT_FOLDERS)}, or move the other folders away; or the "
        f"classes are {outer}: then give {option('layout', CLASS_FOLDERS)}",
    )


def _divided_classes(found: Sequence[Branch]) -> Reading | None:
    """Return the reading of ``cat/train/``, ``cat/test/``, ``dog/train/``, ``dog/test/``."""
    known = splits_within(found)
    splits = {
        one: {path.name: known[path.name] for path in one.children if path.name in known}
        for one in found
    }
    divided = [one for one in found if one.children and len(splits[one]) == len(one.children)]
    deep = next((one for one in divided if _has_classes(one)), None)
    if deep is not None:
        return Reading(
            CLASS_FOLDERS,
            f"{deep.name}/ in it is a data set itself, layout {SPLIT_FOLDERS}: give {deep.path} as "
            f"DATA (or, if it is a class, {option('layout', SPLITS_IN_CLASSES)})",
        )
    if len(divided) == len(found) and not any(one.is_loose for one in found):
        return Reading(SPLITS_IN_CLASSES)
    if not any(len(set(its.values())) > 1 for its in splits.values()):
        return None
    example = next(one for one in found if len(set(splits[one].values())) > 1)
    rest = _folders(one.name for one in found if one not in divided or one.is_loose)
    return Reading(
        CLASS_FOLDERS,
        f"can be read in two ways: classes that are divided into splits, as {example.name}/ is "
        f"into {_folders(splits[example])}: then give {option('layout', SPLITS_IN_CLASSES)}, which "
        f"leaves out what lies in no split (in {rest}); or a folder a class with all images "
        f"below it, and splits drawn by rule: then give {option('layout', CLASS_FOLDERS)}",
    )


def _has_classes(one: Branch) -> bool:
    """Return whether folders of classes lie in the splits of a folder."""
    inner = [branch(path) for path in one.children]
    return any(len(its.children) > 1 for its in inner)


def _recurring(found: Sequence[Branch]) -> Reading | None:
    """Return the doubt about ``site-a/{cat,dog}/``, ``site-b/{cat,dog}/``; None if none recur."""
    nested = [one for one in found if one.children]
    if len(nested) < 2 or 2 * len(nested) <= len(found):
        return None
    common = frozenset.intersection(*(one.keys for one in nested))
    if len(common) < 2:
        return None
    inner, outer = _listed(nested[0].children), _folders(one.name for one in found)
    return Reading(
        CLASS_FOLDERS,
        f"the same folders recur in {_folders(one.name for one in nested)}. The classes are "
        f"either {inner}, in parts that are no splits: then give "
        f"{option('layout', PART_FOLDERS)}, or name the parts train/, val/, test/; or they are "
        f"{outer}: then give {option('layout', CLASS_FOLDERS)}",
    )


def _listed(paths: Iterable[Path]) -> str:
    return _folders(path.name for path in paths)


def _folders(names: Iterable[str], most: int = 4) -> str:
    """Return a few names of folders."""
    every = [f"{name}/" for name in names]
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
