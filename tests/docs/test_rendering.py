"""Every page is rendered as it was meant: no table, list or emphasis is left as plain text."""

from pathlib import Path

import pytest
import yaml
from broken_markdown import faults
from markdown import Markdown
from markdown_pages import ROOT, documents, name_of
from mathematics import Mathematics

PAGES = [*documents(), ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]


def rendered(text: str) -> str:
    """Return a page as the site renders it, without the text that the build adds to it."""
    written = (ROOT / "mkdocs.yml").read_text("utf-8").partition("markdown_extensions:\n")[2]
    named = yaml.safe_load(written.partition("\n\n")[0])
    settings = [entry if isinstance(entry, dict) else {entry: {}} for entry in named]
    configs = {name: values for setting in settings for name, values in setting.items()}
    maker = Markdown(extensions=[*configs, Mathematics()], extension_configs=configs)
    own = [line for line in text.splitlines() if not line.startswith(("::: ", "    "))]
    return maker.convert("\n".join(own) if "\n::: " in text else text)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_nothing_of_a_page_is_left_as_markdown(page: Path) -> None:
    assert faults(rendered(page.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("| a | b |\n|---|---|\n| 1 | 2 |\n\n| 3 | 4 |", "a row outside of a table"),
        ("a word\n| a | b |\n|---|---|\n| 1 | 2 |", "a row outside of a table"),
        ("Two:\n- one\n- two", "a list within a paragraph"),
        ("Steps:\n1. one\n2. two", "a list within a paragraph"),
        ("a word\n  ## A heading", "a heading within a paragraph"),
        ("an `open tick", "a fence or code"),
        ("a **word", "emphasis"),
        ("a [link] (x.md), [another](x.md", "a link"),
        ("# A\n\nwhere $x is", "mathematics"),
        ("# A\n\n### B", "a heading of level 3"),
        ("# A\n\n# B", "several main headings"),
        ("| a | b |\n|---|---|", "an empty row"),
        ("[](x.md)", "a link without text"),
        ("![](x.png)", "an image without alternative text"),
    ],
)
def test_what_is_left_as_markdown_is_seen(text: str, fault: str) -> None:
    assert any(one.startswith(fault) for one in faults(rendered(text)))


def test_sound_markdown_has_no_faults() -> None:
    text = (
        "# One\n\n## 1. Two\n\nA $k$, `**a | b**`, *b*, \\$5 and [c](d.md) ![e](f.png).\n\n"
        "| a | `b` |\n|---|---|\n| 1 | |\n\n- one\n- two\n\n```python\na = b | c  # **d**\n```\n"
    )
    assert faults(rendered(text)) == []


def test_the_style_sheet_finds_output_to_scroll() -> None:
    assert '<div class="language-text highlight">' in rendered("```text\na | b\n```")
    assert ".language-text pre > code" in (ROOT / "docs/assets/site.css").read_text("utf-8")
