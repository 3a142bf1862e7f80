"""Links to folders within the folders of a data set: which are followed, which are not.

A link that leads out of the data set is followed, as its owner put it there for that. No folder
is read twice: a link to what is read anyway, or in a circle, is passed over. In a data set with
classes a link to another class, or to a folder that holds the classes, is refused, since the same
pictures would have two classes.
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
        strict: Refuse links to other classes; else they are passed over.
    """

    def __init__(self, owners: Callable[[], Iterable[Path]], *, strict: bool = True) -> None:
        self._owners_of = owners
        self._strict = strict
        self._owners: set[Path] | None = None
        self._above: set[Path] = set()
        self._taken: dict[tuple[int, int], str] = {}

    @staticmethod
    def within(folder: Path) -> Links:
        """Return the links of a folder whose pictures have no classes."""
        return Links(lambda: [folder], strict=False)

    def judge(self, path: str, owner: str) -> bool:
        """Return whether to follow a link to a folder, and remember that it is read.

        Args:
            path: The link.
            owner: Folder of the class in which it lies.

        Raises:
            DataError: The pictures behind it would have two classes.
        """
        target = Path(path).resolve()
        own = Path(owner).resolve()
        holder = self._holder(target)
        if holder == own:
            return False
        if holder is not None or target in self._above:
            return self._refuse(path, repr(str(holder)) if holder else "a folder that it lies in")
        return self.take(path, owner)

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
            self._refuse(path, f"what {self._taken[key]!r} links to")
        return False

    def _holder(self, target: Path) -> Path | None:
        """Return the folder of a class, links resolved, that holds a folder."""
        if self._owners is None:
            self._owners = {folder.resolve() for folder in self._owners_of()}
            self._above = {above for folder in self._owners for above in folder.parents}
        return next((each for each in (target, *target.parents) if each in self._owners), None)

    def _refuse(self, path: str, there: str) -> bool:
        if self._strict:
            raise DataError(
                f"{path!r} links to {there}, so the same pictures would have two classes or stand "
                "in two splits; remove the link"
            )
        return False
