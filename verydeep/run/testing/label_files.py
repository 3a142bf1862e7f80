"""Output files of a multi-label test, for further statistics.

``posteriors.csv`` has a line per image: its true and predicted labels, separated by ``|``, and the
probability of every class. ``classes.csv`` has a line per class, ``precision_recall.csv`` the curve
of every class.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from verydeep.evaluation.label_metrics import (
    average_precision_11,
    average_precisions,
    counts_of,
    f1_of,
    precision_recall,
)
from verydeep.evaluation.multi_label import LabelAnswers, MultiLabelResult, joined_names
from verydeep.system.csv_text import digits, write_csv


def write_labels(result: MultiLabelResult, folder: Path) -> None:
    """Write the tables of a test, besides ``result.json``."""
    answers = result.answers
    tables = {
        "posteriors.csv": _posterior_rows(answers),
        "classes.csv": _class_rows(answers),
        "precision_recall.csv": _curve_rows(answers),
    }
    for name, rows in tables.items():
        write_csv(folder / name, rows)


def _posterior_rows(answers: LabelAnswers) -> Iterable[Sequence[Any]]:
    yield ("file", "labels", "predicted", *answers.classes)
    rows = zip(answers.names, answers.truth, answers.predicted, answers.posteriors, strict=True)
    for name, true, found, likely in rows:
        labels = (joined_names(answers.classes, which) for which in (true, found))
        # Nine digits represent a float32 exactly.
        yield (name, *labels, *(digits(value, ".9g") for value in likely.tolist()))


def _class_rows(answers: LabelAnswers) -> Iterable[Sequence[Any]]:
    yield (
        *("class", "images", "predicted", "right", "threshold", "average_precision"),
        *("voc2007_average_precision", "precision", "recall", "f1"),
    )
    counts = counts_of(answers.predicted, answers.truth)
    with np.errstate(invalid="ignore"):
        shares = counts[0] / counts[1:].astype(np.float64)
    precisions, f1 = average_precisions(answers.posteriors, answers.truth), f1_of(counts)
    for label, name in enumerate(answers.classes):
        right, found, true = counts[:, label].tolist()
        older = average_precision_11(answers.posteriors[:, label], answers.truth[:, label])
        measures = (precisions[label], older, *shares[:, label], f1[label])
        percents = ("" if np.isnan(value) else digits(100 * value, ".6f") for value in measures)
        yield (name, true, found, right, digits(answers.thresholds[label], ".6f"), *percents)


def _curve_rows(answers: LabelAnswers) -> Iterable[Sequence[Any]]:
    yield ("class", "threshold", "precision", "recall")
    for label, name in enumerate(answers.classes):
        scores, true = answers.posteriors[:, label], answers.truth[:, label]
        if not true.any():
            continue
        curve = zip(np.unique(scores)[::-1], *precision_recall(scores, true), strict=True)
        for threshold, precision, recall in curve:
            values = zip((threshold, precision, recall), (".9g", ".6f", ".6f"), strict=True)
            yield (name, *(digits(float(value), form) for value, form in values))
