"""Links to folders within the folders of a data set: which are followed, which are not.

A link that leads out of the data set is followed, as its owner put it there for that. No folder
is read twice: a link to another class, to a folder that holds the classes, to what is read anyway
or in a circle is passed over. Two classes that link to the same folder elsewhere are refused, since
the same images would have two classes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from verydeep.errors import DataError


class Links:
    """The linked folders of one data set.

    Args:
        owners: Return the folders of all classes in all splits; asked when the first link is met.
    """

    def __init__(self, owners: Callable[[], Iterable[Path]]) -> None:
        self._owners_of = owners
        self._owners: set[Path] | None = None
        self._above: set[Path] = set()
        self._taken: dict[tuple[int, int], str] = {}

    def judge(self, path: str, owner: str) -> bool:
        """Return whether to follow a link to a folder, and remember that it is read.

        Args:
            path: The link.
            owner: Folder of the class in which it lies.

        Raises:
            DataError: Another class links to the same folder.
        """
        return not self._is_read_anyway(Path(path).resolve()) and self.take(path, owner)

    def take(self, path: str, owner: str) -> bool:
        """Return whether a folder behind a link is still to be read, and remember that it is.

        Raises:
            DataError: Another class has it already.
        """
        state = os.stat(path)  # noqa: PTH116
        key = state.st_dev, state.st_ino
        if key not in self._taken:
            self._taken[key] = owner
            return True
        if self._taken[key] != owner:
            raise DataError(
                f"{path!r} leads to images that links in {self._taken[key]!r} lead to as well, "
                "so the same images would have two classes or stand in two splits; remove one"
            )
        return False

    def _is_read_anyway(self, target: Path) -> bool:
        """Return whether a folder is, lies in, or holds that of a class; links are resolved."""
        if self._owners is None:
            self._owners = {folder.resolve() for folder in self._owners_of()}
            self._above = {above for folder in self._owners for above in folder.parents}
        known = self._owners
        return target in self._above or any(each in known for each in (target, *target.parents))
