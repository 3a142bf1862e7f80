"""What lies in the folders of a data set: which hold images, and which hold folders with some."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from verydeep.data.folders.system_files import is_system_folder
from verydeep.data.images.formats import SUFFIXES
from verydeep.data.images.image_files import has_pictures
from verydeep.data.name_forms import nfc
from verydeep.data.split_names import split_name, whole_split

_WRAPPERS = frozenset(("images", "image", "imgs", "data", "dataset"))


@dataclass(frozen=True)
class Branch:
    """A folder with images in it or below.

    Attributes:
        path: The folder.
        base: The folder that holds what it has: itself, or one in it that it merely wraps, as
            ``seg_train/seg_train/`` or ``train/images/``.
        children: The folders with images in the base, in order of their names.
        is_loose: Whether images lie in the base directly.
    """

    path: Path
    base: Path
    children: tuple[Path, ...]
    is_loose: bool

    @property
    def name(self) -> str:
        """Its name."""
        return self.path.name

    @cached_property
    def keys(self) -> frozenset[str]:
        """The names of its children, as they are compared."""
        return frozenset(nfc(path.name).casefold() for path in self.children)


def branches(folder: Path) -> list[Branch]:
    """Return the folders with images in a folder, in order of their names."""
    found = (branch(path) for path in folders_in(folder))
    return [one for one in found if one.is_loose or one.children]


def branch(path: Path) -> Branch:
    """Look into a folder, and into the one that it wraps.

    A folder is a wrapper if it has one folder with images and no images itself, and that folder
    bears the same name, means the same split, or is called ``images`` or the like.
    """
    base = path
    while True:
        loose = has_own_pictures(base)
        children = tuple(folder for folder in folders_in(base) if has_pictures(folder))
        if loose or len(children) != 1 or not _wraps(base.name, children[0].name):
            return Branch(path, base, children, loose)
        base = children[0]


def _wraps(outer: str, inner: str) -> bool:
    mine, its = split_name(outer), split_name(inner)
    same = mine is not None and its is not None and mine.split == its.split
    return same or inner.casefold() in _WRAPPERS or outer.casefold() == inner.casefold()


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder that are not hidden or a system's, in order of their names."""
    with os.scandir(folder) as entries:
        names = [one.name for one in entries if _is_folder(one) and not is_system_folder(one.name)]
    return [folder / name for name in sorted(names)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder; a link that leads in a circle is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def own_pictures(folder: Path) -> Iterator[str]:
    """Yield the names of the images that lie in a folder directly, in no order."""
    with os.scandir(folder) as entries:
        for one in entries:
            suffix = one.name[one.name.rfind(".") :].lower()
            if suffix in SUFFIXES and not one.name.startswith(".") and not _is_folder(one):
                yield one.name


def has_own_pictures(folder: Path) -> bool:
    """Return whether images lie in a folder directly."""
    return any(True for _ in own_pictures(folder))


def split_folder(root: Path, split: str) -> Path:
    """Return the folder in a folder that means a split: ``train``, else ``Training`` or the like.

    Returns:
        The folder of the split's own name if there is none.
    """
    plain = root / split
    if plain.is_dir() or not root.is_dir():
        return plain
    return next((path for path in folders_in(root) if whole_split(path.name) == split), plain)
