"""Values of MATLAB files, whichever way they are stored, and what is asked of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

MOST_DEPTH = 12
"""Most values within each other; a net has about six."""

MOST_ELEMENTS = 100_000
"""Most values of a file."""


class MatlabError(ValueError):
    """A file that is damaged, or holds what no net holds."""


@dataclass(frozen=True, eq=False)
class Numbers:
    """An array that is read when asked for.

    Attributes:
        dims: Shape.
        dtype: Type of the numbers.
        load: Reads them, in the shape ``dims``.
    """

    dims: tuple[int, ...]
    dtype: np.dtype
    load: Callable[[], np.ndarray]

    @property
    def count(self) -> int:
        """Count of numbers."""
        return prod(self.dims)


class Other:
    """A value of a class that is not read: an object, a handle of a function, a sparse array."""


Struct = dict[str, Any]
"""A struct by the names of its fields; an array of structs is a list of them.

A cell array is a list in MATLAB's order, text a string.
"""


class Budget:
    """How many values may still be read, and how deep within each other."""

    def __init__(self) -> None:
        self.left = MOST_ELEMENTS

    def spend(self, count: int, depth: int) -> None:
        """Count values.

        Raises:
            MatlabError: They are too many or too deep.
        """
        self.left -= count
        if self.left < 0:
            raise MatlabError(f"more than {MOST_ELEMENTS:,} values")
        if depth > MOST_DEPTH:
            raise MatlabError(f"values within each other more than {MOST_DEPTH} deep")


def listed(value: Any) -> list[Any]:
    """Return the elements of a cell or struct array; a single value is its only element."""
    if value is None or (isinstance(value, Numbers) and not value.count):
        return []
    return value if isinstance(value, list) else [value]


def text(value: Any) -> str:
    """Return a string, or nothing for another value."""
    return value if isinstance(value, str) else ""


def texts(value: Any) -> list[str]:
    """Return a cell array of strings, or nothing if it is another value."""
    found = listed(value)
    return found if all(isinstance(one, str) for one in found) else []


def floats(value: Any, most: int = 16) -> list[float]:
    """Return a short array of numbers in MATLAB's order, or nothing if it is another value."""
    if not isinstance(value, Numbers) or value.count > most or value.dtype.kind not in "fiub":
        return []
    found = [float(one) for one in value.load().ravel("F")]
    return found if np.isfinite(found).all() else []
