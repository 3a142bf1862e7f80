"""The card reads as it is meant to: by another library's Markdown, every name is literal text."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import markdown
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from verydeep.models.card import model_card
from verydeep.models.classifier import USE, Classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.vgg import vgg
from verydeep.system.markdown import escape_markdown

HOSTILE = (
    "<script>alert(1)</script>",
    "a|b`c*d_#",
    "[x](javascript:alert(1))",
    "![x](http://example.com/x.png)",
    "# no heading",
    "*bold* _it_ __x__",
    "1. one",
    "- two",
    "> three",
    "two\nlines | x |",
    "&lt;b&gt; &amp;",
    "<!-- x -->",
    "$x$ \\* \\",
    "www.example.com http://example.com <http://example.com>",
    "猫 قطة",
)
TAGS = {
    "p",
    "h1",
    "h2",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "pre",
    "code",
    "ul",
    "ol",
    "li",
}


class Seen(HTMLParser):
    """Keeps the tags and the cells of tables."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.cells: list[str] = []
        self.words: list[str] = []
        self.in_cell = False
        self.feed(html)
        self.close()
        self.cells = [cell.strip() for cell in self.cells]

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        if tag in ("td", "th"):
            self.cells.append("")
            self.in_cell = True

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self.in_cell:
            self.cells[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.in_cell &= tag not in ("td", "th")

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def renderers() -> dict[str, Any]:
    extensions = ["tables", "fenced_code"]
    return {
        "Python-Markdown": lambda text: markdown.markdown(text, extensions=extensions),
        "CommonMark": MarkdownIt("commonmark").enable("table").render,
    }


def named(names: tuple[str, ...], measured: dict[str, Any] | None = None) -> Classifier:
    torch.manual_seed(0)
    net = vgg("A", num_classes=len(names), input_size=32, width=0.125)
    return Classifier(
        net, names, Preprocessing((1.0, 2.0, 3.0)), (32, 32), (32,), measured=measured
    )


@pytest.mark.parametrize("library", renderers())
@pytest.mark.parametrize("many", [False, True], ids=["few", "many"])
def test_class_names_are_literal_and_bring_no_tag(library: str, many: bool) -> None:
    fill = tuple(f"n{k}" for k in range(60 * many))
    card = model_card(named((*HOSTILE, *fill)), USE)
    seen = Seen(renderers()[library](card))
    assert seen.tags <= TAGS
    for name in HOSTILE:
        shown = " ".join(name.split())
        assert shown in (seen.text if many else seen.cells), name


@pytest.mark.parametrize("library", renderers())
@given(name=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1))
def test_any_name_is_literal_in_a_cell(library: str, name: str) -> None:
    seen = Seen(renderers()[library](f"| a | b |\n|---|---|\n| x | {escape_markdown(name)} |\n"))
    assert seen.cells[-1].strip() == name
    assert seen.tags <= TAGS


def test_what_was_measured_is_a_table_with_intervals_and_no_python() -> None:
    measured = {
        "top1_error": 12.5,
        "top1_interval": [8.1, 18.9],
        "top5_error": 0.0,
        "loss": 0.4321,
        "images": 160,
        "unreadable": ["a.jpg", "b.jpg"],
        "protocol": "dense",
        "scales": [32, 48],
        "flip": True,
        "split": "test",
        "steps": ["rescale: to Q", "softmax"],
        "models": ["A"],
        "calibrated": None,
    }
    card = model_card(named(("cat", "dog")), USE)
    assert "Nothing yet" in card
    card = model_card(named(("cat", "dog"), measured), USE)
    seen = Seen(markdown.markdown(card, extensions=["tables", "fenced_code"]))
    place = seen.cells.index("top-1 error")
    assert seen.cells[place + 1 : place + 3] == ["12.50 %", "8.1 to 18.9 %"]
    assert "top-5" not in card
    for word in ("160 images", "split test", "dense", "32, 48 pixels", "with mirror images"):
        assert word in seen.text
    assert not set("[]{}") & set(card)
    assert {"ol", "table"} <= seen.tags


def test_titles_stand_beside_the_names_in_the_data() -> None:
    model = named(("n01", "n02"))
    model.titles = {"n01": "Egyptian cat"}
    card = model_card(model, USE)
    assert "| 0 | Egyptian cat | n01 |" in card
    assert "| 1 | n02 | n02 |" in card


def test_a_licence_that_is_known_is_not_said_to_be_unknown() -> None:
    model = named(("cat", "dog"))
    assert "licences of the training images and of this model are not recorded" in model_card(
        model, USE
    )
    model.source = {"file": "d.pth", "format": "PyTorch weights", "licence": "CC BY 4.0"}
    card = model_card(model, USE)
    assert "Licence of the weights: CC BY 4.0." in card
    assert "The licence of the training images is not recorded here." in card
    assert "of this model" not in card.partition("## Limits")[2]
