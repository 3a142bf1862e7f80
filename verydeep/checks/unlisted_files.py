"""Files in a data set's folders that are not samples.

The layout defines these folders: those whose every image should be a sample or, if lists name the
images, those with listed images.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from verydeep.checks.file_signature import PICTURES, sniff
from verydeep.data.dataset import Dataset, relative_name
from verydeep.data.folders.system_files import is_system_file, is_system_folder
from verydeep.data.images.decode import HEAD
from verydeep.data.images.formats import SUFFIXES
from verydeep.data.images.image_files import folders_in, has_pictures
from verydeep.data.images.member import ImageSource, Member
from verydeep.data.images.regular_file import open_regular
from verydeep.data.name_forms import nfc
from verydeep.data.split_names import whole_split
from verydeep.system.progress import Progress

ANNOTATIONS = frozenset({"wnids.txt", "words.txt", "val_annotations.txt", "boxes.csv"})
"""Annotation files of layouts."""

AT_ONCE = 10_000
"""Maximum number of paths to hold as objects."""


@dataclass(frozen=True, slots=True)
class Stray:
    """A file that training ignores.

    Attributes:
        name: Path within the data set.
        suffix: Lower-case extension; empty if none.
        content: Content, if its first bytes identify it.
        picture: Whether its extension is that of an image.
    """

    name: str
    suffix: str
    content: str | None
    picture: bool

    @property
    def hidden(self) -> bool:
        """Whether it is an image without the extension of one."""
        return not self.picture and self.content in PICTURES


def find_strays(dataset: Dataset, progress: Progress | None = None) -> tuple[Stray, ...]:
    """Find the files in a data set's folders that are not samples, except hidden ones.

    Args:
        dataset: The data set.
        progress: Progress reporting; None is silent.
    """
    if any(isinstance(path, Member) for s in dataset.splits.values() for path in s.paths[:1]):
        return ()  # the folders contain the archives
    samples = sum(dataset.sizes.values())
    with (progress or Progress()).task("other files", samples) as bar:
        known = _Known(dataset)
        found: list[Stray] = []
        seen = 0
        for paths in _folders(dataset.folders, known):
            found += [
                _stray(path, dataset.root) for path in known.others(paths) if not path.is_symlink()
            ]
            seen += len(paths)
            bar.update(min(seen, samples))
    return tuple(found)


class _Known:
    """The samples of a data set as hashes of their paths, 8 bytes each."""

    def __init__(self, dataset: Dataset) -> None:
        hashes, folders = [np.empty(0, np.int64)], dict[str, None]()
        for samples in dataset.splits.values():
            for start in range(0, len(samples), AT_ONCE):
                names = list(map(str, samples[start : start + AT_ONCE].paths))
                hashes.append(_hashes(names))
                folders |= dict.fromkeys(map(os.path.dirname, names))
        self.folders = [*folders]
        self._hashes = np.sort(np.concatenate(hashes))

    def others(self, paths: list[Path]) -> list[Path]:
        """Return the paths that are neither samples nor annotation files."""
        hashes = _hashes(list(map(str, paths)))
        first, behind = (np.searchsorted(self._hashes, hashes, side) for side in ("left", "right"))
        return [
            path
            for path, sample in zip(paths, (first < behind).tolist(), strict=True)
            if not sample
            and path.name not in ANNOTATIONS
            and path.name != f"{path.parent.name}_boxes.txt"
        ]


def _hashes(names: list[str]) -> NDArray[np.int64]:
    return np.fromiter(map(hash, names), np.int64, len(names))


def _folders(own: tuple[Path, ...] | None, known: _Known) -> Iterator[list[Path]]:
    """Yield the files of the data set's folders, folder by folder."""
    if own is None:
        for folder in known.folders:
            # Subfolders do not belong to it.
            parent, _, files = next(os.walk(folder), (folder, [], []))
            yield _visible(parent, files)
        return
    for top in own:
        for parent, folders, files in os.walk(top):
            folders[:] = sorted(name for name in folders if not is_system_folder(name))
            yield _visible(parent, files)


def _visible(parent: str, files: list[str]) -> list[Path]:
    return [Path(parent, name) for name in sorted(files) if not is_system_file(name)]


def _stray(path: Path, root: Path) -> Stray:
    suffix = path.suffix.lower()
    return Stray(relative_name(path, root), suffix, _content(path), suffix in SUFFIXES)


def _content(path: Path) -> str | None:
    try:
        with open_regular(path) as stream:
            return sniff(stream.read(HEAD))
    except OSError:
        return None


def find_empty_folders(dataset: Dataset) -> tuple[Path, ...]:
    """Find folders without images beside those of the classes.

    Folders named after a class are left out: another finding reports classes missing from a split.
    """
    if dataset.folders is None or not any(dataset.classes):
        return ()
    parents = dict.fromkeys(_parents(dataset))
    return tuple(
        folder
        for parent in parents
        for folder in folders_in(parent)
        if not _is_named(folder, dataset) and not has_pictures(folder)
    )


def _is_named(folder: Path, dataset: Dataset) -> bool:
    """Return whether a folder is named after a class or split, or is a system folder."""
    name = nfc(folder.name)
    named = name in dataset.classes or whole_split(name) is not None
    return named or is_system_folder(name)


def _parents(dataset: Dataset) -> Iterator[Path]:
    """Yield the folders that contain the folder of a class, from one image of each class."""
    if dataset.multi_label:  # no folder stands for a class
        return
    for samples in dataset.splits.values():
        for number in np.unique(samples.labels, return_index=True)[1].tolist():
            sample = samples[number]
            yield from _above(sample.path, dataset.classes[sample.label], dataset.root)


def _above(path: ImageSource, name: str, root: Path) -> Iterator[Path]:
    for folder in path.parents if isinstance(path, Path) else ():
        if nfc(folder.name) == name and folder.parent.is_relative_to(root):
            yield folder.parent
            return
