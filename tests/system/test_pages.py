"""The page template: safe rendering and readable colours."""

from __future__ import annotations

import re
from html import escape, unescape
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import TemplateNotFound, UndefinedError

from verydeep.system.pages import file_name, render
from verydeep.visualization.lecture.theme import DARK, LIGHT

SCHEMES = ("light", "dark", "print")


def figures(title: str = "One") -> str:
    figure = {"name": "one", "title": title, "shows": "", "section": "2", "alt": "", "files": "ab"}
    return render("verydeep.visualization.lecture", "index.html", figures=[figure], dark=True)


def test_a_page_extends_the_frame_and_what_is_put_in_is_escaped() -> None:
    page = figures("<script>alert('1')</script>")
    assert page.startswith('<!doctype html>\n<html lang="en" data-scheme="dark">')
    assert "<script>" not in page
    assert page.count("&lt;script&gt;") == 2  # in the navigation and above the figure
    assert '<main id="content"' in page
    assert 'href="#content"' in page
    assert "--ink" in page


def test_a_page_without_links_has_no_navigation() -> None:
    assert "<nav" in figures()
    assert "<nav" not in render(
        "verydeep.visualization.lecture", "index.html", figures=[], dark=True
    )


def test_a_value_or_a_template_that_is_missing_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="figures"):
        render("verydeep.visualization.lecture", "index.html", dark=True)
    with pytest.raises(TemplateNotFound):
        render("verydeep.visualization.lecture", "none.html")


def colours(scheme: str) -> dict[str, str]:
    """The last colours that the style sheet gives for a scheme."""
    css = (resources.files("verydeep.system.pages") / "page.css").read_text("utf-8")
    print_rules = css[css.index("@media print") :]
    part = {
        "light": css[: css.index("@media")],
        "dark": css[css.index('[data-scheme="dark"]') : css.index("* {")],
        "print": print_rules,
    }[scheme]
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6})", part))


def luminance(colour: str) -> float:
    """As WCAG 2 defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("ground", ["paper", "fill"])
def test_letters_stand_out_from_their_ground(scheme: str, ground: str) -> None:
    found = colours(scheme)
    assert set(found) == set(colours("light"))
    under = luminance(found[ground])
    for name in set(found) - {"paper", "line", "fill"}:
        high, low = sorted((luminance(found[name]), under), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (name, ground)


def test_dark_is_the_same_whether_asked_for_or_preferred() -> None:
    css = (resources.files("verydeep.system.pages") / "page.css").read_text("utf-8")
    preferred = css[css.index("prefers-color-scheme") : css.index('[data-scheme="light"]')]
    assert dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6})", preferred)) == colours("dark")


def test_drawings_and_pages_have_the_same_ground() -> None:
    assert (colours("light")["paper"], colours("dark")["paper"]) == (LIGHT[1], DARK[1])
    assert (colours("light")["ink"], colours("dark")["ink"]) == (LIGHT[0], DARK[0])


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_the_name_of_a_file_is_escaped_and_whole(name: str) -> None:
    """Whatever the name, its markup is a span around an ending, and its text the name."""
    made = str(file_name(name))
    marks = re.findall(r"<[^>]*>", made)
    assert set(marks) <= {"<bdi>", "</bdi>", '<span class="ending">', "</span>"}
    assert unescape(re.sub(r"<[^>]*>", "", made)) == unescape(escape(name))


def test_an_ending_is_in_one_piece() -> None:
    assert '<span class="ending">05.jpg</span>' in file_name("a/IMG_0005.jpg")
    assert "span" not in file_name("no ending") + file_name(".hidden") + file_name(
        "a.long.name here"
    )
