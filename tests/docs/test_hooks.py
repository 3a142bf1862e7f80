"""What the build adds to pages: text from the program, links from docstrings, navigation."""

import re
from pathlib import Path
from types import SimpleNamespace

import figures
import generated
import griffe
import navigation
import pytest
import roles
import theme
import yaml

from verydeep.recipe.recipe import Recipe, known_keys, shipped
from verydeep.visualization.lecture.figures import FIGURES
from verydeep.visualization.lecture.photograph.figures import PHOTOGRAPH_FIGURES

DOCS = Path(__file__).resolve().parents[2] / "docs"
ROWS = dict(re.findall(r"^\| `([\w.]+)` \| (.*) \|$", generated.recipe_keys(), re.MULTILINE))


def test_there_is_a_row_for_each_key_of_a_recipe_and_no_other() -> None:
    assert tuple(ROWS) == known_keys()


@pytest.mark.parametrize("key", known_keys())
def test_a_row_has_what_the_key_is_its_default_and_its_values(key: str) -> None:
    what, default, takes = re.split(r"(?<!\\) \| ", ROWS[key])
    assert what.strip()
    assert takes.strip()
    section, _, name = key.partition(".")
    settings = Recipe(localization={}, transfer={}).model_dump(mode="json")
    assert yaml.safe_load(default.strip("`")) == settings[section][name]


def test_values_are_what_the_recipe_takes() -> None:
    assert ROWS["net.norm"].endswith("| `batch` or null")
    assert ROWS["training.momentum"].endswith("| number ≥ 0 and < 1")
    assert ROWS["data.train_scale"].endswith("| 2 whole numbers")
    assert ROWS["data.flip"].endswith("| true, false")


def test_recipes_that_come_along_are_shown_whole() -> None:
    shown = re.findall(r"### `([\w-]+)`\n\n```yaml\n(.*?)\n```", generated.recipes(), re.DOTALL)
    assert tuple(name for name, _ in shown) == shipped()
    assert all(set(yaml.safe_load(text) or ()) <= set(Recipe.model_fields) for _, text in shown)


def test_marks_in_pages_are_filled_and_unknown_ones_refused() -> None:
    page = "before\n\n<!-- generated: recipes -->\n\nbehind"
    assert generated.on_page_markdown(page).count("```yaml") == len(shipped())
    with pytest.raises(KeyError):
        generated.on_page_markdown("<!-- generated: nothing -->")


@pytest.mark.parametrize("root", ["", "../"])
def test_figures_come_light_and_dark_with_words_and_a_link(root: str) -> None:
    plain = f'<p><img alt="A &amp; B" src="{root}images/lecture/lrn.png" /></p>'
    made = figures.on_page_content(f"<p>x</p>{plain}<p>y</p>")
    (one,) = (figure for figure in FIGURES if figure.name == "lrn")
    assert made.startswith('<p>x</p><figure class="lecture" style="--inches: 11"><a ')
    assert made.endswith("</figcaption></figure><p>y</p>")
    assert f'href="{root}images/lecture/lrn.png"' in made
    for kind, folder in (("light", "lecture"), ("dark", "lecture-dark")):
        source = f"{root}images/{folder}/lrn.png#only-{kind}"
        assert f'<img alt="A &amp; B" src="{source}">' in made
    assert one.title in made
    assert one.shows in made


def test_a_figure_that_cannot_be_drawn_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    plain = '<p><img alt="" src="images/lecture/nothing.png"></p>'
    assert figures.on_page_content(plain) == plain
    assert "'nothing'" in caplog.text


def test_every_figure_is_drawn_for_both_pages_and_shown_in_the_lecture() -> None:
    pages = "".join(page.read_text("utf-8") for page in (DOCS / "lecture").glob("*.md"))
    for figure in (*FIGURES, *PHOTOGRAPH_FIGURES):
        for folder in ("lecture", "lecture-dark"):
            assert (DOCS / "images" / folder / f"{figure.name}.png").is_file()
        assert f"/images/lecture/{figure.name}.png)" in pages


SOURCE = '''
"""About :class:`Net` and :func:`~elsewhere.thing`.

::

    a tree
"""

class Net:
    """Has :meth:`run`; see :func:`verydeep.vgg` and :data:`NOWHERE`.

    >>> 1 + 1
    2

    More.
    """

    def run(self):
        """Not ``:func:``."""
'''


def test_docstrings_become_markdown() -> None:
    extensions = griffe.load_extensions(roles.Roles)
    files = {"__init__.py": "", "m.py": SOURCE}
    with griffe.temporary_visited_package("p", files, extensions=extensions) as package:
        page, net = package["m"].docstring.value, package["m.Net"].docstring.value
    assert '<autoref identifier="p.m.Net" optional>`Net`</autoref>' in page
    assert '<autoref identifier="elsewhere.thing" optional>`thing`</autoref>' in page
    assert "::" not in page
    assert "\n    a tree" in page
    assert '<autoref identifier="p.m.Net.run" optional>`run`</autoref>' in net
    assert '<autoref identifier="verydeep.vgg" optional>`vgg`</autoref>' in net
    assert "```pycon\n>>> 1 + 1\n2\n```\n\nMore." in net


def test_a_setting_with_help_is_shown_with_its_default() -> None:
    source = """
from dataclasses import dataclass

@dataclass
class Settings:
    \"\"\"All of them.\"\"\"

    name: str = described("dense", "a long explanation")
    plain: int = 3
"""
    files = {"__init__.py": "", "m.py": source}
    extensions = griffe.load_extensions(roles.Roles)
    with griffe.temporary_visited_package("p", files, extensions=extensions) as package:
        shown = {p.name: str(p.default) for p in package["m.Settings"].parameters}
    assert shown == {"self": "None", "name": "'dense'", "plain": "3"}


def test_navigation_finds_pages(tmp_path: Path) -> None:
    for name in ("index", "b", "a", "named", "talk/2-x", "talk/1-y", "talk/index"):
        page = tmp_path / f"{name}.md"
        page.parent.mkdir(exist_ok=True)
        page.touch()
    nav = ["index.md", {"Guide": ["named.md", "*.md"]}, {"Talk": ["talk/"]}, {"None": ["none/"]}]
    made = navigation.on_config(SimpleNamespace(docs_dir=tmp_path, nav=nav)).nav
    assert made == [
        "index.md",
        {"Guide": ["named.md", "a.md", "b.md"]},
        {"Talk": ["talk/index.md", "talk/1-y.md", "talk/2-x.md"]},
    ]


def test_flags_are_not_broken_within_a_line() -> None:
    block = "<pre><span></span><code>verydeep --out x</code></pre>"
    made = theme.on_page_content(f"<p>With <code>--out a-b -x</code>.</p>{block}")
    flags = [f'<span class="unbroken">{flag}</span>' for flag in ("--out", "-x")]
    assert made == f"<p>With <code>{flags[0]} a-b {flags[1]}</code>.</p>{block}"
