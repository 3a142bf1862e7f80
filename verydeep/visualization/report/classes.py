"""Errors by class: the confusion matrix, the most confused pairs, and a table of all classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from verydeep.evaluation.confusion import ClassErrors, count_pairs
from verydeep.evaluation.predictions_log import Record
from verydeep.evaluation.significance import wilson_interval

MOST_IN_MATRIX = 50
"""Largest number of classes for which the matrix is shown."""

PAIRS = 20
"""Maximum number of listed pairs."""

STRONGEST = 45
"""Share of colour, in percent, in a cell of 100 %; low enough for text to stand out."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Cell of the confusion matrix.

    Attributes:
        count: Number of images.
        strength: Strength of the colour, in percent.
    """

    count: int
    strength: int


@dataclass(frozen=True, slots=True)
class ClassRow:
    """Result of one class.

    Attributes:
        name: Display name of the class.
        errors: Metrics of the class.
        wrong: Misclassified images.
        interval: 95 % interval of the error (Wilson), in percent; None without images.
        most_common_error: The class most often predicted instead, and its count; None if none.
    """

    name: str
    errors: ClassErrors
    wrong: int
    interval: tuple[float, float] | None
    most_common_error: tuple[str, int] | None


def matrix(record: Record) -> list[list[Cell]] | None:
    """Return the confusion matrix, true classes in rows; None if it is too large to read."""
    classes = len(record.classes)
    if classes > MOST_IN_MATRIX:
        return None
    counts = count_pairs(record.labels, record.guesses[:, 0], classes).tolist()
    return [
        [Cell(count, -(-STRONGEST * count // sum(row)) if count else 0) for count in row]
        for row in counts
    ]


def pairs(record: Record, titles: Sequence[str]) -> list[tuple[str, str, int]]:
    """Return the most confused pairs as (true class, predicted class, count)."""
    return [
        (titles[true], titles[guess], count)
        for true, guess, count in record.mistaken_pairs()[:PAIRS]
    ]


def class_rows(record: Record, titles: Sequence[str]) -> list[ClassRow]:
    """Return the results by class, sorted by descending error, then by descending images.

    Classes without images come last.
    """
    title = dict(zip(record.classes, titles, strict=True))
    rows = [_row(errors, title) for errors in record.class_errors()]
    return sorted(
        rows,
        key=lambda row: (
            -row.errors.top1_error if row.errors.images else 1.0,
            -row.errors.images,
        ),
    )


def _row(errors: ClassErrors, title: dict[str, str]) -> ClassRow:
    wrong = round(errors.images * errors.top1_error / 100) if errors.images else 0
    other = errors.mostly_taken_for
    return ClassRow(
        title[errors.name],
        errors,
        wrong,
        wilson_interval(wrong, errors.images) if errors.images else None,
        (title[other[0]], other[1]) if other else None,
    )
