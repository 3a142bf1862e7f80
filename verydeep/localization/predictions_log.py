"""Log of a box evaluation: true and predicted boxes of every image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from verydeep.data.geometry import Box
from verydeep.localization.detect import Guess, Located
from verydeep.localization.result import LocatedSample


def located_rows(
    answers: Iterable[LocatedSample], classes: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield plain values for every image; ``found`` is the predicted box of the true class.

    Args:
        answers: Images with their predictions.
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
    """Read rows written by :func:`located_rows`; overlaps are recomputed from the boxes.

    Raises:
        KeyError: A column is missing, or a class is unknown.
        ValueError: A value is invalid.
        TypeError: A value has the wrong type.
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
