"""Detection of the layout of nested folders, and of ambiguities.

Folders are classes or splits; only their names and contents tell which. They count as splits only
if their names mean splits and they contain class folders, or as classes with splits inside if the
names of the inner folders mean splits. If two readings are equally good, neither is used: the
message describes both, and ``--layout`` chooses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from verydeep.data.folders.content import Content
from verydeep.data.images.image_files import IMAGES
from verydeep.data.layouts.folder_tree import Branch, branch, branches
from verydeep.data.split_names import SplitName, resolve_eval, spelled_out, split_name
from verydeep.system.option_names import option

SPLIT_FOLDERS = "split-folders"
SPLITS_IN_CLASSES = "splits-in-classes"
PART_FOLDERS = "part-folders"
CLASS_FOLDERS = "class-folders"


@dataclass(frozen=True)
class Reading:
    """A reading of nested folders.

    Attributes:
        layout: The layout; None if there is no folder with images.
        doubt: Reason why the user must choose: the other reading. Empty if unambiguous.
        may_be_parts: Whether the other reading is that of parts, which are not splits.
    """

    layout: str | None
    doubt: str = ""
    may_be_parts: bool = False


def reading_of(path: Path, content: Content = IMAGES) -> Reading:
    """Return the reading of a folder."""
    found = branches(path, content) if path.is_dir() else []
    if not found:
        return Reading(None)
    as_splits = _as_splits(found)
    if as_splits is not None:
        return as_splits
    if len(found) == 1:
        return _within(found[0], content.is_directly_in(path), content)
    return _divided_classes(found, content) or _recurring(found) or Reading(CLASS_FOLDERS)


def _within(only: Branch, beside_pictures: bool, content: Content) -> Reading:
    """Return the reading of a folder with one subfolder with images: not two classes."""
    inner = Reading(None) if beside_pictures else reading_of(only.path, content)
    if inner.layout == SPLIT_FOLDERS or len(only.children) < 2:
        return inner if inner.layout == SPLIT_FOLDERS else Reading(CLASS_FOLDERS)
    return Reading(
        CLASS_FOLDERS,
        f"a classifier needs at least two folders with images, and only {only.name}/ has some; if "
        f"the classes are its subfolders ({_listed(only.children)}), give {only.path} as DATA",
    )


def is_read_as(path: Path, layout: str) -> bool:
    """Return whether a folder is read in a layout, even if another fits equally well."""
    return reading_of(path).layout == layout


def splits_of(found: Sequence[Branch]) -> dict[str, str]:
    """Return the split of each folder that is named after one."""
    names = _split_names(one.name for one in found)
    keys = {one.name: one.keys for one in found}
    alone = len(found) == 1
    return resolve_eval(
        {
            name: its.split
            for name, its in names.items()
            if not its.rest
            or (alone and keys[name])
            or any(_belong(its, other, keys[name] & keys[o]) for o, other in names.items())
        }
    )


def splits_within(found: Sequence[Branch]) -> dict[str, str]:
    """Return the split of each name among the subfolders that means one."""
    names = _split_names(path.name for one in found for path in one.children)
    return resolve_eval(
        {
            name: its.split
            for name, its in names.items()
            if not its.rest or any(_belong(its, other, ()) for other in names.values())
        }
    )


def _split_names(names: Iterable[str]) -> dict[str, SplitName]:
    return {name: its for name in names if (its := split_name(name)) is not None}


def _belong(one: SplitName, other: SplitName, shared: Iterable[str]) -> bool:
    """Return whether two names are different splits of one set: ``pets_train``, ``pets_test``.

    ``bullet_train`` and ``test_tube`` are not, unless they contain the same classes.
    """
    return one.split != other.split and (one.rest == other.rest or any(True for _ in shared))


def _as_splits(found: Sequence[Branch]) -> Reading | None:
    """Return the reading of the folders as splits; None if they are not splits."""
    splits = splits_of(found)
    nested = [one for one in found if one.name in splits and one.children]
    others = [one for one in found if one.name not in splits]
    if len(nested) == 1 and others:
        return _one_split(nested[0], splits[nested[0].name], others)
    if nested:
        return Reading(SPLIT_FOLDERS)
    if len(found) == 1 and splits:
        return Reading(SPLIT_FOLDERS)  # which refuses it: it has no classes
    if len(splits) > 1 and (not others or len(set(splits.values())) > 1):
        folders = _folders(splits)
        words = spelled_out((f"{name}/", split) for name, split in splits.items()) or folders
        return Reading(
            CLASS_FOLDERS,
            f"its folders are named like splits, but contain images instead of class folders. "
            f"If they are splits ({words}), each needs one folder per class (train/cat/, "
            f"test/cat/); if they are classes ({folders}), give {option('layout', CLASS_FOLDERS)}",
        )
    return None


def _one_split(one: Branch, split: str, others: Sequence[Branch]) -> Reading | None:
    """Return the reading of one folder named after a split, with subfolders, beside others."""
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
        f"can be read in two ways: if {one.name}/ is the split {split} with the classes {inner}, "
        f"give {option('layout', SPLIT_FOLDERS)}, or move the other folders away; if the classes "
        f"are {outer}, give {option('layout', CLASS_FOLDERS)}",
    )


def _divided_classes(found: Sequence[Branch], content: Content) -> Reading | None:
    """Return the reading of ``cat/train/``, ``cat/test/``, ``dog/train/``, ``dog/test/``."""
    known = splits_within(found)
    splits = {
        one: {path.name: known[path.name] for path in one.children if path.name in known}
        for one in found
    }
    divided = [one for one in found if one.children and len(splits[one]) == len(one.children)]
    deep = next((one for one in divided if _has_classes(one, content)), None)
    if deep is not None:
        return Reading(
            CLASS_FOLDERS,
            f"its folder {deep.name}/ is a data set, layout {SPLIT_FOLDERS}: give {deep.path} as "
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
        f"can be read in two ways: {option('layout', SPLITS_IN_CLASSES)} reads classes that are "
        f"divided into splits, as {example.name}/ into {_folders(splits[example])}, and leaves out "
        f"images outside of splits (in {rest}); {option('layout', CLASS_FOLDERS)} reads one folder "
        "per class with all images in and below it, and draws splits by rule",
    )


def _has_classes(one: Branch, content: Content) -> bool:
    """Return whether the splits in a folder contain class folders."""
    inner = [branch(path, content) for path in one.children]
    return any(len(its.children) > 1 for its in inner)


def _recurring(found: Sequence[Branch]) -> Reading | None:
    """Return the doubt about ``site-a/{cat,dog}/``, ``site-b/{cat,dog}/``, if names recur."""
    nested = [one for one in found if one.children]
    if len(nested) < 2 or 2 * len(nested) <= len(found):
        return None
    common = frozenset.intersection(*(one.keys for one in nested))
    if len(common) < 2:
        return None
    inner, outer = _listed(nested[0].children), _folders(one.name for one in found)
    return Reading(
        CLASS_FOLDERS,
        f"the same folders recur in {_folders(one.name for one in nested)}. If the classes are "
        f"{inner}, in parts that are not splits, give {option('layout', PART_FOLDERS)}, or name "
        f"the parts train/, val/, test/; if the classes are {outer}, give "
        f"{option('layout', CLASS_FOLDERS)}",
        may_be_parts=True,
    )


def _listed(paths: Iterable[Path]) -> str:
    return _folders(path.name for path in paths)


def _folders(names: Iterable[str], most: int = 4) -> str:
    """List a few names of folders."""
    every = [f"{name}/" for name in names]
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
