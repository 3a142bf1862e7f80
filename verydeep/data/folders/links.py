"""Rules for following links to folders within a data set.

A link that leads out of the data set is followed. No folder is read twice: links to another class,
to a folder that contains the classes, to folders that are read anyway, and circular links are
skipped, and so are links to files of another class. Two classes that link to the same folder
elsewhere are refused, since the same images would have two classes; so are two folders of classes,
in any splits, that are one by a link, or of which one contains the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from verydeep.errors import DataError

LINKS_IN_A_ROW = 40
"""Links that are followed from one to the next; more are a circle, also for Linux."""


class Links:
    """The linked folders of one data set.

    Args:
        owners: Return the folders of all classes in all splits; called at the first link.
    """

    def __init__(self, owners: Callable[[], Iterable[Path]]) -> None:
        self._owners_of = owners
        self._owners: set[Path] | None = None
        self._above: set[Path] = set()
        self._taken: dict[tuple[int, int], str] = {}
        self._real: dict[str, str] = {}  # resolved folders
        self._owner_of: dict[str, str | None] = {}  # by resolved folder

    def judge(self, path: str, owner: str) -> bool:
        """Return whether to follow a link to a folder, and mark the folder as read.

        Args:
            path: The link.
            owner: Folder of the class that contains the link.

        Raises:
            DataError: Another class links to the same folder.
        """
        return not self._is_read_anyway(Path(path).resolve()) and self.take(path, owner)

    def take(self, path: str, owner: str) -> bool:
        """Return whether a linked folder is still unread, and mark it as read.

        Raises:
            DataError: Another class links to the same folder.
        """
        state = os.stat(path)  # noqa: PTH116
        key = state.st_dev, state.st_ino
        if key not in self._taken:
            self._taken[key] = owner
            return True
        if self._taken[key] != owner:
            raise DataError(
                f"{path!r} links to the same images as {self._taken[key]!r}, so they would have "
                "two classes or be in two splits; remove one link"
            )
        return False

    def _is_read_anyway(self, target: Path) -> bool:
        """Return whether a resolved folder is, contains, or is inside the folder of a class."""
        return self._owner(target) is not None or target in self._above

    def _owner(self, target: Path) -> Path | None:
        """Return the resolved folder of a class that a resolved folder is or is inside."""
        if self._owners is None:
            self._owners = {folder.resolve() for folder in self._owners_of()}
            self._above = {above for folder in self._owners for above in folder.parents}
        known = self._owners
        return next((each for each in (target, *target.parents) if each in known), None)

    def leads_to_another(self, path: str, owner: str) -> bool:
        """Return whether a link leads to a file in the folder of another class.

        Folders are resolved once each: a data set may have a million such links.

        Args:
            path: The link.
            owner: Folder of the class that contains the link.
        """
        folder = self._folder_of_target(path)
        if folder not in self._owner_of:
            found = self._owner(Path(folder))
            self._owner_of[folder] = None if found is None else str(found)
        return self._owner_of[folder] not in (None, self._resolve(owner))

    def _folder_of_target(self, path: str) -> str:
        """Return the resolved folder of the file that a link leads to."""
        for _ in range(LINKS_IN_A_ROW):
            target = os.path.join(os.path.dirname(path), os.readlink(path))  # noqa: PTH115, PTH118, PTH120
            folder, name = os.path.split(target)
            path = os.path.join(self._resolve(folder), name)  # noqa: PTH118
            if not os.path.islink(path):  # noqa: PTH114
                break
        return os.path.dirname(path)  # noqa: PTH120

    def _resolve(self, folder: str) -> str:
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder)
        return self._real[folder]


def refuse_overlaps(folders: Iterable[Path], root: Path) -> None:
    """Refuse folders with the same images in them, by way of links.

    Args:
        folders: Folders of all classes in all splits.
        root: Folder of the data set.

    Raises:
        DataError: Two of them are the same, or one contains another.
    """
    base = root.resolve()
    places = [(folder, folder.resolve()) for folder in folders]
    # Links last, so that the message names the link.
    places.sort(key=lambda each: each[1] != base / each[0].relative_to(root))
    known: dict[Path, Path] = {}
    for folder, place in places:
        if place in known:
            raise _overlap(folder, "to", known[place])
        known[place] = folder
    for inner, place in places:
        outer = next((known[above] for above in place.parents if above in known), None)
        if outer is not None and place == base / inner.relative_to(root):
            raise _overlap(outer, "to a folder that contains", inner)
        if outer is not None:
            raise _overlap(inner, "into", outer)


def _overlap(link: Path, how: str, other: Path) -> DataError:
    return DataError(
        f"{str(link)!r} links {how} {str(other)!r}, so the same images would have two classes or "
        "be in two splits; remove the link"
    )
