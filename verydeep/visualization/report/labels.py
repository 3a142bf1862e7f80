"""Multi-label test on the report: classes, precision and recall, and example images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verydeep.evaluation.label_log import LabelRecord
from verydeep.evaluation.label_metrics import (
    average_precisions,
    counts_of,
    f1_of,
    mean_of_known,
    precision_recall,
)
from verydeep.evaluation.thresholds import USUAL
from verydeep.visualization.plots.svg import Plot, linear
from verydeep.visualization.report.gallery import SHOWN, GetThumbnail, Thumbnail

CURVES = 6
"""Maximum number of precision–recall curves."""


@dataclass(frozen=True, slots=True)
class LabelRow:
    """Result of one class; all but the counts in percent, NaN if undefined.

    Attributes:
        name: Display name of the class.
        average_precision: Average precision.
        images: Images that have the class.
        predicted: Images that it is predicted for.
        threshold: Threshold of its probability.
        precision: Share of the predicted images that have it.
        recall: Share of the images that have it that it is predicted for.
        f1: F1 at the threshold.
    """

    name: str
    average_precision: float
    images: int
    predicted: int
    threshold: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Labelled:
    """An image with its true and predicted labels.

    Attributes:
        file: File name.
        true: Names of its classes.
        predicted: Names of the predicted classes.
        subject: The class that the image is shown for.
        probability: Its probability, in percent.
        thumbnail: The image.
    """

    file: str
    true: tuple[str, ...]
    predicted: tuple[str, ...]
    subject: str
    probability: float
    thumbnail: Thumbnail

    @property
    def alt(self) -> str:
        """True and predicted labels."""
        names = [", ".join(some) or "none" for some in (self.true, self.predicted)]
        return f"labels: {names[0]}; predicted: {names[1]}"


def label_parts(
    record: LabelRecord,
    titles: Sequence[str],
    test: Mapping[str, Any],
    thumbnail_of: GetThumbnail,
    limits: np.ndarray[Any, Any] | None = None,
) -> dict[str, Any]:
    """Return the template variables of a multi-label test.

    Args:
        record: Answers.
        titles: Display names of the classes.
        test: Metrics, as in ``metrics.json``.
        thumbnail_of: Returns thumbnails.
        limits: Thresholds of the classes, (K,), or for each image, (N, K); None takes those of
            the metrics.
    """
    known = test.get("thresholds") or {}
    if limits is None:
        limits = np.array([known.get(name, USUAL) for name in record.classes])
    predicted = record.posteriors >= limits
    rows = label_rows(record, titles, limits)
    groups = {
        "added": _worst(record, predicted & ~record.truth, record.posteriors - limits),
        "missed": _worst(record, record.truth & ~predicted, limits - record.posteriors),
    }
    shown = {
        name: [_labelled(record, predicted, titles, *pair, thumbnail_of) for pair in pairs]
        for name, pairs in groups.items()
    }
    measured = 100 * mean_of_known(average_precisions(record.posteriors, record.truth))
    same = len(record.names) == test["images"]
    told = test["mean_average_precision"]
    agree = told is None or abs(measured - told) < 1e-3
    again = None if same and agree else measured
    return {
        "images": len(record.names),
        "again": again,
        "exact": int((predicted == record.truth).all(1).sum()),
        "classes": rows,
        "curves": curves(record, titles, limits),
        "groups": shown,
        "gone": any(shown.values())
        and all(item.thumbnail.fault for group in shown.values() for item in group),
    }


def label_rows(
    record: LabelRecord, titles: Sequence[str], limits: np.ndarray[Any, Any]
) -> list[LabelRow]:
    """Return the results by class, lowest average precision first, undefined ones last.

    Of thresholds for each image, the mean is shown.
    """
    shown = limits.reshape(-1, len(record.classes)).mean(0)
    counts = counts_of(record.posteriors >= limits, record.truth)
    with np.errstate(invalid="ignore"):
        shares = 100 * counts[0] / counts[1:].astype(np.float64)
    precisions = 100 * average_precisions(record.posteriors, record.truth)
    columns = (precisions, counts[2], counts[1], shown, shares[0], shares[1], 100 * f1_of(counts))
    rows = [
        LabelRow(title, *values)
        for title, *values in zip(titles, *(column.tolist() for column in columns), strict=True)
    ]
    return sorted(
        rows,
        key=lambda row: (np.isnan(row.average_precision), row.average_precision, -row.images),
    )


def curves(
    record: LabelRecord, titles: Sequence[str], limits: np.ndarray[Any, Any]
) -> list[tuple[str, str]]:
    """Return titles and SVGs of precision over recall, from the worst class to the best.

    With many classes, some are taken at equal steps of the ranking.
    """
    precisions = average_precisions(record.posteriors, record.truth)
    ranked = [label for label in np.argsort(precisions).tolist() if record.truth[:, label].any()]
    steps = np.linspace(0, len(ranked) - 1, min(CURVES, len(ranked))).round().astype(int)
    return [
        (titles[label], _curve(record, label, titles[label], limits[..., label], precisions[label]))
        for label in (ranked[step] for step in steps.tolist())
    ]


def _curve(
    record: LabelRecord, label: int, title: str, limit: np.ndarray[Any, Any], average: float
) -> str:
    scores, true = record.posteriors[:, label], record.truth[:, label]
    precision, recall = precision_recall(scores, true)
    plot = Plot(linear(0, 1, "recall"), linear(0, 1, "precision"))
    share = float(true.mean())
    plot.segment((0, share), (1, share), "perfect")
    points = [(0.0, float(precision[0])), *zip(recall.tolist(), precision.tolist(), strict=True)]
    plot.line(points, "validation")
    found = scores >= limit
    at = ""
    if found.any():
        both = float((found & true).sum())
        point = (both / float(true.sum()), both / float(found.sum()))
        plot.ring(point, "validation")
        at = f"; at the threshold precision {point[1]:.2f}, recall {point[0]:.2f}"
    return plot.svg(
        f"Precision over recall of {title}: average precision {100 * average:.1f} %{at}."
    )


def _worst(
    record: LabelRecord, wrong: np.ndarray[Any, Any], margins: np.ndarray[Any, Any]
) -> list[tuple[int, int]]:
    """Return image and class of the wrong decisions with the largest margins, one per image."""
    margins = np.where(wrong, margins, -np.inf)
    best = margins.max(1) if len(record.classes) else np.empty(0)
    order = np.argsort(-best, kind="stable")[:SHOWN].tolist()
    return [(place, int(margins[place].argmax())) for place in order if best[place] > -np.inf]


def _labelled(
    record: LabelRecord,
    predicted: np.ndarray[Any, Any],
    titles: Sequence[str],
    place: int,
    label: int,
    thumbnail_of: Callable[[str], Thumbnail],
) -> Labelled:
    true, found = (
        tuple(titles[k] for k in np.flatnonzero(which[place]).tolist())
        for which in (record.truth, predicted)
    )
    return Labelled(
        record.names[place],
        true,
        found,
        titles[label],
        100 * float(record.posteriors[place, label]),
        thumbnail_of(record.names[place]),
    )
