"""Small drawings as SVG that follow the page: its colours, its letters, light, dark and in print.

A drawing names no colour: its parts have classes, which the style sheet of the page colours. Its
letters are text. It is 360 units wide, about the pixels of a telephone, so that letters of 13 units
can be read there; wide pages set several side by side.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 360, 250
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 22, 44
"""Margins: room for the numbers of the axes and their titles."""

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
"""Digits of an exponent."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """Numbers along one side of a drawing.

    Attributes:
        low: At its beginning.
        high: At its end; more than ``low``.
        title: With its unit.
        log: Whether equal factors lie equally far apart.
        ticks: Numbers that stand at it.
    """

    low: float
    high: float
    title: str
    ticks: tuple[float, ...]
    log: bool = False

    def share(self, value: float) -> float:
        """Return where a value lies between beginning (0) and end (1)."""
        low, high, at = (
            (math.log(x) for x in (self.low, self.high, value))
            if self.log
            else (self.low, self.high, value)
        )
        return (at - low) / (high - low)


def linear(low: float, high: float, title: str, *, whole: bool = False, most: int = 5) -> Axis:
    """Return an axis with round numbers at it, which reaches to the next round number.

    Args:
        low: Where it begins.
        high: What it reaches at least.
        title: With its unit.
        whole: Whether fractions make no sense.
        most: Steps between numbers, at most.

    >>> linear(0, 2.3, "loss").ticks, linear(0, 2.3, "loss").high
    ((0.0, 0.5, 1.0, 1.5, 2.0, 2.5), 2.5)
    >>> linear(1, 3, "epoch", whole=True).ticks
    (1.0, 2.0, 3.0)
    """
    span = high - low if high > low else 1.0
    step = _step(span / most)
    if whole:
        step = max(1.0, round(step + 0.25))
        first, end = math.ceil(low / step) * step, max(high, low + 1)
        return Axis(low, end, title, _multiples(first, end, step))
    end = low + math.ceil(span / step - 1e-9) * step
    return Axis(low, end, title, _multiples(low, end, step))


def logarithmic(low: float, high: float, title: str) -> Axis:
    """Return an axis of powers of ten; where there are few, 2 and 5 times them as well.

    >>> logarithmic(0.0001, 0.01, "rate").ticks
    (0.0001, 0.001, 0.01)
    """
    low, high = (low / 1.5, high * 1.5) if high < 1.5 * low else (low / 1.08, high * 1.08)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 2, 5), range(1, 10)):
        ticks = [float(f"{factor}e{exponent}") for exponent in exponents for factor in factors]
        inside = tuple(tick for tick in ticks if low <= tick <= high)
        if len(inside) >= 3:
            break
    return Axis(low, high, title, inside[:: -(-len(inside) // 7)], log=True)


def _step(least: float) -> float:
    """Return 1, 2 or 5 times a power of ten that is no less."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * f for f in (1, 2, 5, 10) if power * f >= least * (1 - 1e-9))


def _multiples(low: float, high: float, step: float) -> tuple[float, ...]:
    count = math.floor((high - low) / step + 1e-9) + 1
    return tuple(float(f"{low + i * step:.10g}") for i in range(count))


@dataclass
class Plot:
    """A drawing with two axes; the order of the calls is that in which parts cover each other.

    Attributes:
        x: The lower axis.
        y: The left one.
    """

    x: Axis
    y: Axis
    parts: list[str] = field(default_factory=list)

    def at(self, x: float, y: float) -> Point:
        """Return where a point lies on the drawing."""
        return (
            LEFT + self.x.share(x) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - self.y.share(y) * (HEIGHT - TOP - BOTTOM),
        )

    def line(self, points: Iterable[Point], kind: str) -> None:
        """Draw a line; it is broken where a point is no number."""
        run: list[str] = []
        for point in [*points, (math.nan, math.nan)]:
            if self._can_be_drawn(point):
                run.append("{:.1f},{:.1f}".format(*self.at(*point)))
                continue
            if len(run) == 1:  # a line of one point would not be seen
                x, y = run[0].split(",")
                self.parts.append(f'<circle class="{kind} spot" cx="{x}" cy="{y}" r="2.5"/>')
            elif run:
                self.parts.append(f'<polyline class="{kind}" points="{" ".join(run)}"/>')
            run = []

    def segment(self, start: Point, end: Point, kind: str) -> None:
        """Draw a straight line."""
        (x1, y1), (x2, y2) = self.at(*start), self.at(*end)
        self.parts.append(
            f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
        )

    def upright(self, x: float, kind: str, label: str = "") -> None:
        """Draw a line from bottom to top, with a label above it."""
        self.segment((x, self.y.low), (x, self.y.high), kind)
        if label:
            self.parts.append(_text(self.at(x, self.y.low)[0], TOP - 6, label, "middle"))

    def ring(self, point: Point, kind: str) -> None:
        """Draw a ring around a point."""
        if self._can_be_drawn(point):
            x, y = self.at(*point)
            self.parts.append(f'<circle class="{kind} ring" cx="{x:.1f}" cy="{y:.1f}" r="5"/>')

    def spot(self, point: Point, kind: str) -> None:
        """Draw a point."""
        x, y = self.at(*point)
        self.parts.append(f'<circle class="{kind} spot" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>')

    def bar(self, left: float, right: float, height: float, kind: str) -> None:
        """Draw a bar that stands on the lower axis."""
        (x1, y1), (x2, y2) = self.at(left, self.y.low), self.at(right, height)
        self.parts.append(
            f'<rect class="{kind} bar" x="{x1 + 0.5:.1f}" y="{y2:.1f}" '
            f'width="{max(0.5, x2 - x1 - 1):.1f}" height="{y1 - y2:.1f}"/>'
        )

    def svg(self, words: str) -> str:
        """Return the drawing.

        Args:
            words: What it shows, for those who cannot see it.
        """
        body = "\n".join([*self._axes(), *self.parts])
        return (
            f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{escape(words)}">\n{body}\n</svg>'
        )

    def _can_be_drawn(self, point: Point) -> bool:
        positive = point[1] > 0 or not self.y.log
        return positive and all(math.isfinite(value) for value in point)

    def _axes(self) -> Iterable[str]:
        left, right, bottom = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM
        for tick in self.y.ticks:
            y = self.at(self.x.low, tick)[1]
            yield f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>'
            yield _text(left - 6, y + 4.5, _number(tick), "end")
        yield f'<line class="axis" x1="{left}" y1="{bottom}" x2="{right}" y2="{bottom}"/>'
        for tick in self.x.ticks:
            yield _text(self.at(tick, self.y.low)[0], bottom + 17, _number(tick), "middle")
        middle = (TOP + bottom) / 2
        yield _text((left + right) / 2, HEIGHT - 8, self.x.title, "middle")
        turned = f'<text class="turned" transform="translate(13 {middle:.0f}) rotate(-90)" '
        yield f'{turned}text-anchor="middle">{escape(self.y.title)}</text>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _number(value: float) -> str:
    """Return a number in as few letters as say it.

    >>> _number(0.0001), _number(2500.0), _number(0.5)
    ('10⁻⁴', '2,500', '0.5')
    """
    if value and not 1e-3 <= abs(value) < 1e6:
        digits, _, power = f"{value:.2e}".partition("e")
        factor = "" if float(digits) == 1 else f"{float(digits):g}·"
        return f"{factor}10{str(int(power)).translate(RAISED)}".replace("-", "−")
    return f"{value:,.10g}".replace("-", "−")


def finite(values: Sequence[float]) -> list[float]:
    """Return those that are numbers."""
    return [value for value in values if math.isfinite(value)]
