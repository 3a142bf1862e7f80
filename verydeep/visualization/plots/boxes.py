"""Boxes drawn on an image, with labels that can be read and stay on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image, ImageColor, ImageDraw, ImageFont

from verydeep.data.geometry import Box

if TYPE_CHECKING:
    from verydeep.visualization.plots.fonts import Face

TRUE, FOUND = "#009e73", "#e69f00"
"""Green and orange of the palette of Okabe & Ito; true boxes are dashed besides."""

PALETTE = (FOUND, "#56b4e9", "#cc79a7", "#f0e442", "#d55e00")
"""Colours of several boxes that were found, of the same palette."""

DARK = "#1a1a1a"

LEAST_SIDE = 360
"""Smaller images are enlarged until their shorter side has that many pixels."""

MOST_SIDE = 3000
"""But not beyond that many pixels of the longer side."""


class Mark(NamedTuple):
    """A box to be drawn.

    Attributes:
        box: In pixels of the image.
        label: Words beside it; empty for none.
        colour: Of line and label, ``#rrggbb``.
        dashed: Whether the line is.
    """

    box: Box
    label: str = ""
    colour: str = FOUND
    dashed: bool = False


def true_mark(box: Box, label: str = "") -> Mark:
    """Return how a true box is drawn."""
    return Mark(box, label, TRUE, dashed=True)


def draw_boxes(picture: Image.Image, marks: Sequence[Mark]) -> Image.Image:
    """Return an image with boxes on it; small images are enlarged so that labels can be read.

    Every line has a dark outline, to be seen on any ground. A box that reaches beyond the image
    is drawn up to its edge. Labels stand above or below their box or inside it, where there is room
    and no other label; those too long for the image are cut off with an ellipsis.

    Args:
        picture: Mode RGB.
        marks: In the order in which they are drawn.
    """
    factor = enlargement(picture.size)
    size = (round(picture.width * factor), round(picture.height * factor))
    drawn = picture.resize(size, Image.Resampling.BICUBIC) if factor > 1 else picture.copy()
    canvas = ImageDraw.Draw(drawn)
    line = max(2, round(min(size) / 110))
    places = [_on_canvas(mark.box, factor, size) for mark in marks]
    for mark, place in zip(marks, places, strict=True):
        _draw_frame(canvas, place, line, mark)
    taken: list[Place] = []
    for mark, place in zip(marks, places, strict=True):
        if mark.label:
            label = fit_label(mark.label, place, size, line, taken)
            taken.append(label.place)
            canvas.rectangle(label.place, fill=mark.colour, outline=DARK)
            x, y = label.start
            for text, font in label.runs:
                canvas.text((x, y), text, fill=_ink(mark.colour), font=font, anchor="ls")
                x += round(font.getlength(text))
    return drawn


def reduced(
    picture: Image.Image, marks: Sequence[Mark], most: int
) -> tuple[Image.Image, list[Mark]]:
    """Return an image whose sides have at most that many pixels, and its marks on it."""
    factor = min(1.0, most / max(picture.size))
    if factor == 1:
        return picture, [*marks]
    width, height = (max(1, round(side * factor)) for side in picture.size)
    x, y = width / picture.width, height / picture.height
    boxes = (Box(m.box.x0 * x, m.box.y0 * y, m.box.x1 * x, m.box.y1 * y) for m in marks)
    moved = [mark._replace(box=box) for mark, box in zip(marks, boxes, strict=True)]
    return picture.resize((width, height), Image.Resampling.BILINEAR), moved


def enlargement(size: tuple[int, int]) -> float:
    """Return the factor by which an image is enlarged, 1 or more.

    >>> enlargement((64, 64)), enlargement((640, 427)), enlargement((2, 3000))
    (5.625, 1.0, 1.0)
    """
    return max(1.0, min(LEAST_SIDE / min(size), MOST_SIDE / max(size)))


Place = tuple[int, int, int, int]
"""A rectangle of the canvas: first and last pixels, all inside."""


Run = tuple[str, ImageFont.FreeTypeFont]
"""Letters and their font."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label in its place.

    Attributes:
        text: What is left of it.
        place: Its ground.
        start: Left end of the line that the letters stand on.
        runs: Its parts, each with the font of its letters.
    """

    text: str
    place: Place
    start: tuple[int, int]
    runs: tuple[Run, ...]


def fit_label(
    text: str, frame: Place, size: tuple[int, int], line: int, taken: Sequence[Place]
) -> Label:
    """Find a place for a label that is on the image and, if possible, on no other label.

    Args:
        text: In one line.
        frame: Of its box.
        size: Width and height of the canvas.
        line: Width of the frame's line.
        taken: Places of other labels.
    """
    width, height = size
    letters = max(8, min(round(min(size) / 22), 40))
    margin = max(2, line)
    text = _shortened(" ".join(text.split()), letters, width - 2 * margin)
    lettered = _runs(text, letters)
    ascent, descent = map(max, zip(*(font.getmetrics() for _, font in lettered), strict=True))
    wide = min(width, int(_length(lettered)) + 1 + 2 * margin)
    high = min(height, ascent + descent + margin)
    places = [_within(corner, wide, high, size) for corner in _corners(frame, wide, high)]
    place = min(places, key=lambda one: sum(_common(one, other) for other in taken))
    start = (place[0] + margin, place[1] + ascent + margin // 2)
    return Label(text, place, start, lettered)


def _corners(frame: Place, wide: int, high: int) -> Iterator[tuple[int, int]]:
    """Yield upper left corners for a label, the best first."""
    x0, y0, x1, y1 = frame
    for x in (x0, x1 - wide + 1):
        yield x, y0 - high
        yield x, y1 + 1
        yield x, y0
        yield x, y1 - high + 1


def _within(corner: tuple[int, int], wide: int, high: int, size: tuple[int, int]) -> Place:
    x, y = (
        min(max(start, 0), side - length)
        for start, side, length in zip(corner, size, (wide, high), strict=True)
    )
    return x, y, x + wide - 1, y + high - 1


def _common(a: Place, b: Place) -> int:
    wide = min(a[2], b[2]) - max(a[0], b[0]) + 1
    high = min(a[3], b[3]) - max(a[1], b[1]) + 1
    return max(0, wide) * max(0, high)


def _runs(text: str, size: int) -> tuple[Run, ...]:
    from verydeep.visualization.plots.fonts import runs  # brings matplotlib, which is slow

    return tuple((part, _font(face, size)) for part, face in runs(text))


def _length(lettered: Sequence[Run]) -> float:
    return sum(font.getlength(text) for text, font in lettered)


def _shortened(text: str, size: int, room: int) -> str:
    if _length(_runs(text, size)) <= room:
        return text
    while text and _length(_runs(text + "…", size)) > room:
        text = text[:-1]
    return text.rstrip() + "…" if text else ""


def _on_canvas(box: Box, factor: float, size: tuple[int, int]) -> Place:
    """Return the pixels of a box, at least one, all on the canvas."""
    x0, y0 = (
        min(max(round(v * factor), 0), side - 1) for v, side in zip(box[:2], size, strict=True)
    )
    x1, y1 = (
        min(max(round(v * factor) - 1, first), side - 1)
        for v, first, side in zip(box[2:], (x0, y0), size, strict=True)
    )
    return x0, y0, x1, y1


def _draw_frame(canvas: ImageDraw.ImageDraw, place: Place, line: int, mark: Mark) -> None:
    x0, y0, x1, y1 = place
    dark = line + 2 * max(1, line // 2)
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    for start, end in pairwise(corners):
        for part in _dashes(start, end, 5 * line) if mark.dashed else [(start, end)]:
            for colour, width in ((DARK, dark), (mark.colour, line)):
                canvas.rectangle(_stroke(*part, width), fill=colour)


def _dashes(
    start: tuple[int, int], end: tuple[int, int], length: int
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield the dashes of a line; it begins and ends with one."""
    span = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
    count = max(1, round(span / length)) // 2 * 2 + 1
    points = [
        tuple(round(a + (b - a) * n / count) for a, b in zip(start, end, strict=True))
        for n in range(count + 1)
    ]
    for n in range(0, count, 2):
        (ax, ay), (bx, by) = points[n], points[n + 1]
        yield (ax, ay), (bx, by)


def _stroke(start: tuple[int, int], end: tuple[int, int], width: int) -> Place:
    """Return a straight line of a width as a rectangle."""
    before, after = width // 2, (width - 1) // 2
    (ax, bx), (ay, by) = sorted((start[0], end[0])), sorted((start[1], end[1]))
    return ax - before, ay - before, bx + after, by + after


def _ink(colour: str) -> str:
    """Return black or white, whichever has the larger contrast with a colour."""
    red, green, blue = ((value / 255) ** 2.2 for value in ImageColor.getrgb(colour)[:3])
    # 0.18 is as far from black as from white, by the ratios of luminance that WCAG asks for.
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else "white"


@cache
def _font(face: Face, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(face.path, size, index=face.number)
