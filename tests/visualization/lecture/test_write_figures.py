"""Lecture figures as files and as a command: output, texts, legibility."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from looked_into import random_stripe_net
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image
from tiny import Outcome, strict_json

from verydeep.cli.report import figures_as_text
from verydeep.errors import InputError, MissingExtra
from verydeep.nets.table import SIX
from verydeep.visualization.lecture.conv_stacks import stack
from verydeep.visualization.lecture.figures import FIGURES, LectureFigure, chosen
from verydeep.visualization.lecture.parameters import parameters_by_group
from verydeep.visualization.lecture.receptive_field import growth
from verydeep.visualization.lecture.theme import DARK, LIGHT, theme
from verydeep.visualization.lecture.write import write_figures

pytestmark = pytest.mark.slow  # many whole runs, or drawings

Program = Callable[..., Outcome]
ALL = [figure.name for figure in FIGURES]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return a folder with all figures and the result."""
    folder = tmp_path_factory.mktemp("figures") / "new" / "folder"
    return folder, write_figures(folder)


class Pictures(HTMLParser):
    """Parser that collects the images and links of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.alts: dict[str, str] = {}
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        if tag == "img":
            self.alts[found["src"]] = found["alt"]
        elif tag == "a":
            self.links.append(found["href"])


# ---- files ----


def test_every_figure_is_there_twice_and_told_of(written: tuple[Path, dict[str, Any]]) -> None:
    folder, value = written
    assert sorted(value["files"]) == sorted(path.name for path in folder.iterdir())
    assert len(value["files"]) == 2 * len(ALL) + 2
    assert [figure["name"] for figure in value["figures"]] == ALL
    assert json.loads((folder / "figures.json").read_text("utf-8")) == {"figures": value["figures"]}


@pytest.mark.parametrize("figure", FIGURES, ids=ALL)
def test_both_files_are_pictures_that_bear_their_words(
    figure: LectureFigure, written: tuple[Path, dict[str, Any]]
) -> None:
    folder, _ = written
    with Image.open(folder / f"{figure.name}.png") as image:
        assert image.format == "PNG"
        assert 800 <= image.width <= 2000
        assert (image.info["Title"], image.info["Description"]) == (figure.title, figure.alt)
    text = (folder / f"{figure.name}.svg").read_text("utf-8")
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert figure.title in text


def test_the_page_shows_all_with_their_alternative_texts(
    written: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = written
    page = Pictures((folder / "index.html").read_text("utf-8"))
    assert page.alts == {f"{figure.name}.svg": figure.alt for figure in FIGURES}
    files = {link for link in page.links if not link.startswith("#")}
    assert files == {f"{name}.{kind}" for name in ALL for kind in ("png", "svg")}
    within = [link for link in page.links if link.startswith("#")]
    assert within == ["#content", *(f"#{name}" for name in ALL)]


def test_a_few_are_drawn_and_the_page_keeps_the_others(tmp_path: Path) -> None:
    first = write_figures(tmp_path, ["stacks"])
    assert first["files"] == ["stacks.png", "stacks.svg", "figures.json", "index.html"]
    before = (tmp_path / "stacks.svg").read_bytes()
    second = write_figures(tmp_path, ["receptive-field"])
    assert [figure["name"] for figure in second["figures"]] == ["receptive-field"]
    page = Pictures((tmp_path / "index.html").read_text("utf-8"))
    assert list(page.alts) == ["receptive-field.svg", "stacks.svg"]
    assert (tmp_path / "stacks.svg").read_bytes() == before


def test_without_an_extra_the_figures_that_need_it_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    few = [one for one in FIGURES if one.name in ("stacks", "attributions")]
    monkeypatch.setattr("verydeep.visualization.lecture.figures.FIGURES", few)
    monkeypatch.setattr(
        "verydeep.visualization.lecture.inspection_examples.stripe_net",
        lambda: random_stripe_net(0),
    )
    value = write_figures(tmp_path)
    assert [figure["name"] for figure in value["figures"]] == ["stacks"]
    assert "verydeep[insight]" in value["left_out"]["attributions"]
    assert "attributions  left out: " in figures_as_text(value)
    with pytest.raises(MissingExtra, match="insight"):
        write_figures(tmp_path, ["attributions"])


@pytest.mark.slow
def test_the_same_figure_is_the_same_file(tmp_path: Path) -> None:
    names = ["receptive-field", "no-minimiser", "plateau"]
    for folder in ("one", "two"):
        write_figures(tmp_path / folder, names)
    for name in names:
        for kind in ("png", "svg"):
            one, two = (tmp_path / folder / f"{name}.{kind}" for folder in ("one", "two"))
            assert one.read_bytes() == two.read_bytes()


def test_dark_figures_stand_on_a_dark_page(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    for dark, paper in ((False, LIGHT[1]), (True, DARK[1])):
        write_figures(tmp_path, ["stacks"], dark=dark)
        with Image.open(tmp_path / "stacks.png") as image:
            corner = image.convert("RGB").getpixel((0, 0))
        assert corner == tuple(bytes.fromhex(paper[1:]))
        page = (tmp_path / "index.html").read_text("utf-8")
        assert f'<html lang="en" data-scheme="{"dark" if dark else "light"}">' in page
    assert dict(mpl.rcParams) == before


# ---- what can be read ----


def drawn_texts(figure: LectureFigure, monkeypatch: pytest.MonkeyPatch) -> list[Text]:
    """Return all texts of a drawn figure."""
    seen: list[Text] = []
    original = Text.draw

    def note(self: Text, *args: Any, **kwargs: Any) -> None:
        if self.get_visible() and self.get_text().strip():
            seen.append(self)
        original(self, *args, **kwargs)

    with theme():
        canvas = FigureCanvasAgg(figure.draw())
        canvas.draw()
        monkeypatch.setattr(Text, "draw", note)
        canvas.draw()
    return seen


@pytest.mark.parametrize("figure", FIGURES, ids=ALL)
def test_no_text_covers_another_or_leaves_the_figure(
    figure: LectureFigure, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = drawn_texts(figure, monkeypatch)
    assert len(texts) >= 8
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    drawn = texts[0].get_figure(root=True)
    assert drawn is not None
    for name, box in boxes:
        inside = drawn.bbox.x0 <= box.x0 and box.x1 <= drawn.bbox.x1
        assert inside, name
        assert drawn.bbox.y0 <= box.y0, name
        assert box.y1 <= drawn.bbox.y1, name
    for (name, box), (other, other_box) in combinations(boxes, 2):
        wide = min(box.x1, other_box.x1) - max(box.x0, other_box.x0)
        high = min(box.y1, other_box.y1) - max(box.y0, other_box.y0)
        assert min(wide, high) < 2, (name, other)  # pixels at 100 dots an inch


@pytest.mark.parametrize("figure", FIGURES, ids=ALL)
def test_axes_are_labelled(figure: LectureFigure) -> None:
    with theme():
        drawn = figure.draw()
    for axes in drawn.axes:
        if axes.get_label() == "<colorbar>":
            assert axes.get_ylabel()
            continue
        if axes.images and not axes.get_xticks().size:  # an image has no scale
            continue
        shared = axes.get_shared_x_axes().get_siblings(axes)
        below = axes.get_subplotspec().rowspan.stop < axes.get_subplotspec().get_gridspec().nrows
        assert axes.get_ylabel()
        assert axes.get_xlabel() or len(shared) > 1 or below


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, as WCAG 2 defines it."""
    parts = [value / 255 for value in bytes.fromhex(colour[1:])]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(colour: str, other: str) -> float:
    low, high = sorted(luminance(c) for c in (colour, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_colours_stand_out_from_the_page(colours: Any) -> None:
    ink, paper, soft, palette = colours
    assert contrast(ink, paper) > 12
    for colour in (soft, *palette):
        assert contrast(colour, paper) > 3


# ---- words ----


def test_alternative_texts_tell_the_numbers_that_are_drawn() -> None:
    alts = {figure.name: figure.alt for figure in FIGURES}
    for name in "ABCDE":
        fields = growth(name)
        told = rf"\b{name} (reaches )?{fields[-1].field} (pixels )?after {len(fields)}\b"
        assert re.search(told, alts["receptive-field"])
    for kernels in ((3, 3), (5,), (3, 3, 3), (7,)):
        one = stack(kernels)
        assert f"{one.weights // 256**2}" in alts["stacks"]
        assert f"{one.multiply_adds / 1e9:.1f}" in alts["stacks"]
    groups = [parameters_by_group(name) for name in SIX]
    for layer in ("fc6", "fc7", "fc8"):
        assert {f"{group[layer] / 1e6:.1f}" for group in groups} <= {*alts["parameters"].split()}
    totals = [round(sum(group.values()) / 1e6) for group in groups]
    assert f"{min(totals)} to {max(totals)} million" in alts["parameters"]
    convolutions = [round(group["convolutions"] / 1e6) for group in groups]
    assert f"{min(convolutions)} to {max(convolutions)} million" in alts["parameters"]


def test_names_and_titles_differ_and_all_is_said() -> None:
    assert len(set(ALL)) == len({figure.title for figure in FIGURES}) == len(FIGURES)
    for figure in FIGURES:
        assert figure.shows.endswith(".")
        assert figure.section
        assert len(figure.alt) > 100


def test_an_unknown_name_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown figure 'sotf-max'.*did you mean 'soft-max'\?"):
        write_figures(tmp_path / "x", ["stacks", "sotf-max"])
    assert not (tmp_path / "x").exists()


def test_names_come_in_the_lectures_order() -> None:
    assert [figure.name for figure in chosen(["plateau", "loss", "plateau"])] == ["loss", "plateau"]


# ---- the verb ----


def test_the_verb_lists_what_it_wrote(tmp_path: Path, verydeep: Program) -> None:
    outcome = verydeep("figures", "--out", tmp_path, "--only", "stacks", "--only", "loss", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    value = strict_json(outcome.out)
    assert [figure["name"] for figure in value["figures"]] == ["loss", "stacks"]
    for file in value["files"]:
        assert (Path(value["out"]) / file).is_file()


def test_the_verb_speaks_to_people(tmp_path: Path, verydeep: Program) -> None:
    outcome = verydeep("figures", "--out", tmp_path, "--only", "stacks", "--dark")
    assert outcome.code == 0
    assert "stacks  Stacks of 3x3 convolutions" in outcome.out
    assert str(tmp_path / "index.html") in outcome.out


def test_faults_of_the_verb(tmp_path: Path, verydeep: Program) -> None:
    (tmp_path / "file").write_text("here already")
    for arguments, words in (
        (["--out", tmp_path / "file"], f"{tmp_path / 'file'}: cannot be written"),
        (
            ["--out", tmp_path / "x", "--only", "lnr"],
            "unknown figure 'lnr'; available: soft-max",
        ),
    ):
        outcome = verydeep("figures", *arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert words in outcome.err
        assert "Traceback" not in outcome.err
    assert (tmp_path / "file").read_text() == "here already"
