"""What is kept of a test of boxes: of every image the true boxes and the one that was found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from verydeep.data.geometry import Box
from verydeep.localization.detect import Guess, Located
from verydeep.localization.result import LocatedSample


def located_rows(
    answers: Iterable[LocatedSample], classes: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield plain values of every image: the box found is that of the true class.

    Args:
        answers: What was found.
        classes: Names of the K classes.
    """
    for answer in answers:
        assert answer.located.given is not None
        box = answer.located.given.box
        yield {
            "file": answer.name,
            "class": classes[answer.label],
            "size": list(answer.located.size),
            "boxes": [list(true) for true in answer.boxes],
            "found": None if box is None else list(box),
            "iou": answer.overlap,
        }


def located_from_rows(
    rows: Iterable[Mapping[str, Any]], classes: Sequence[str]
) -> tuple[LocatedSample, ...]:
    """Read back what :func:`located_rows` wrote; overlaps are computed from the boxes.

    Raises:
        KeyError: A column is missing, or a class is not among them.
        ValueError: A value is none of its kind.
        TypeError: Likewise.
    """
    number = {name: label for label, name in enumerate(classes)}
    return tuple(_answer(row, number[row["class"]]) for row in rows)


def _answer(row: Mapping[str, Any], label: int) -> LocatedSample:
    found = None if row["found"] is None else _box(row["found"])
    height, width = (int(side) for side in row["size"])
    boxes = tuple(_box(box) for box in row["boxes"])
    if not boxes:
        raise ValueError("an image without a true box")
    return LocatedSample(
        str(row["file"]),
        label,
        boxes,
        Located((height, width), (), Guess(label, None, found, 0.0)),
    )


def _box(edges: Sequence[float]) -> Box:
    x0, y0, x1, y1 = (float(edge) for edge in edges)
    return Box(x0, y0, x1, y1)
