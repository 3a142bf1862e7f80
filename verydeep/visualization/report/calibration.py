"""Calibration: the reliability diagram and its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from verydeep.evaluation.calibration import Bin, Range, ranges
from verydeep.visualization.plots.svg import Plot, linear


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibration in drawings and numbers.

    Attributes:
        plots: Accuracy against confidence, and the number of images in each bin, as SVG.
        ranges: Bins that contain images.
        error: Expected calibration error, in percent.
        summary: The error in words, and whether the net is overconfident or underconfident.
    """

    plots: tuple[str, str]
    ranges: tuple[Range, ...]
    error: float
    summary: str


def calibration(bins: Sequence[Bin], chance: float | None = None) -> Calibration:
    """Return the calibration of a net's probabilities.

    Args:
        bins: Bins of equal width, at least one with images.
        chance: Calibration error, in points, that a perfectly calibrated net would have by chance
            on this number of images.
    """
    filled = ranges(bins)
    images = sum(part.bin.images for part in filled)
    gaps = [(r.bin.confidence - r.bin.accuracy) * r.bin.images / images for r in filled]
    error = 100 * sum(map(abs, gaps))
    excess = 100 * sum(gaps)
    direction = "overconfident" if excess > 0 else "underconfident"
    summary = f"The net is {direction} by {abs(excess):.1f} points on average. "
    summary += f"Its expected calibration error is {error:.1f} points"
    if chance is not None:
        summary += f"; perfect calibration would give {chance:.1f} points on {images:,} images"
    plots = (_accuracies(filled, f"{summary}."), _counts(bins))
    return Calibration(plots, filled, error, f"{summary}.")


def _accuracies(filled: Sequence[Range], summary: str) -> str:
    plot = Plot(linear(0, 100, "confidence (%)"), linear(0, 100, "accuracy (%)"))
    plot.segment((0, 0), (100, 100), "perfect")
    points = [(100 * part.bin.confidence, 100 * part.bin.accuracy) for part in filled]
    for (x, _), part in zip(points, filled, strict=True):
        plot.segment((x, part.interval[0]), (x, part.interval[1]), "interval")
    plot.line(points, "measured")
    for point in points:
        plot.spot(point, "measured")
    return plot.svg(f"Reliability diagram. {summary}")


def _counts(bins: Sequence[Bin]) -> str:
    most = max(part.images for part in bins)
    plot = Plot(linear(0, 100, "confidence (%)"), linear(0, most, "images", whole=True))
    for part in bins:
        if part.images:
            plot.bar(100 * part.low, 100 * part.high, part.images, "measured")
    last = bins[-1]
    return plot.svg(
        f"Histogram of the confidence. Of {sum(part.images for part in bins):,} images, "
        f"{last.images:,} are classified with more than {100 * last.low:.0f} percent."
    )
