"""Label sets: the classes of images that have several, or none.

Images with equal sets share one entry, so that an image needs a single number: the index of its
set. D distinct sets, K classes, N images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

DataTask = Literal["classification", "multi-label"]
"""One class per image, or a set of classes per image."""

LabelSet = tuple[int, ...]
"""Class indices, ascending; empty for an image of none of the classes."""


@dataclass(frozen=True, eq=False)
class LabelSets(Sequence[LabelSet]):
    """Distinct sets of classes, in compressed rows.

    Attributes:
        starts: Start of each set in ``members``, and their end, int64 (D + 1,).
        members: Class indices of all sets, int32.
    """

    starts: NDArray[np.int64]
    members: NDArray[np.int32]

    @staticmethod
    def of(sets: Iterable[Iterable[int]]) -> LabelSets:
        """Return sets in compressed rows, each in ascending order.

        >>> LabelSets.of([(), (3, 1)])[1]
        (1, 3)
        """
        rows = [sorted(set(one)) for one in sets]
        starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        return LabelSets(starts, np.array([label for row in rows for label in row], np.int32))

    def __len__(self) -> int:
        return len(self.starts) - 1

    @overload
    def __getitem__(self, index: int) -> LabelSet: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[LabelSet]: ...
    def __getitem__(self, index: int | slice) -> LabelSet | Sequence[LabelSet]:
        """Return one set, or several."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return tuple(self.members[self.starts[index] : self.starts[index + 1]].tolist())

    def __iter__(self) -> Iterator[LabelSet]:
        return map(self.__getitem__, range(len(self)))

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of classes of every set, int64 (D,)."""
        return np.diff(self.starts)

    def renumbered(self, labels: Sequence[int]) -> LabelSets:
        """Return the sets with class ``labels[k]`` instead of k."""
        new = np.asarray(labels, np.int32)
        return LabelSets.of(new[list(one)].tolist() for one in self)

    def indicators(self, classes: int) -> NDArray[np.uint8]:
        """Return a matrix of ones where a set contains a class, else zeros, uint8 (D, K).

        >>> LabelSets.of([(), (0, 2)]).indicators(3).tolist()
        [[0, 0, 0], [1, 0, 1]]
        """
        matrix = np.zeros((len(self), classes), np.uint8)
        matrix[np.repeat(np.arange(len(self)), self.sizes), self.members] = 1
        return matrix

    def images_of_classes(self, labels: ArrayLike, classes: int) -> NDArray[np.int64]:
        """Return the number of images of each class, int64 (K,).

        Args:
            labels: Index of each image's set, (N,).
            classes: K.
        """
        images = np.bincount(np.asarray(labels, np.int64), minlength=len(self))
        counts = np.zeros(classes, np.int64)
        np.add.at(counts, self.members, np.repeat(images, self.sizes))
        return counts


class LabelSetTable:
    """Numbers sets in order of appearance."""

    def __init__(self) -> None:
        self._numbers: dict[LabelSet, int] = {}

    def number(self, labels: Iterable[int]) -> int:
        """Return the index of a set, which is added if it is new."""
        return self._numbers.setdefault(tuple(sorted(set(labels))), len(self._numbers))

    def sets(self) -> LabelSets:
        """Return all sets."""
        return LabelSets.of(self._numbers)
