"""LaTeX becomes MathML, and money stays money."""

import logging
import re
from xml.etree import ElementTree

import pytest
from markdown import Markdown
from mathematics import Mathematics, mathml

OPTIONS = ["pymdownx.superfences", "tables", Mathematics()]


def rendered(text: str) -> str:
    return Markdown(extensions=OPTIONS).convert(text)


def formulas(text: str) -> list[str]:
    return re.findall(r'alttext="([^"]*)"', rendered(text))


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("so $x^2$ is", ["x^2"]),
        ("$a$, $b_1$ and $c_{i,j}$.", ["a", "b_1", "c_{i,j}"]),
        (r"$\{a_1, \dots\}$", [r"\{a_1, \dots\}"]),
        ("$a * b * c$ and $d_e f_g$", ["a * b * c", "d_e f_g"]),
        ("a net's $K$-th class", ["K"]),
        (r"half \$ of $x$", ["x"]),
        ("| a |\n|---|\n| $x_1$ |", ["x_1"]),
        ("# Of $x$\n", ["x"]),
        ("*the $x$*", ["x"]),
        ("inside $$x$$ a line", ["x"]),
        ("$$\nx\n= y\n$$", ["x = y"]),
        ("- one\n\n    $$x$$", ["x"]),
    ],
)
def test_mathematics_is_found(text: str, latex: list[str]) -> None:
    assert formulas(text) == latex
    assert "$x" not in rendered(text)


@pytest.mark.parametrize(
    "text",
    [
        "costs $5 and $10",
        "from $5 to $6.",
        "$HOME and $PATH",
        "`$x$`",
        "```sh\necho $x$ $$y$$\n```",
        "    echo $x$\n",
        r"\$x\$",
        "a $ b $ c",
        "$100$200",
    ],
)
def test_dollars_are_left_alone(text: str) -> None:
    assert "<math" not in rendered(text)
    assert "$" in rendered(text)


def test_display_has_a_block_of_its_own_that_scrolls() -> None:
    made = rendered("Before\n\n$$\\frac{a}{b}$$\n\nbehind")
    block = re.search(
        r'<div class="mathematics" tabindex="0">(<math.*</math>)</div>', made, re.DOTALL
    )
    assert block
    root = ElementTree.fromstring(block[1])
    assert root.get("display") == "block"
    assert root.find(".//{*}mfrac") is not None


def test_mathml_says_what_latex_says() -> None:
    root = ElementTree.fromstring(mathml(r"-x_i + \log \sum_{j=1}^K e^{x_j}"))
    words = [element.text for element in root.iter() if element.text]
    assert "log" in words
    assert "∑" in words
    assert root.get("alttext") == r"-x_i + \log \sum_{j=1}^K e^{x_j}"
    assert [e.text for e in root.find(".//{*}msub")] == ["x", "i"]


def test_functions_keep_their_distance() -> None:
    spaced = {latex: "<mspace" in mathml(latex) for latex in (r"\log s", r"\log(s)", "a b", "-x")}
    assert spaced == {r"\log s": True, r"\log(s)": False, "a b": False, "-x": False}


def test_no_line_begins_with_the_comma_behind_mathematics() -> None:
    assert re.search(r'<span class="unbroken"><math.*</math>,</span> and', rendered("$x$, and"))
    assert re.search(r"</math>-th</span> one", rendered("the $K$-th one"))
    assert "unbroken" not in rendered("$x$ and")


@pytest.mark.parametrize("latex", [r"\nosuchcommand{x}", r"\frac{a}"])
def test_what_cannot_be_converted_is_told(latex: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(latex))):
        mathml(latex)
    with caplog.at_level(logging.WARNING, "mkdocs"):
        rendered(f"${latex}$")
    assert len(caplog.records) == 1
