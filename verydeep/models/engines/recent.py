"""A small store that drops what was not used for longest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Values made on demand; the least recently used is dropped.

    Args:
        make: Makes the value of a key.
        most: Maximum number of values.

    >>> squares = Recent(lambda n: n * n, most=2)
    >>> [squares[n] for n in (2, 3, 2, 4)], list(squares.keys())
    ([4, 9, 4, 16], [2, 4])
    """

    def __init__(self, make: Callable[[K], V], most: int) -> None:
        self._make = make
        self._most = most
        self._values: OrderedDict[K, V] = OrderedDict()

    def __getitem__(self, key: K) -> V:
        """Return the value of a key, and make it if it is not there."""
        if key not in self._values:
            while len(self._values) >= self._most:  # first: two may not fit into memory
                self._values.popitem(last=False)
            self._values[key] = self._make(key)
        self._values.move_to_end(key)
        return self._values[key]

    def keys(self) -> list[K]:
        """Return the keys, the least recently used first."""
        return list(self._values)
