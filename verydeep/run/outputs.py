"""The files of a test: what people need for their own statistics, and pictures of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from verydeep.evaluation.calibration import BINS, Bin, reliability, temper
from verydeep.evaluation.confusion import ClassErrors, class_errors, confusion_matrix
from verydeep.evaluation.result import Answers, Result
from verydeep.evaluation.table import Table
from verydeep.files import write_json, write_text
from verydeep.insight.confusion import draw_confusion
from verydeep.insight.drawing import save_picture
from verydeep.insight.reliability import draw_reliability


def write_result(result: Result, folder: Path) -> None:
    """Write all that is known of a test.

    ``result.json``; ``posteriors.csv``, a line a picture; ``classes.csv``, the errors of every
    class; ``confusion.csv`` and ``.png``; ``reliability.csv`` and ``.png``.
    """
    write_json(folder / "result.json", result.to_dict())
    answers = result.answers
    _write_csv(folder / "posteriors.csv", _posterior_rows(answers))
    _write_classes(answers, folder)
    _write_reliability(result, folder)


def write_table(table: Table, folder: Path) -> None:
    """Write the table of all protocols, and each of its tests to a folder named by its letter."""
    write_json(folder / "result.json", table.to_dict())
    for row in table.rows:
        write_result(row.result, folder / row.letter)


def _posterior_rows(answers: Answers) -> Iterable[Sequence[Any]]:
    yield ("file", "class", "likeliest", *answers.classes)
    guesses = answers.guesses.tolist()
    for name, label, guess, likely in zip(
        answers.names, answers.labels.tolist(), guesses, answers.posteriors, strict=True
    ):
        # Nine digits say a float32 exactly.
        digits = (f"{value:.9g}" for value in likely.tolist())
        yield (name, answers.classes[label], answers.classes[guess], *digits)


def _write_classes(answers: Answers, folder: Path) -> None:
    confusion = confusion_matrix(answers.posteriors, answers.labels)
    errors = class_errors(confusion, answers.classes)
    head = [*(part.name for part in fields(ClassErrors)), "of_them"]
    rows = ((*astuple(e)[:-1], *(e.mostly_taken_for or ("", ""))) for e in errors)
    _write_csv(folder / "classes.csv", [head, *rows])
    counts = zip(answers.classes, confusion.tolist(), strict=True)
    table = [(name, *row) for name, row in counts]
    _write_csv(folder / "confusion.csv", [("true class", *answers.classes), *table])
    save_picture(draw_confusion(confusion, answers.classes), folder / "confusion.png")


def _write_reliability(result: Result, folder: Path) -> None:
    answers = result.answers
    curves = {"as measured": reliability(answers.posteriors, answers.labels, BINS)}
    if result.calibrated:
        temperature = result.calibrated["temperature"]
        tempered = temper(answers.posteriors, temperature)
        name = f"at temperature {temperature:.3f}"
        curves[name] = reliability(tempered, answers.labels, BINS)
    head = ("curve", *(part.name for part in fields(Bin)))
    rows = [(name, *astuple(part)) for name, bins in curves.items() for part in bins]
    _write_csv(folder / "reliability.csv", [head, *rows])
    save_picture(draw_reliability(curves), folder / "reliability.png")


def _write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())
