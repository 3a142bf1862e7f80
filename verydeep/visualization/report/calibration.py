"""Whether probabilities mean what they say: the reliability diagram and its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from verydeep.evaluation.calibration import Bin, Range, ranges
from verydeep.visualization.plots.svg import Plot, linear


@dataclass(frozen=True, slots=True)
class Calibration:
    """Reliability, drawn and in numbers.

    Attributes:
        plots: Accuracy over confidence, and the images in each range, as SVG.
        ranges: Those with images.
        error: Mean distance of confidence and accuracy over the images, in percent.
        words: Whether the net is too sure or too unsure.
    """

    plots: tuple[str, str]
    ranges: tuple[Range, ...]
    error: float
    words: str


def calibration(bins: Sequence[Bin], chance: float | None = None) -> Calibration:
    """Return how reliable probabilities are.

    Args:
        bins: Of equal width; at least one with images.
        chance: Points that confidence and accuracy of a perfectly calibrated net are apart on
            average, on so many images.
    """
    found = ranges(bins)
    images = sum(part.bin.images for part in found)
    gaps = [(r.bin.confidence - r.bin.accuracy) * r.bin.images / images for r in found]
    error = 100 * sum(map(abs, gaps))
    surer = 100 * sum(gaps)
    how = "too sure" if surer > 0 else "too unsure"
    by_chance = _by_chance(chance, images)
    words = (
        f"Confidence and accuracy are {error:.1f} points apart on average{by_chance}. "
        f"Over all images the net is {how} of itself by {abs(surer):.1f} points."
    )
    plots = (_accuracies(found, words), _counts(bins))
    return Calibration(plots, found, error, words)


def _by_chance(chance: float | None, images: int) -> str:
    if chance is None:
        return ""
    return f", {chance:.1f} points if the net were perfectly calibrated, on {images:,} images"


def _accuracies(found: Sequence[Range], words: str) -> str:
    plot = Plot(linear(0, 100, "probability of the likeliest (%)"), linear(0, 100, "right (%)"))
    plot.segment((0, 0), (100, 100), "perfect")
    points = [(100 * part.bin.confidence, 100 * part.bin.accuracy) for part in found]
    for (x, _), part in zip(points, found, strict=True):
        plot.segment((x, part.interval[0]), (x, part.interval[1]), "interval")
    plot.line(points, "measured")
    for point in points:
        plot.spot(point, "measured")
    return plot.svg(f"Reliability diagram. {words}")


def _counts(bins: Sequence[Bin]) -> str:
    most = max(part.images for part in bins)
    plot = Plot(
        linear(0, 100, "probability of the likeliest (%)"), linear(0, most, "images", whole=True)
    )
    for part in bins:
        if part.images:
            plot.bar(100 * part.low, 100 * part.high, part.images, "measured")
    sure = bins[-1]
    return plot.svg(
        f"How sure the net is. Of {sum(part.images for part in bins):,} images, {sure.images:,} "
        f"have a likeliest class of more than {100 * sure.low:.0f} percent."
    )
