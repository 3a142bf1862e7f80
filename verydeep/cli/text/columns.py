"""Text columns."""

from __future__ import annotations

from collections.abc import Sequence

Cells = Sequence[str]


def align(rows: Sequence[Cells], left: int = 1) -> str:
    """Return rows as columns: the first ``left`` aligned left, the others right.

    >>> print(align([("net", "layers"), ("A", "11")]))
    net  layers
    A        11
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
