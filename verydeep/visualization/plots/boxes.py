"""Bounding boxes drawn on an image, with legible labels inside the image."""

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
"""Green and orange of the Okabe-Ito palette; true boxes are also dashed."""

PALETTE = (FOUND, "#56b4e9", "#cc79a7", "#f0e442", "#d55e00")
"""Okabe-Ito colours of several predicted boxes."""

DARK = "#1a1a1a"

LEAST_SIDE = 360
"""Small images are enlarged until their shorter side has this many pixels."""

MOST_SIDE = 3000
"""Limit for the longer side of an enlarged image, in pixels."""


class Mark(NamedTuple):
    """A bounding box and its style.

    Attributes:
        box: Coordinates in pixels of the image.
        label: Text beside the box; empty for none.
        colour: Colour of line and label, ``#rrggbb``.
        dashed: Whether the line is dashed.
    """

    box: Box
    label: str = ""
    colour: str = FOUND
    dashed: bool = False


def true_mark(box: Box, label: str = "") -> Mark:
    """Return a true box in its style."""
    return Mark(box, label, TRUE, dashed=True)


def draw_boxes(image: Image.Image, marks: Sequence[Mark]) -> Image.Image:
    """Return an image with boxes drawn on it, enlarged if it is too small for legible labels.

    Lines have a dark outline, so that they are visible on any background. Boxes are clipped to the
    image. Labels are placed above, below or inside their box, preferably where they do not cover
    another label; labels wider than the image end in an ellipsis.

    Args:
        image: Image of mode RGB.
        marks: Boxes in drawing order.
    """
    factor = enlargement(image.size)
    size = (round(image.width * factor), round(image.height * factor))
    drawn = image.resize(size, Image.Resampling.BICUBIC) if factor > 1 else image.copy()
    canvas = ImageDraw.Draw(drawn)
    line = max(2, round(min(size) / 110))
    frames = [_on_canvas(mark.box, factor, size) for mark in marks]
    for mark, frame in zip(marks, frames, strict=True):
        _draw_frame(canvas, frame, line, mark)
    occupied: list[Rect] = []
    for mark, frame in zip(marks, frames, strict=True):
        if mark.label:
            label = fit_label(mark.label, frame, size, line, occupied)
            occupied.append(label.rect)
            canvas.rectangle(label.rect, fill=mark.colour, outline=DARK)
            x, y = label.start
            for text, font in label.runs:
                canvas.text((x, y), text, fill=_ink(mark.colour), font=font, anchor="ls")
                x += round(font.getlength(text))
    return drawn


def reduced(image: Image.Image, marks: Sequence[Mark], most: int) -> tuple[Image.Image, list[Mark]]:
    """Return an image shrunk to at most ``most`` pixels a side, and its boxes scaled alike."""
    factor = min(1.0, most / max(image.size))
    if factor == 1:
        return image, [*marks]
    width, height = (max(1, round(side * factor)) for side in image.size)
    x, y = width / image.width, height / image.height
    boxes = (Box(m.box.x0 * x, m.box.y0 * y, m.box.x1 * x, m.box.y1 * y) for m in marks)
    moved = [mark._replace(box=box) for mark, box in zip(marks, boxes, strict=True)]
    return image.resize((width, height), Image.Resampling.BILINEAR), moved


def enlargement(size: tuple[int, int]) -> float:
    """Return the factor by which an image of this size is enlarged, at least 1.

    >>> enlargement((64, 64)), enlargement((640, 427)), enlargement((2, 3000))
    (5.625, 1.0, 1.0)
    """
    return max(1.0, min(LEAST_SIDE / min(size), MOST_SIDE / max(size)))


Rect = tuple[int, int, int, int]
"""Rectangle on the canvas: x and y of its first and of its last pixel."""

Run = tuple[str, ImageFont.FreeTypeFont]
"""Piece of text and its font."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label at its position.

    Attributes:
        text: The text, possibly shortened.
        rect: Background rectangle.
        start: Left end of the baseline.
        runs: Pieces of the text with their fonts.
    """

    text: str
    rect: Rect
    start: tuple[int, int]
    runs: tuple[Run, ...]


