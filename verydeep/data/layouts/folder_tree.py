"""The folders of a data set that contain images, and those that contain folders with images.

Or volumes: see :mod:`verydeep.data.folders.content`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from verydeep.data.folders.content import Content
from verydeep.data.images.image_files import IMAGES, folders_in
from verydeep.data.name_forms import nfc
from verydeep.data.split_names import split_name, whole_split

_WRAPPERS = frozenset(("images", "image", "imgs", "data", "dataset"))


@dataclass(frozen=True)
class Branch:
    """A folder with images in it or below.

    Attributes:
        path: The folder.
        base: The folder with its content: itself, or one that it merely wraps, as in
            ``seg_train/seg_train/`` or ``train/images/``.
        children: The folders with images in the base, sorted by name.
        is_loose: Whether there are images directly in the base.
    """

    path: Path
    base: Path
    children: tuple[Path, ...]
    is_loose: bool

    @property
    def name(self) -> str:
        """Folder name."""
        return self.path.name

    @cached_property
    def keys(self) -> frozenset[str]:
        """Normalised names of the children."""
        return frozenset(nfc(path.name).casefold() for path in self.children)


def branches(folder: Path, content: Content = IMAGES) -> list[Branch]:
    """Return the folders with images in a folder, sorted by name."""
    found = (branch(path, content) for path in folders_in(folder))
    return [one for one in found if one.is_loose or one.children]


def branch(path: Path, content: Content = IMAGES) -> Branch:
    """Inspect a folder, or the one that it wraps.

    A wrapper contains one folder with images and no images itself, and that folder has the same
    name, means the same split, or is called ``images`` or the like.
    """
    base = path
    while True:
        loose = content.is_directly_in(base)
        children = tuple(folder for folder in folders_in(base) if content.is_in(folder))
        if loose or len(children) != 1 or not _wraps(base.name, children[0].name):
            return Branch(path, base, children, loose)
        base = children[0]


def _wraps(outer: str, inner: str) -> bool:
    mine, its = split_name(outer), split_name(inner)
    same = mine is not None and its is not None and mine.split == its.split
    return same or inner.casefold() in _WRAPPERS or outer.casefold() == inner.casefold()


def split_folder(root: Path, split: str) -> Path:
    """Return the folder of a split: ``train``, else ``Training`` or the like, else ``train``."""
    plain = root / split
    if plain.is_dir() or not root.is_dir():
        return plain
    return next((path for path in folders_in(root) if whole_split(path.name) == split), plain)
