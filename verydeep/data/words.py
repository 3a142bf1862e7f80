"""How people write down splits and boxes, and what is made of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from verydeep.data.samples import Box
from verydeep.errors import DataError

SPLITS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
"""What people call splits, and what they are called here."""

ORDER = ("train", "val", "test", "all")
"""``all`` are pictures that nothing divides."""

Corners = tuple[float, float, float, float]


def corners(values: Sequence[object], place: str) -> Corners:
    """Return the four numbers of a box.

    Raises:
        DataError: They are not four, or no numbers.
    """
    try:
        x0, y0, x1, y1 = map(float, values)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{place}: a box must be four numbers, got {list(values)} instead"
        ) from error
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise DataError(f"{place}: a box must be four finite numbers, got {list(values)}")
    return x0, y0, x1, y1


def box_or_none(x0: float, y0: float, x1: float, y1: float) -> Box | None:
    """Return a box, or None if it is empty, as a few are in well-known data sets."""
    return Box(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None
