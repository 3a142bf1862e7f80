"""Error among the answered images, and coverage of the sets of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verydeep.evaluation.abstention.conformal import class_coverage
from verydeep.evaluation.abstention.selective import RiskCoverage, risk_coverage
from verydeep.evaluation.predictions_log import Decided, Record
from verydeep.evaluation.significance import wilson_interval
from verydeep.system.summary import percent
from verydeep.visualization.plots.svg import Plot, linear

MOST_POINTS = 500
"""Largest number of points of the curve."""

FEWEST = 10
"""Answered images below which the error jumps too much to be drawn."""


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """Sets of the images of one class.

    Attributes:
        name: Display name.
        images: Number of images.
        covered: Share whose set contains the class, in percent.
        size: Mean number of classes in their sets.
    """

    name: str
    images: int
    covered: float
    size: float


@dataclass(frozen=True, slots=True)
class AbstentionParts:
    """The curve, the chosen point and the sets.

    Attributes:
        plot: Error of the answered against their share, as SVG.
        summary: The curve in words.
        chosen: True if the model has learned to abstain, and its point is drawn.
        sets: The sets in words; empty without.
        coverage: Coverage by class, lowest first; empty without sets.
    """

    plot: str
    summary: str
    chosen: bool
    sets: str
    coverage: tuple[CoverageRow, ...]


def abstention(
    record: Record, titles: Sequence[str], learned: Mapping[str, Any] | None = None
) -> AbstentionParts:
    """Return how the error falls if only the most confident images are answered.

    Args:
        record: Predictions; with decisions if the model has learned to abstain.
        titles: Display names of the classes.
        learned: Measured abstention, as in the metrics of a test, which tells why images are
            refused; None if that is not known.
    """
    decided = record.decided
    confidence = decided.confidence if decided else record.confidences[:, 0]
    curve = risk_coverage(confidence, record.wrong)
    chosen = _chosen(record, decided)
    summary = " ".join([_falls(curve), *_in_words(record, decided, learned or {})])
    rows = _rows(record, decided, titles)
    sets = _sets(decided) if decided else ""
    plot = _plot(curve, chosen, summary)
    return AbstentionParts(plot, summary, chosen is not None, sets, rows)


def _chosen(record: Record, decided: Decided | None) -> tuple[float, float] | None:
    """Return share and error of the answered, in percent."""
    if decided is None or decided.answered is None or not decided.answered.any():
        return None
    given = record.wrong[decided.answered]
    return 100 * float(decided.answered.mean()), 100 * float(given.mean())


def _falls(curve: RiskCoverage) -> str:
    half = min(int(np.searchsorted(curve.coverage, 50)), len(curve.error) - 1)
    # Images that are equally sure are answered together, so no threshold may give one half.
    share = curve.coverage[half]
    part = "half" if round(share) == 50 else f"{share:.0f} %"
    return (
        f"All images answered, the error is {percent(curve.error[-1])}; of the more confident "
        f"{part}, {percent(curve.error[half])}."
    )


def _in_words(record: Record, decided: Decided | None, learned: Mapping[str, Any]) -> Sequence[str]:
    """Return what the model has learned gives, in at most two sentences."""
    if decided is None or decided.answered is None:
        return ()
    given = record.wrong[decided.answered]
    if not len(given):
        return ("The model abstains from all of these images.",)
    low, high = wilson_interval(int(given.sum()), len(given))
    return (
        f"The model answers {100 * decided.answered.mean():.1f} % of these images and is wrong on "
        f"{percent(100 * given.mean())} of them (95 % interval {low:.1f} to {high:.1f}).",
        *_refused(learned),
    )


_REFUSED = {
    "threshold": "images below its threshold",
    "unlike": "images unlike the training images",
}
"""Kinds of refused images, by the key that metrics have if the model refuses them."""


def _refused(learned: Mapping[str, Any]) -> Sequence[str]:
    kinds = [words for key, words in _REFUSED.items() if learned.get(key) is not None]
    return (f"It abstains from {' and from '.join(kinds)}.",) if kinds else ()


def _plot(curve: RiskCoverage, chosen: tuple[float, float] | None, summary: str) -> str:
    drawn = np.flatnonzero(curve.answered >= min(FEWEST, curve.images))
    drawn = drawn[np.unique(np.linspace(0, len(drawn) - 1, MOST_POINTS).astype(int))]
    points = list(zip(curve.coverage[drawn].tolist(), curve.error[drawn].tolist(), strict=True))
    top = max([y for _, y in points] + [chosen[1] if chosen else 0.0, 1.0])
    plot = Plot(linear(0, 100, "answered (%)"), linear(0, top, "error of the answered (%)"))
    plot.line(points, "measured")
    if chosen:
        plot.segment((chosen[0], 0), chosen, "chosen")
        plot.spot(chosen, "chosen")
    return plot.svg(f"Risk-coverage curve. {summary}")


def _sets(decided: Decided) -> str:
    if decided.covered is None or decided.sizes is None:
        return ""
    low, high = wilson_interval(int(decided.covered.sum()), len(decided.covered))
    return (
        f"The sets of classes contain the true class for {100 * decided.covered.mean():.1f} % of "
        f"the images (95 % interval {low:.1f} to {high:.1f}), with {decided.sizes.mean():.2f} "
        "classes on average. What they promise is an average over all classes, so some are covered "
        "less often."
    )


def _rows(
    record: Record, decided: Decided | None, titles: Sequence[str]
) -> tuple[CoverageRow, ...]:
    if decided is None or decided.covered is None or decided.sizes is None:
        return ()
    count = len(record.classes)
    covered = class_coverage(decided.covered, record.labels, count)
    images = np.bincount(record.labels, minlength=count)
    sizes = np.bincount(record.labels, decided.sizes, count)
    rows = (
        CoverageRow(titles[k], int(images[k]), float(covered[k]), float(sizes[k] / images[k]))
        for k in np.flatnonzero(images).tolist()
    )
    return tuple(sorted(rows, key=lambda row: row.covered))
