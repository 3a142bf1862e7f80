"""What the classes are taken for: the matrix, the pairs that are mixed up, the errors of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from verydeep.evaluation.confusion import ClassErrors, count_pairs
from verydeep.evaluation.predictions_log import Record
from verydeep.evaluation.significance import wilson_interval

MOST_IN_MATRIX = 50
"""Classes up to which the matrix is drawn."""

PAIRS = 20
"""Pairs of classes that are listed, at most."""

STRONGEST = 45
"""Share of colour in a cell of 100 %; letters stand out from it."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One of the matrix.

    Attributes:
        count: Images.
        strength: Of its colour, in percent.
    """

    count: int
    strength: int


@dataclass(frozen=True, slots=True)
class ClassRow:
    """How one class fared.

    Attributes:
        name: What people call it.
        errors: Its figures.
        wrong: Its images that were taken for another.
        interval: 95 % interval of its error (Wilson), in percent; None without images.
        taken_for: The class that took most of them, and how many; None if none did.
    """

    name: str
    errors: ClassErrors
    wrong: int
    interval: tuple[float, float] | None
    taken_for: tuple[str, int] | None


def matrix(record: Record) -> list[list[Cell]] | None:
    """Return the confusion matrix, true classes by rows; None if it is too large to be read."""
    classes = len(record.classes)
    if classes > MOST_IN_MATRIX:
        return None
    counts = count_pairs(record.labels, record.guesses[:, 0], classes).tolist()
    return [
        [Cell(count, -(-STRONGEST * count // sum(row)) if count else 0) for count in row]
        for row in counts
    ]


def pairs(record: Record, titles: Sequence[str]) -> list[tuple[str, str, int]]:
    """Return the pairs that are most often mixed up: true class, taken for, how often."""
    return [
        (titles[true], titles[guess], count)
        for true, guess, count in record.mistaken_pairs()[:PAIRS]
    ]


def class_rows(record: Record, titles: Sequence[str]) -> list[ClassRow]:
    """Return how every class fared, that with the largest error first.

    Of classes with the same error that with more images comes first; classes without images
    come last.
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
