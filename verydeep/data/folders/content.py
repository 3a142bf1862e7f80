"""Class folders hold images or volumes; their layouts are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from verydeep.data.folders.links import Links
from verydeep.data.folders.passed_over import PassedOver


@dataclass(frozen=True)
class Content:
    """What class folders hold.

    Attributes:
        thing: What one is called.
        own: Yields those directly in a folder, unsorted.
        below: Yields the paths of those in a folder and below, in order, given the counts of what
            is skipped and the links of the data set.
        refuse: Refuses a folder with none of them if it looks like a class all the same.
    """

    thing: str
    own: Callable[[Path], Iterable[str]]
    below: Callable[[Path, PassedOver, Links], Iterable[str]]
    refuse: Callable[[Path], None]

    def all_in(self, folder: Path) -> Iterable[str]:
        """Return the paths of those in a folder and below, as if it were the only class."""
        return self.below(folder, PassedOver(), Links(lambda: [folder]))

    def is_in(self, folder: Path) -> bool:
        """Return whether there is one in a folder or below."""
        return any(True for _ in self.all_in(folder))

    def is_directly_in(self, folder: Path) -> bool:
        """Return whether there is one directly in a folder."""
        return any(True for _ in self.own(folder))
