"""Many file names in one block of memory.

NumPy's ``StringDType`` would do, but refuses the surrogates that stand for undecodable bytes.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

# Like os.fsencode() and os.fsdecode(), in a third of the time.
_FS_ENCODING = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


class Names(Sequence[str]):
    """File names as one block of bytes.

    >>> names = Names(["cat/1.jpg", "dog/2.jpg"])
    >>> names[1], len(names)
    ('dog/2.jpg', 2)
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._bytes = bytearray()
        self._ends = array("q", [0])
        for name in names:
            self.append(name)

    @classmethod
    def joined(cls, parts: Iterable[Names]) -> Names:
        """Return the concatenation of several.

        >>> list(Names.joined([Names(["a"]), Names(), Names(["b", "c"])]))
        ['a', 'b', 'c']
        """
        whole = cls()
        for part in parts:
            ends = np.asarray(part._ends)[1:] + len(whole._bytes)
            whole._ends.frombytes(ends.tobytes())
            whole._bytes += part._bytes
        return whole

    @classmethod
    def unpacked(cls, text: NDArray[np.uint8], ends: NDArray[np.int64]) -> Names:
        """Return the names from the arrays of :meth:`packed`."""
        whole = cls()
        whole._bytes += text.tobytes()
        whole._ends = array("q", ends.tobytes())
        return whole

    def packed(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return all bytes, and the offset of each name and of the end.

        >>> [values.tolist() for values in Names(["a", "bc"]).packed()]
        [[97, 98, 99], [0, 1, 3]]
        """
        return np.frombuffer(bytes(self._bytes), np.uint8), np.array(self._ends, np.int64)

    def append(self, name: str) -> None:
        """Add a name."""
        self._bytes += name.encode(*_FS_ENCODING)
        self._ends.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        """Return a name, or a list of them."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not 0 <= index < len(self._ends) - 1:
            raise IndexError(f"index {index} is out of range for {len(self)} names")
        return self._bytes[self._ends[index] : self._ends[index + 1]].decode(*_FS_ENCODING)


def first_repeated(hashes: array[int], things: Sequence[object]) -> tuple[int, int] | None:
    """Return the indices of the first item that repeats an earlier one.

    Args:
        hashes: Hashes of the items, in order; only items with equal hashes are compared.
        things: The items.

    Returns:
        The earlier index, then the later; None if all items differ.

    >>> first_repeated(array("q", [7, 8, 7, 8]), ["a", "b", "c", "b"])
    (1, 3)
    """
    known = np.asarray(hashes)
    order = np.argsort(known, kind="stable")
    again = np.flatnonzero(np.diff(known[order]) == 0)
    for later in np.sort(order[again + 1]).tolist():
        equal = np.flatnonzero(known[:later] == known[later]).tolist()
        first = next((number for number in equal if things[number] == things[later]), None)
        if first is not None:
            return first, later
    return None
