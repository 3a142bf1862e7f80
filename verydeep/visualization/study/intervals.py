"""Drawing of a comparison: its interval, the paper's difference, and where the claim is true."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from verydeep.study.claim import Comparison
from verydeep.study.verdicts import Judged
from verydeep.study.wording import claimed, found, signed
from verydeep.visualization.plots.svg import Axis, element, label_at, linear

WIDTH, HEIGHT, SIDE = 360, 62, 14
"""Size of a drawing, and its margins left and right, in SVG units."""

MIDDLE, BASE = 22, 38
"""Heights of the interval and of the axis."""


def draw_comparisons(judged: Sequence[Judged]) -> list[str]:
    """Return a drawing for each comparison of a claim, all on one axis."""
    axis = _axis(judged)
    return [_draw(one, axis) for one in judged]


def _axis(judged: Sequence[Judged]) -> Axis:
    """Return an axis of points that is as long on either side of 0."""
    values = [1.0]
    for one in judged:
        values += [abs(one.comparison.expected or 0), one.comparison.margin]
        values += map(abs, one.measured.interval) if one.measured else ()
    most = max(values)
    steps = linear(0, 1.05 * most, "", most=3).ticks[1:]
    ticks = (*(-step for step in reversed(steps)), 0.0, *steps)
    return Axis(-steps[-1], steps[-1], "points", ticks)


def _draw(one: Judged, axis: Axis) -> str:
    parts = "\n".join([*_true_region(one.comparison, axis), *_scale(axis), *_marks(one, axis)])
    return (
        f'<svg class="plot interval-plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(_alt(one))}">\n{parts}\n</svg>'
    )


def _alt(one: Judged) -> str:
    expected = one.comparison.expected
    paper = "" if expected is None else f"; the paper: {signed(expected)} points"
    return f"Claim: {claimed(one.comparison)}. Found: {found(one)}{paper}."


def _at(axis: Axis, value: float) -> float:
    return SIDE + axis.share(value) * (WIDTH - 2 * SIDE)


def _true_region(comparison: Comparison, axis: Axis) -> Iterator[str]:
    margin = comparison.margin
    low, high = {
        "lower": (0.0, axis.high),
        "not lower": (axis.low, margin),
        "alike": (-margin, margin),
    }[comparison.relation]
    left, right = _at(axis, low), _at(axis, high)
    yield element("rect", "claimed", x=left, y=6, width=right - left, height=BASE - 6)


def _scale(axis: Axis) -> Iterator[str]:
    yield element("line", "axis", x1=SIDE, y1=BASE, x2=WIDTH - SIDE, y2=BASE)
    yield element("line", "zero", x1=_at(axis, 0), y1=6, x2=_at(axis, 0), y2=BASE + 4)
    for tick in axis.ticks:
        x = _at(axis, tick)
        yield element("line", "axis", x1=x, y1=BASE, x2=x, y2=BASE + 4)
        digits = 0 if math.isclose(tick, round(tick)) else 1
        label = f"{tick:+.{digits}f}".replace("-", "−") if tick else "0"
        yield label_at(x, BASE + 19, label, "middle")


def _marks(one: Judged, axis: Axis) -> Iterator[str]:
    if one.measured is not None:
        low, high = (_at(axis, value) for value in one.measured.interval)
        yield element("line", "span", x1=low, y1=MIDDLE, x2=high, y2=MIDDLE)
        for value in one.measured.by_seed:
            x = _at(axis, max(axis.low, min(axis.high, value)))
            yield element("line", "by-seed", x1=x, y1=MIDDLE - 7, x2=x, y2=MIDDLE + 7)
        x = _at(axis, one.measured.difference)
        yield element("circle", "difference spot", cx=x, cy=MIDDLE, r=4.5)
    if one.comparison.expected is not None:
        yield diamond(_at(axis, one.comparison.expected), MIDDLE)


def diamond(x: float, y: float, side: float = 6) -> str:
    """Return the mark of the paper's figure."""
    corners = ((x, y - side), (x + side, y), (x, y + side), (x - side, y))
    points = " ".join(f"{left:.1f},{top:.1f}" for left, top in corners)
    return element("polygon", "paper", points=points)
