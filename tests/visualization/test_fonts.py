"""Names in any script are drawn with available glyphs or as numbers, never as empty boxes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from fontTools.ttLib import TTFont
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import font_manager
from matplotlib.figure import Figure
from PIL import Image, ImageFont

from verydeep.data.geometry import Box
from verydeep.visualization.plots import fonts
from verydeep.visualization.plots.boxes import Mark, draw_boxes
from verydeep.visualization.plots.confusion import draw_confusion
from verydeep.visualization.plots.style import save_figure

DEJAVU = font_manager.findfont("DejaVu Sans")
NAMES = ("猫", "狗", "кот", "Amélie", "$x$", "a\nb")


@pytest.fixture
def only_dejavu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Simulate a machine without other fonts."""
    monkeypatch.setattr(fonts, "installed", list)
    monkeypatch.setattr(fonts, "_just_installed", list)
    fonts._fallbacks.cache_clear()
    yield
    fonts._fallbacks.cache_clear()


@pytest.fixture
def one_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[fonts.Face]:
    """Simulate a machine with a font for 猫 and 狗, which have DejaVu's glyphs of A and B."""
    path = tmp_path / "cats.ttf"
    with TTFont(DEJAVU) as font:
        for table in font["cmap"].tables:
            table.cmap = {ord("猫"): "A", ord("狗"): "B"}
        for record in font["name"].names:
            record.string = record.toUnicode().replace("DejaVu Sans", "Cats and Dogs")
        font.save(path)
    before = [*font_manager.fontManager.ttflist]
    font_manager.fontManager.addfont(path)
    face = fonts.Face("Cats and Dogs", str(path), 0)
    monkeypatch.setattr(fonts, "installed", lambda: [face])
    fonts._fallbacks.cache_clear()
    yield face
    fonts._fallbacks.cache_clear()
    font_manager.fontManager.ttflist[:] = before


def pixels(figure: Figure, path: Path) -> np.ndarray:
    return np.asarray(Image.open(save_figure(figure, path)).convert("L"))


def drawn(text: str, path: Path) -> np.ndarray:
    figure = Figure(figsize=(1, 0.5))
    figure.text(0.1, 0.3, text, fontsize=20)
    return pixels(figure, path)


@pytest.mark.usefixtures("only_dejavu")
def test_names_without_letters_become_numbers() -> None:
    found = [fonts.name_or_number(name, place) for place, name in enumerate(NAMES, start=1)]
    assert found == ["no. 1", "no. 2", "кот", "Amélie", "$x$", "a b"]
    assert not fonts.can_draw("猫 cat")


@pytest.mark.usefixtures("only_dejavu")
def test_a_key_says_which_name_is_which_number() -> None:
    key = fonts.key_to_numbers({1: "cat", 2: "猫", 7: "狗"})
    assert "no. 2 is 猫" in key
    assert "no. 7 is 狗" in key
    assert "no. 1" not in key
    assert fonts.key_to_numbers({1: "cat"}) == ""


@pytest.mark.usefixtures("only_dejavu")
def test_a_figure_of_numbers_says_where_they_lead(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = draw_confusion(torch.eye(2, dtype=torch.long), ["cat", "猫"])
        figure.savefig(tmp_path / "plain.png")
    (axes, _) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "no. 2"]
    assert "classes.csv" in axes.get_xlabel()


@pytest.mark.usefixtures("one_more")
def test_letters_of_another_font_are_drawn_by_it(tmp_path: Path) -> None:
    """The font draws 猫 as DejaVu draws A."""
    assert fonts.name_or_number("猫", 1) == "猫"
    found, expected = drawn("猫", tmp_path / "a.png"), drawn("A", tmp_path / "b.png")
    assert found.min() < 100
    assert np.array_equal(found, expected)


@pytest.mark.usefixtures("one_more")
def test_class_names_at_axes_are_drawn_by_it_too(tmp_path: Path) -> None:
    counts = torch.eye(2, dtype=torch.long)
    found = pixels(draw_confusion(counts, ["猫", "狗"]), tmp_path / "a.png")
    expected = pixels(draw_confusion(counts, ["A", "B"]), tmp_path / "b.png")
    assert np.array_equal(found, expected)


def test_labels_of_boxes_are_drawn_by_several_fonts(one_more: fonts.Face) -> None:
    picture = Image.new("RGB", (400, 400), "grey")
    assert [(part, face.family) for part, face in fonts.runs("a 猫狗, 3 %")] == [
        ("a ", fonts.MAIN),
        ("猫狗", one_more.family),
        (", 3 %", fonts.MAIN),
    ]
    one, other = (draw_boxes(picture, [Mark(Box(50, 80, 300, 300), w)]) for w in ("猫狗", "AB"))
    assert np.array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.usefixtures("only_dejavu")
def test_letters_that_no_font_has_are_cut_from_no_label() -> None:
    """Labels are drawn as given; the caller chooses between name and number."""
    ((text, face),) = fonts.runs("猫 12 %")
    assert (text, face.family) == ("猫 12 %", fonts.MAIN)


def test_scripts_that_must_be_shaped_become_numbers_where_nothing_shapes_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fonts, "_shapes", lambda: False)
    found = [fonts.name_or_number(name, 3) for name in ("قطة", "חתול", "кот")]
    assert found == ["no. 3", "no. 3", "кот"]
    monkeypatch.setattr(fonts, "_shapes", lambda: True)
    assert fonts.name_or_number("قطة", 3) == "قطة"


@cache
def signs_of(face: fonts.Face) -> set[int]:
    with TTFont(face.path, fontNumber=face.number, lazy=True) as font:
        return set(font.getBestCmap())


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
def test_what_is_drawn_is_in_a_font_by_another_reader(name: str) -> None:
    """Every character of a kept name is in a font's table, read by fontTools."""
    text = fonts.name_or_number(name, 1)
    maps = [signs_of(face) for face in fonts.faces_for(text)]
    signs = {sign for sign in text if not sign.isspace() and sign not in fonts.IGNORABLE}
    assert all(any(ord(sign) in known for known in maps) for sign in signs)
    assert text.isprintable() or set(text) & fonts.IGNORABLE


def test_the_parts_of_a_label_are_the_whole_label() -> None:
    for name in ("猫", "кот", "", "e\u0301 猫 👨‍👩‍👧 कुत्ता"):
        assert "".join(part for part, _ in fonts.runs(name)) == name
        for part, face in fonts.runs(name):
            assert ImageFont.truetype(face.path, 12, index=face.number).getlength(part) >= 0
