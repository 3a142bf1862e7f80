"""How well boxes were found: overlaps, by class, beside boxes that know nothing of the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verydeep.evaluation.metrics import has_top5
from verydeep.evaluation.significance import wilson_interval
from verydeep.localization.head import CORRECT_ABOVE
from verydeep.localization.result import LocatedSample
from verydeep.visualization.plots.svg import Plot, linear

BINS = 20
"""Ranges of overlap that are counted."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True)
class Compared:
    """The net or a box that knows nothing of the image.

    Attributes:
        name: What it is.
        error: Images whose box is wrong, in percent.
        mean_iou: Mean overlap, 0 to 1.
        own: Whether it is the net.
    """

    name: str
    error: float
    mean_iou: float
    own: bool


@dataclass(frozen=True, slots=True)
class BoxRow:
    """How the objects of one class were found.

    Attributes:
        name: What people call it.
        images: Images.
        wrong: Those whose box is wrong.
        error: Their share, in percent.
        interval: 95 % interval of that (Wilson), in percent.
        mean_iou: Mean overlap, 0 to 1.
    """

    name: str
    images: int
    wrong: int
    error: float
    interval: tuple[float, float]
    mean_iou: float


def compared(test: Mapping[str, Any]) -> list[Compared]:
    """Return the net and the baselines of a test, as ``metrics.json`` has them."""
    own = Compared("this net", test["true_class_error"], test["mean_iou"], own=True)
    return [
        own,
        *(
            Compared(
                name.replace("_", " ").replace("picture", "image"),
                found["error"],
                found["mean_iou"],
                own=False,
            )
            for name, found in test["baselines"].items()
        ),
    ]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wrong of the images if so much is asked of their first guesses.

    Attributes:
        name: Which guesses, in words.
        error: Images of which none of them is right together with its box, in percent.
        interval: 95 % interval of that (Wilson), in percent.
        class_error: Images of which none names the class, in percent; None if it is told.
    """

    name: str
    error: float
    interval: tuple[float, float]
    class_error: float | None


def asked(test: Mapping[str, Any]) -> list[Asked]:
    """Return the errors by what is asked for; none of the central crop, where the class is told."""
    if test["protocol"] == "center":
        return []
    keys = {
        "the true class, which is told": ("true_class", None),
        f"one of the {min(5, test['top'])} likeliest classes": ("localization", "top5_error"),
        "the likeliest class": ("top1_localization", "top1_error"),
    }
    # With five classes or fewer, one of the five likeliest is always the true one.
    told = None if has_top5(test) else "top5_error"
    return [
        Asked(
            name,
            test[f"{error}_error"],
            test[f"{error}_interval"],
            test[alone] if alone not in (None, told) else None,
        )
        for name, (error, alone) in keys.items()
    ]


def quantiles(answers: Sequence[LocatedSample]) -> list[tuple[float, float]]:
    """Return shares of the images, and the overlap that so many of them do not exceed."""
    overlaps = [answer.overlap for answer in answers]
    return [(share, float(np.quantile(overlaps, share))) for share in QUANTILES]


def histogram(answers: Sequence[LocatedSample]) -> str:
    """Return how many images have which overlap, as SVG; those that count as found stand out."""
    overlaps = [answer.overlap for answer in answers]
    counts, edges = np.histogram(overlaps, BINS, (0.0, 1.0))
    plot = Plot(
        linear(0, 1, "overlap with a true box (IoU)"),
        linear(0, float(counts.max()), "images", whole=True),
    )
    for count, low, high in zip(counts.tolist(), edges, edges[1:], strict=False):
        if count:
            plot.bar(low, high, count, "missed" if high <= CORRECT_ABOVE + 1e-9 else "measured")
    plot.upright(CORRECT_ABOVE, "drop", "found")
    right = sum(overlap > CORRECT_ABOVE for overlap in overlaps)
    return plot.svg(
        f"Histogram of the overlap of {len(overlaps):,} images: {right:,} above one half, which "
        f"count as found; half of all have {np.median(overlaps):.2f} or more."
    )


def box_rows(answers: Sequence[LocatedSample], titles: Sequence[str]) -> list[BoxRow]:
    """Return how the objects of every class were found, the largest error first.

    Of classes with the same error that with the smaller overlap comes first. Classes without
    images are left out.
    """
    by_class: dict[int, list[float]] = {}
    for answer in answers:
        by_class.setdefault(answer.label, []).append(answer.overlap)
    rows = [_row(titles[label], overlaps) for label, overlaps in sorted(by_class.items())]
    return sorted(rows, key=lambda row: (-row.error, row.mean_iou))


def _row(name: str, overlaps: Sequence[float]) -> BoxRow:
    wrong = sum(overlap <= CORRECT_ABOVE for overlap in overlaps)
    return BoxRow(
        name,
        len(overlaps),
        wrong,
        100 * wrong / len(overlaps),
        wilson_interval(wrong, len(overlaps)),
        sum(overlaps) / len(overlaps),
    )
