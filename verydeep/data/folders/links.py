"""Rules for following links to folders within a data set.

A link that leads out of the data set is followed. No folder is read twice: links to another class,
to a folder that contains the classes, to folders that are read anyway, and circular links are
skipped. Two classes that link to the same folder elsewhere are refused, since the same images would
have two classes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from verydeep.errors import DataError


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
        if self._owners is None:
            self._owners = {folder.resolve() for folder in self._owners_of()}
            self._above = {above for folder in self._owners for above in folder.parents}
        known = self._owners
        return target in self._above or any(each in known for each in (target, *target.parents))
