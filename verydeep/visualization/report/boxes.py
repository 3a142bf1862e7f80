"""Localization results: overlaps, errors by class, and baselines that ignore the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from verydeep.evaluation.metrics import has_top5
from verydeep.evaluation.significance import wilson_interval
from verydeep.localization.protocol import CORRECT_ABOVE
from verydeep.localization.verdict import baseline_title
from verydeep.visualization.plots.svg import Plot, linear

if TYPE_CHECKING:
    from verydeep.localization.result import LocatedSample

BINS = 20
"""Bins of the overlap histogram."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True)
class Compared:
    """Result of the net or of a baseline that ignores the image.

    Attributes:
        name: Display name.
        error: Images with a wrong box, in percent.
        mean_iou: Mean overlap, 0 to 1.
        own: Whether it is the net.
    """

    name: str
    error: float
    mean_iou: float
    own: bool


@dataclass(frozen=True, slots=True)
class BoxRow:
    """Localization result of one class.

    Attributes:
        name: Display name of the class.
        images: Number of images.
        wrong: Images with a wrong box.
        error: Their share, in percent.
        interval: 95 % interval of the error (Wilson), in percent.
        mean_iou: Mean overlap, 0 to 1.
    """

    name: str
    images: int
    wrong: int
    error: float
    interval: tuple[float, float]
    mean_iou: float


def compared(test: Mapping[str, Any]) -> list[Compared]:
    """Return the results of the net and of the baselines in ``metrics.json``."""
    own = Compared("this net", test["true_class_error"], test["mean_iou"], own=True)
    return [
        own,
        *(
            Compared(
                baseline_title(name),
                found["error"],
                found["mean_iou"],
                own=False,
            )
            for name, found in test["baselines"].items()
        ),
    ]


@dataclass(frozen=True, slots=True)
class GuessError:
    """Error if any of several guesses may be right.

    Attributes:
        name: Description of the guesses.
        error: Images where no guess has the right class and box, in percent.
        interval: 95 % interval of the error (Wilson), in percent.
        class_error: Images where no guess has the right class, in percent; None if it is given.
    """

    name: str
    error: float
    interval: tuple[float, float]
    class_error: float | None


def guess_errors(test: Mapping[str, Any]) -> list[GuessError]:
    """Return the errors by guesses; none for the central crop, where the class is given."""
    if test["protocol"] == "center":
        return []
    keys = {
        "the true class (given)": ("true_class", None),
        # With five classes or fewer, one of the top 5 is always the true one.
        f"top {min(5, test['top'])}": ("localization", "top5_error" if has_top5(test) else None),
        "top 1": ("top1_localization", "top1_error"),
    }
    return [
        GuessError(
            name,
            test[f"{error}_error"],
            test[f"{error}_interval"],
            test[class_error] if class_error else None,
        )
        for name, (error, class_error) in keys.items()
    ]


def quantiles(answers: Sequence[LocatedSample]) -> list[tuple[float, float]]:
    """Return pairs of a share of the images and the overlap that this share does not exceed."""
    overlaps = [answer.overlap for answer in answers]
    return [(share, float(np.quantile(overlaps, share))) for share in QUANTILES]


def histogram(answers: Sequence[LocatedSample]) -> str:
    """Return a histogram of the overlap as SVG; found objects have their own colour."""
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
        f"Histogram of the overlap of {len(overlaps):,} images: {right:,} are above 0.5 and count "
        f"as found; the median is {np.median(overlaps):.2f}."
    )


def box_rows(answers: Sequence[LocatedSample], titles: Sequence[str]) -> list[BoxRow]:
    """Return the results by class, sorted by descending error, then by ascending overlap.

    Classes without images are left out.
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
