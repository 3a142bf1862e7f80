"""Small SVG plots that follow the page's style sheet on screen (light or dark) and in print.

A plot contains no colours, only CSS classes, and its labels are text in the page's font. It is 360
units wide, about a phone's width, so that labels of 13 units are legible there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 360, 250
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 22, 44
"""Margins for tick labels and axis titles."""

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
"""Translation of a number into an exponent."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """Axis of a plot.

    Attributes:
        low: Lower end.
        high: Upper end, greater than ``low``.
        title: Title with unit.
        ticks: Labelled values.
        log: Whether the axis is logarithmic.
        labels: Labels of the ticks, if they are not numbers.
    """

    low: float
    high: float
    title: str
    ticks: tuple[float, ...]
    log: bool = False
    labels: tuple[str, ...] = ()

    @property
    def labelled(self) -> list[tuple[float, str]]:
        """Ticks with their labels."""
        labels = self.labels or tuple(map(number_label, self.ticks))
        return list(zip(self.ticks, labels, strict=True))

    def share(self, value: float) -> float:
        """Return the position of a value on the axis, from 0 to 1."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def linear(low: float, high: float, title: str, *, whole: bool = False, most: int = 5) -> Axis:
    """Return a linear axis with round ticks; it ends at a tick unless ``whole``.

    Args:
        low: Lower end.
        high: Largest value to show.
        title: Title with unit.
        whole: Whether values are integers.
        most: Maximum number of intervals between ticks.

    >>> linear(0, 2.3, "loss").ticks, linear(0, 2.3, "loss").high
    ((0.0, 0.5, 1.0, 1.5, 2.0, 2.5), 2.5)
    >>> linear(1, 3, "epoch", whole=True).ticks
    (1.0, 2.0, 3.0)
    """
    from matplotlib.ticker import MaxNLocator  # slow to import

    high = max(high, low + 1) if whole or high <= low else high
    locator = MaxNLocator(most, steps=(1, 2, 5, 10), integer=whole)
    ticks = [float(f"{tick:.10g}") for tick in locator.tick_values(low, high)]
    end = high if whole else ticks[-1]
    return Axis(low, end, title, tuple(tick for tick in ticks if low <= tick <= end))


def logarithmic(low: float, high: float, title: str) -> Axis:
    """Return a logarithmic axis with powers of ten as ticks, and multiples if those are few.

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


@dataclass
class Plot:
    """A plot with two axes; later parts are drawn on top of earlier ones.

    Attributes:
        x: Horizontal axis.
        y: Vertical axis.
        parts: SVG elements.
    """

    x: Axis
    y: Axis
    parts: list[str] = field(default_factory=list)

    def at(self, x: float, y: float) -> Point:
        """Return the SVG coordinates of a point."""
        return (
            LEFT + self.x.share(x) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - self.y.share(y) * (HEIGHT - TOP - BOTTOM),
        )

    def line(self, points: Iterable[Point], kind: str) -> None:
        """Draw a line, interrupted at points that are not finite."""
        run: list[str] = []
        for point in [*points, (math.nan, math.nan)]:
            if self._can_be_drawn(point):
                run.append("{:.1f},{:.1f}".format(*self.at(*point)))
                continue
            if len(run) == 1:  # a line of one point would be invisible
                cx, cy = run[0].split(",")
                self._add("circle", f"{kind} spot", cx=cx, cy=cy, r=2.5)
            elif run:
                self._add("polyline", kind, points=" ".join(run))
            run = []

    def segment(self, start: Point, end: Point, kind: str) -> None:
        """Draw a straight line."""
        (x1, y1), (x2, y2) = self.at(*start), self.at(*end)
        self._add("line", kind, x1=x1, y1=y1, x2=x2, y2=y2)

    def upright(self, x: float, kind: str, label: str = "") -> None:
        """Draw a vertical line over the full height, with a label above it."""
        self.segment((x, self.y.low), (x, self.y.high), kind)
        if label:
            self.parts.append(label_at(self.at(x, self.y.low)[0], TOP - 6, label, "middle"))

    def ring(self, point: Point, kind: str) -> None:
        """Draw a ring around a point."""
        if self._can_be_drawn(point):
            cx, cy = self.at(*point)
            self._add("circle", f"{kind} ring", cx=cx, cy=cy, r=5)

    def spot(self, point: Point, kind: str) -> None:
        """Draw a point."""
        cx, cy = self.at(*point)
        self._add("circle", f"{kind} spot", cx=cx, cy=cy, r=3.5)

    def bar(self, left: float, right: float, height: float, kind: str) -> None:
        """Draw a bar."""
        (x1, y1), (x2, y2) = self.at(left, self.y.low), self.at(right, height)
        width = max(0.5, x2 - x1 - 1)
        self._add("rect", f"{kind} bar", x=x1 + 0.5, y=y2, width=width, height=y1 - y2)

    def svg(self, alt: str) -> str:
        """Return the SVG.

        Args:
            alt: Text alternative.
        """
        body = "\n".join([*self._axes(), *self.parts])
        return (
            f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{escape(alt)}">\n{body}\n</svg>'
        )

    def _add(self, tag: str, kind: str, **attributes: float | str) -> None:
        self.parts.append(element(tag, kind, **attributes))

    def _can_be_drawn(self, point: Point) -> bool:
        positive = point[1] > 0 or not self.y.log
        return positive and all(math.isfinite(value) for value in point)

    def _axes(self) -> Iterable[str]:
        left, right, bottom = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM
        for tick, label in self.y.labelled:
            y = self.at(self.x.low, tick)[1]
            yield element("line", "grid", x1=left, y1=y, x2=right, y2=y)
            yield label_at(left - 6, y + 4.5, label, "end")
        yield element("line", "axis", x1=left, y1=bottom, x2=right, y2=bottom)
        for tick, label in self.x.labelled:
            yield label_at(self.at(tick, self.y.low)[0], bottom + 17, label, "middle")
        middle = (TOP + bottom) / 2
        yield label_at((left + right) / 2, HEIGHT - 8, self.x.title, "middle")
        turned = f'<text class="turned" transform="translate(13 {middle:.0f}) rotate(-90)" '
        yield f'{turned}text-anchor="middle">{escape(self.y.title)}</text>'


def element(tag: str, kind: str, **attributes: float | str) -> str:
    """Return an SVG element of a class."""
    texts = (
        f'{name}="{value if isinstance(value, str) else f"{value:.1f}"}"'
        for name, value in attributes.items()
    )
    return f'<{tag} class="{kind}" {" ".join(texts)}/>'


def label_at(x: float, y: float, text: str, anchor: str) -> str:
    """Return a text at a point."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def number_label(value: float) -> str:
    """Return a tick label.

    >>> number_label(0.0001), number_label(2500.0), number_label(0.5)
    ('10⁻⁴', '2,500', '0.5')
    """
    if value and not 1e-3 <= abs(value) < 1e6:
        digits, _, power = f"{value:.2e}".partition("e")
        factor = "" if float(digits) == 1 else f"{float(digits):g}·"
        return f"{factor}10{str(int(power)).translate(SUPERSCRIPT)}".replace("-", "−")
    return f"{value:,.10g}".replace("-", "−")


def finite(values: Sequence[float]) -> list[float]:
    """Return the finite values."""
    return [value for value in values if math.isfinite(value)]
