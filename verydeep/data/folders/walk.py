"""A walk over a folder of images by name, following links safely and reading none twice."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from verydeep.data.folders.links import Links
from verydeep.data.folders.passed_over import PassedOver
from verydeep.data.folders.system_files import is_system_file, is_system_folder
from verydeep.data.images.formats import SUFFIXES
from verydeep.errors import DataError


class Walk:
    """The sorted names of the images in a folder and below.

    Args:
        top: The folder; that of one class, where there are classes.
        passed: Counts skipped files and folders.
        links: Linked folders of the data set.
        suffixes: Lower-case extensions of the files to yield; None for those of images.
    """

    def __init__(
        self,
        top: str,
        passed: PassedOver,
        links: Links,
        suffixes: Collection[str] | None = None,
    ) -> None:
        self.top, self.passed, self.links = top, passed, links
        self.suffixes = SUFFIXES if suffixes is None else suffixes
        self._above = os.path.join(Path(top).parent, "")  # noqa: PTH118
        self._seen: set[tuple[int, int]] | None = None  # files, once a link is met

    def __iter__(self) -> Iterator[str]:
        """Yield the names, those in a folder before those in its subfolders.

        Raises:
            DataError: A folder cannot be read, or a link would give images two classes.
        """
        stack = [(self.top, False)]  # a folder, and whether it is behind a link
        while stack:
            folder, beyond = stack.pop()
            folders, files, links = self._look(folder)
            begin = os.path.join(folder, "")  # noqa: PTH118
            if beyond:
                files = [name for name in files if self._is_new(begin + name)]
                folders = [name for name in folders if self._is_first(begin + name)]
            below = [(name, beyond) for name in folders]
            for name in sorted(links):
                if self._is_folder_to_read(begin, name):
                    below.append((name, True))
                elif self._is_file_to_read(begin, name):
                    files.append(name)
            for name in sorted(files):
                yield begin + name
            stack += [(begin + name, behind) for name, behind in sorted(below, reverse=True)]

    def _look(self, folder: str) -> tuple[list[str], list[str], list[str]]:
        """Return the names of the folders, images and links in a folder."""
        folders, files, links = [], [], []
        passed, suffixes = self.passed, self.suffixes
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = entry.name
                    if entry.is_symlink():
                        links.append(name)
                    elif entry.is_dir(follow_symlinks=False):
                        if is_system_folder(name):
                            passed.hide(name)
                        else:
                            folders.append(name)
                    elif name[name.rfind(".") :].lower() in suffixes and name[0] != ".":
                        files.append(name)
                    elif is_system_file(name):
                        passed.hide(name)
                    else:
                        passed.file(name)
        except OSError as error:
            raise DataError(f"{error.filename}: {error.strerror}") from error
        return folders, files, links

    def _is_folder_to_read(self, begin: str, name: str) -> bool:
        """Return whether to follow a link to a folder; count it."""
        if is_system_folder(name) or not os.path.isdir(begin + name):  # noqa: PTH112
            return False
        follow = self.links.judge(begin + name, self.top)
        self._note(self.passed.followed if follow else self.passed.repeated, begin + name)
        return follow

    def _is_file_to_read(self, begin: str, name: str) -> bool:
        """Return whether to read the target of a link as an image; else count it.

        A dangling link with an image's name counts as an unreadable image: reading it reports it,
        and too many of them are an error.
        """
        path = begin + name
        if is_system_file(name) or is_system_folder(name):
            self.passed.hide(name)
        elif os.path.isdir(path):  # noqa: PTH112 - read anyway
            pass
        elif suffix_of(name) in self.suffixes:
            if not self.links.leads_to_another(path, self.top) and self._is_new(path):
                return True
            self._note(self.passed.repeated, path)
        elif Path(path).exists():
            self.passed.file(name)
        else:
            self._note(self.passed.dangling, path)
        return False

    def _is_first(self, path: str) -> bool:
        """Return whether a linked folder is seen for the first time; else count it."""
        first = self.links.take(path, self.top)
        if not first:
            self._note(self.passed.repeated, path)
        return first

    def _is_new(self, path: str) -> bool:
        """Return whether the class does not have this file yet, under any name."""
        if self._seen is None:
            self._seen = set(_files_in(self.top, self.suffixes))
        try:
            state = os.stat(path)  # noqa: PTH116
        except OSError:
            return True
        key = state.st_dev, state.st_ino
        new = key not in self._seen
        self._seen.add(key)
        return new

    def _note(self, where: list[str], path: str) -> None:
        where.append(path.removeprefix(self._above))


def suffix_of(name: str) -> str:
    """Return the lower-case extension of a file name.

    >>> suffix_of("1.JPG")
    '.jpg'
    """
    return name[name.rfind(".") :].lower()


def _files_in(top: str, suffixes: Collection[str]) -> Iterator[tuple[int, int]]:
    """Yield device and inode of the files in a folder and below that are not links."""
    for folder, folders, _ in os.walk(top):
        folders[:] = [name for name in folders if not is_system_folder(name)]
        device = os.stat(folder).st_dev  # noqa: PTH116
        with os.scandir(folder) as entries:
            for entry in entries:
                if suffix_of(entry.name) in suffixes and not entry.is_symlink():
                    yield device, entry.inode()
