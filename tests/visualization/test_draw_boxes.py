"""Boxes on images: line positions and legible labels inside the image."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageColor

from verydeep.data.geometry import Box
from verydeep.visualization.plots import boxes as drawing
from verydeep.visualization.plots.boxes import (
    FOUND,
    LEAST_SIDE,
    PALETTE,
    TRUE,
    Label,
    Mark,
    Rect,
    draw_boxes,
    enlargement,
    fit_label,
    reduced,
    true_mark,
)

GREY = (128, 128, 128)
INSIDE = st.floats(-0.5, 1.5)
SHORT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=60)


def plain(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), GREY)


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


def has(area: np.ndarray, colour: str) -> np.ndarray:
    return (area == np.array(ImageColor.getrgb(colour))).all(-1)


def test_a_line_stands_on_the_edge_of_its_box_with_a_dark_outline() -> None:
    drawn = pixels(draw_boxes(plain(440, 440), [Mark(Box(100, 150, 300, 350))]))
    coloured = has(drawn, FOUND)
    rows, columns = np.flatnonzero(coloured.any(1)), np.flatnonzero(coloured.any(0))
    assert abs(rows[0] - 150) <= 2
    assert abs(rows[-1] - 349) <= 2
    assert abs(columns[0] - 100) <= 2
    assert abs(columns[-1] - 299) <= 2
    middle = drawn[250]  # dark, orange, dark on the left, and again on the right
    kinds = [
        "dark" if dark else "line" if line else "ground"
        for dark, line in zip(has(middle, drawing.DARK), has(middle, FOUND), strict=True)
    ]
    changes = [kinds[0], *(b for a, b in pairwise(kinds) if a != b)]
    assert changes == ["ground", *["dark", "line", "dark", "ground"] * 2]
    assert (drawn[160:340, 110:290] == GREY).all()
    assert (drawn[:140] == GREY).all()


def test_true_boxes_are_dashed_and_of_another_colour() -> None:
    drawn = pixels(draw_boxes(plain(440, 440), [true_mark(Box(100, 150, 300, 350))]))
    assert not has(drawn, FOUND).any()
    top = has(drawn[150], TRUE)[100:300]
    assert 0.35 < top.mean() < 0.75
    assert (np.diff(top.astype(int)) == 1).sum() >= 4
    for row, column in ((150, 100), (150, 299), (349, 100), (349, 299)):
        assert has(drawn[row - 2 : row + 3, column - 2 : column + 3], TRUE).any()


def test_small_pictures_are_enlarged_and_the_given_one_stays_as_it_is() -> None:
    picture = plain(64, 48)
    drawn = draw_boxes(picture, [Mark(Box(8, 8, 40, 40), "cat")])
    assert min(drawn.size) == LEAST_SIDE
    assert drawn.width / drawn.height == pytest.approx(64 / 48, rel=0.01)
    assert (pixels(picture) == GREY).all()
    columns = np.flatnonzero(has(pixels(drawn), FOUND)[200])
    assert columns[0] == pytest.approx(8 * 7.5, abs=3)
    assert columns[-1] == pytest.approx(40 * 7.5, abs=3)
    assert draw_boxes(plain(700, 500), []).size == (700, 500)
    assert enlargement((1, 2000)) == 1.5


def test_photographs_are_reduced_together_with_their_boxes() -> None:
    marks = [Mark(Box(100, 200, 1000, 800), "cat"), true_mark(Box(0, 0, 2000, 1500))]
    small, moved = reduced(plain(2000, 1500), marks, 500)
    assert small.size == (500, 375)
    assert moved == [Mark(Box(25, 50, 250, 200), "cat"), true_mark(Box(0, 0, 500, 375))]
    picture = plain(500, 300)
    assert reduced(picture, marks, 500) == (picture, marks)
    assert reduced(plain(10_000, 1), [], 100)[0].size == (100, 1)


def test_boxes_beyond_the_picture_are_drawn_up_to_its_edge() -> None:
    far = Mark(Box(-500, -500, 5000, 5000), "everything")
    drawn = pixels(draw_boxes(plain(400, 400), [far, Mark(Box(600, 600, 700, 700), "outside")]))
    assert has(drawn[200, :6], FOUND).any()
    assert has(drawn[200, -6:], FOUND).any()


def common(a: Rect, b: Rect) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


def check_on_canvas(label: Label, size: tuple[int, int]) -> None:
    x0, y0, x1, y1 = label.rect
    assert 0 <= x0 <= x1 < size[0]
    assert 0 <= y0 <= y1 < size[1]
    assert "".join(part for part, _ in label.runs) == label.text
    if label.text:
        (first, font), *_ = label.runs
        assert x0 <= label.start[0] + font.getbbox(first, anchor="ls")[0]
        long = sum(font.getlength(part) for part, font in label.runs)
        assert label.start[0] + long <= x1 + 1
        assert y0 <= label.start[1] <= y1 + 1


@settings(max_examples=150)
@given(st.tuples(st.integers(360, 900), st.integers(360, 900)), st.tuples(*[INSIDE] * 4), SHORT)
def test_labels_are_on_the_picture(
    size: tuple[int, int], corners: tuple[float, ...], text: str
) -> None:
    box = Box(*(share * side for share, side in zip(corners, size * 2, strict=True)))
    frame = drawing._on_canvas(box, 1.0, size)
    check_on_canvas(fit_label(text, frame, size, 3, []), size)


def test_a_label_that_is_too_long_says_so() -> None:
    label = fit_label("a name " * 40, (10, 100, 50, 150), (400, 400), 3, [])
    check_on_canvas(label, (400, 400))
    assert label.text.startswith("a name a name")
    assert label.text.endswith("…")
    short = fit_label("two\nlines", (10, 100, 50, 150), (400, 400), 3, [])
    assert short.text == "two lines"


def test_labels_stand_beside_each_other_where_there_is_room() -> None:
    size = (400, 400)
    taken: list[Rect] = []
    for number in range(6):
        label = fit_label(f"guess {number}", (100, 100, 299, 299), size, 3, taken)
        check_on_canvas(label, size)
        taken.append(label.rect)
    assert not any(common(a, b) for a, b in combinations(taken, 2))


@pytest.mark.parametrize("size", [(400, 300), (2, 300), (300, 2), (1, 1), (5000, 3)])
def test_anything_can_be_drawn_on_anything(size: tuple[int, int]) -> None:
    marks = [Mark(Box(0, 0, *size), "whole"), true_mark(Box(0, 0, 0.2, 0.2), "nearly nothing")]
    assert draw_boxes(plain(*size), marks).mode == "RGB"


def luminance(colour: str) -> float:
    """Return the relative luminance defined by WCAG 2."""
    parts = [value / 255 for value in ImageColor.getrgb(colour)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("colour", [TRUE, *PALETTE, "#0072b2", "#000000"])
def test_labels_can_be_read_on_their_ground(colour: str) -> None:
    ink, ground = luminance(drawing._ink(colour)), luminance(colour)
    assert (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05) >= 4.5


def test_the_label_of_a_box_is_written_in_its_colour() -> None:
    bare = has(pixels(draw_boxes(plain(400, 400), [Mark(Box(100, 100, 300, 300))])), FOUND).sum()
    picture = draw_boxes(plain(400, 400), [Mark(Box(100, 100, 300, 300), "cat 0.93")])
    assert has(pixels(picture), FOUND).sum() > bare + 800