def fit_label(
    text: str, frame: Rect, size: tuple[int, int], line: int, occupied: Sequence[Rect]
) -> Label:
    """Place a label on the image, preferably where it overlaps no other label.

    Args:
        text: The label.
        frame: Frame of its box.
        size: Width and height of the canvas.
        line: Line width of the frame.
        occupied: Rectangles of other labels.
    """
    width, height = size
    letters = max(8, min(round(min(size) / 22), 40))
    margin = max(2, line)
    text = _shortened(" ".join(text.split()), letters, width - 2 * margin)
    lettered = _runs(text, letters)
    ascent, descent = map(max, zip(*(font.getmetrics() for _, font in lettered), strict=True))
    wide = min(width, int(_length(lettered)) + 1 + 2 * margin)
    high = min(height, ascent + descent + margin)
    candidates = [_within(corner, wide, high, size) for corner in _corners(frame, wide, high)]
    rect = min(candidates, key=lambda one: sum(_overlap(one, other) for other in occupied))
    start = (rect[0] + margin, rect[1] + ascent + margin // 2)
    return Label(text, rect, start, lettered)


def _corners(frame: Rect, wide: int, high: int) -> Iterator[tuple[int, int]]:
    """Yield upper left corners for a label, best first."""
    x0, y0, x1, y1 = frame
    for x in (x0, x1 - wide + 1):
        yield x, y0 - high
        yield x, y1 + 1
        yield x, y0
        yield x, y1 - high + 1


def _within(corner: tuple[int, int], wide: int, high: int, size: tuple[int, int]) -> Rect:
    x, y = (
        min(max(start, 0), side - length)
        for start, side, length in zip(corner, size, (wide, high), strict=True)
    )
    return x, y, x + wide - 1, y + high - 1


def _overlap(a: Rect, b: Rect) -> int:
    wide = min(a[2], b[2]) - max(a[0], b[0]) + 1
    high = min(a[3], b[3]) - max(a[1], b[1]) + 1
    return max(0, wide) * max(0, high)


def _runs(text: str, size: int) -> tuple[Run, ...]:
    from verydeep.visualization.plots.fonts import runs  # imports matplotlib, which is slow

    return tuple((part, _font(face, size)) for part, face in runs(text))


def _length(lettered: Sequence[Run]) -> float:
    return sum(font.getlength(text) for text, font in lettered)


def _shortened(text: str, size: int, room: int) -> str:
    if _length(_runs(text, size)) <= room:
        return text
    while text and _length(_runs(text + "…", size)) > room:
        text = text[:-1]
    return text.rstrip() + "…" if text else ""


def _on_canvas(box: Box, factor: float, size: tuple[int, int]) -> Rect:
    """Return a box clipped to the canvas, at least one pixel large."""
    x0, y0 = (
        min(max(round(v * factor), 0), side - 1) for v, side in zip(box[:2], size, strict=True)
    )
    x1, y1 = (
        min(max(round(v * factor) - 1, first), side - 1)
        for v, first, side in zip(box[2:], (x0, y0), size, strict=True)
    )
    return x0, y0, x1, y1


def _draw_frame(canvas: ImageDraw.ImageDraw, frame: Rect, line: int, mark: Mark) -> None:
    x0, y0, x1, y1 = frame
    dark = line + 2 * max(1, line // 2)
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    for start, end in pairwise(corners):
        for part in _dashes(start, end, 5 * line) if mark.dashed else [(start, end)]:
            for colour, width in ((DARK, dark), (mark.colour, line)):
                canvas.rectangle(_stroke(*part, width), fill=colour)


def _dashes(
    start: tuple[int, int], end: tuple[int, int], length: int
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield the dashes of a line, which begins and ends with a dash."""
    span = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
    count = max(1, round(span / length)) // 2 * 2 + 1
    points = [
        tuple(round(a + (b - a) * n / count) for a, b in zip(start, end, strict=True))
        for n in range(count + 1)
    ]
    for n in range(0, count, 2):
        (ax, ay), (bx, by) = points[n], points[n + 1]
        yield (ax, ay), (bx, by)


def _stroke(start: tuple[int, int], end: tuple[int, int], width: int) -> Rect:
    """Return a horizontal or vertical line as a rectangle."""
    before, after = width // 2, (width - 1) // 2
    (ax, bx), (ay, by) = sorted((start[0], end[0])), sorted((start[1], end[1]))
    return ax - before, ay - before, bx + after, by + after


def _ink(colour: str) -> str:
    """Return black or white, whichever contrasts more with a colour."""
    red, green, blue = ((value / 255) ** 2.2 for value in ImageColor.getrgb(colour)[:3])
    # Luminance 0.18 has the same WCAG contrast ratio to black and to white.
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else "white"


@cache
def _font(face: Face, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(face.path, size, index=face.number)
