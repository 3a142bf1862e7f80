"""Boxes as annotation files write them, checked and converted."""

from __future__ import annotations

import math
from collections.abc import Sequence

from verydeep.data.geometry import Box
from verydeep.errors import DataError, shortened

Corners = tuple[float, float, float, float]


def corners(values: Sequence[object], place: str) -> Corners:
    """Return the four numbers of a box.

    Raises:
        DataError: There are not four values, or one is not a finite number.
    """
    try:
        x0, y0, x1, y1 = map(float, values)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{place}: a box must be four numbers, got {shortened(list(values))} instead"
        ) from error
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise DataError(
            f"{place}: a box must be four finite numbers, got {shortened(list(values))}"
        )
    return x0, y0, x1, y1


def box_or_none(
    x0: float, y0: float, x1: float, y1: float, notes: list[str] | None = None
) -> Box | None:
    """Return a box, or None if it is empty, as a few in well-known data sets are.

    Args:
        x0: Left edge.
        y0: Upper edge.
        x1: First column outside.
        y1: First row outside.
        notes: Receives a note on a box that is empty.
    """
    if x0 < x1 and y0 < y1:
        return Box(x0, y0, x1, y1)
    if notes is not None:
        notes.append(f"box {span(x0, y0, x1, y1)} is empty: training ignores it")
    return None


def span(x0: float, y0: float, x1: float, y1: float) -> str:
    """Return two corners formatted for messages.

    >>> span(0, 0.5, 40, 30)
    '(0, 0.5) to (40, 30)'
    """
    return f"({x0:g}, {y0:g}) to ({x1:g}, {y1:g})"
