r"""Mathematics at build time: LaTeX in ``$…$`` and ``$$…$$`` becomes MathML, without JavaScript.

A dollar sign opens mathematics if no space follows it, and closes it if no space precedes and no
digit follows it, so that amounts of money stay text; ``\$`` is always a dollar sign. Code is not
changed. The LaTeX is kept in ``alttext``.
"""

from __future__ import annotations

import logging
import re
from functools import cache
from typing import Any
from xml.etree import ElementTree

from latex2mathml.converter import convert
from markdown import Markdown
from markdown.blockprocessors import BlockProcessor
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor
from markdown.util import AtomicString

INLINE = r"(?<![\\$])\$(?![\s$])((?:\\.|[^$\\])+?)(?<!\s)\$(?![\d$])"
DISPLAY = r"(?<!\\)\$\$(.+?)\$\$"
CHILDREN = {"mfrac": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2, "mroot": 2, "msubsup": 3}
MATHML = "http://www.w3.org/1998/Math/MathML"

# A warning makes a strict build fail.
log = logging.getLogger("mkdocs.hooks.mathematics")


@cache
def mathml(latex: str, *, display: bool = False) -> str:
    """Return LaTeX as a ``math`` element, with the LaTeX as its alternative text.

    Raises:
        ValueError: Invalid LaTeX, or a command that cannot be converted.
    """
    latex = " ".join(latex.split())
    try:
        made = convert(latex, display="block" if display else "inline")
        root = ElementTree.fromstring(made)  # noqa: S314  # from our own documentation
    except Exception as error:  # the converter defines no base class
        raise ValueError(f"{latex!r} is invalid LaTeX: {type(error).__name__} {error}") from error
    unknown = [element.text for element in root.iter() if "\\" in (element.text or "")]
    if unknown:
        raise ValueError(f"{latex!r} has a command that cannot be converted: {unknown[0]}")
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{MATHML}}}")
        if len(element) != CHILDREN.get(element.tag, len(element)):
            raise ValueError(f"{latex!r}: something is missing; <{element.tag}> has {len(element)}")
    _space_functions(root)
    root.set("alttext", latex)
    root.set("xmlns", MATHML)
    return ElementTree.tostring(root, encoding="unicode")


def _space_functions(root: ElementTree.Element) -> None:
    """Insert a thin space between a function name and an argument without brackets."""
    for parent in [*root.iter("mrow"), *root.iter("math")]:
        for place, element in reversed([*enumerate(parent)][:-1]):
            name = element[0] if element.tag in ("msub", "msup", "msubsup") else element
            argument = parent[place + 1].tag != "mo"
            if name.tag == "mi" and len(name.text or "") > 1 and argument:
                parent.insert(place + 1, ElementTree.Element("mspace", {"width": "0.17em"}))


def _stash(md: Markdown, latex: str, *, display: bool) -> str:
    """Return a placeholder that Markdown replaces by MathML at the end."""
    try:
        made = mathml(latex, display=display)
    except ValueError as error:
        log.warning("%s", error)
        return latex
    return md.htmlStash.store(made)


class _Inline(InlineProcessor):
    """Inline mathematics, kept on one line with the punctuation after it."""

    close = re.compile(r"(?:-[a-z]+)?[.,;:!?)]*")

    def __init__(self, pattern: str, md: Markdown, *, display: bool) -> None:
        super().__init__(pattern, md)
        self.display = display

    def handleMatch(  # noqa: N802  # the name is Markdown's
        self, m: re.Match[str], data: str
    ) -> tuple[str | ElementTree.Element, int, int]:
        made = _stash(self.md, m[1], display=self.display)
        behind = self.close.match(data, m.end(0))
        if not behind or not behind[0] or self.display:
            return made, m.start(0), m.end(0)
        whole = ElementTree.Element("span", {"class": "unbroken"})
        whole.text = AtomicString(made + behind[0])
        return whole, m.start(0), behind.end()


class _Display(BlockProcessor):
    """Display mathematics between double dollar signs, scrollable on narrow screens."""

    whole = re.compile(r"\s*\$\$(.+?)\$\$[ \t]*([.,;]?)\s*", re.DOTALL)

    def test(self, parent: ElementTree.Element, block: str) -> bool:
        return bool(self.whole.fullmatch(block))

    def run(self, parent: ElementTree.Element, blocks: list[str]) -> None:
        found = self.whole.fullmatch(blocks.pop(0))
        assert found
        element = ElementTree.SubElement(parent, "div", {"class": "mathematics", "tabindex": "0"})
        latex = found[1] + (rf"\text{{{found[2]}}}" if found[2] else "")
        element.text = AtomicString(_stash(self.parser.md, latex, display=True))


class Mathematics(Extension):
    """Markdown extension for mathematics between dollar signs."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802  # the name is Markdown's
        """Register after code, which keeps its dollar signs, and before LaTeX-like escapes."""
        md.parser.blockprocessors.register(_Display(md.parser), "mathematics", 85)
        md.inlinePatterns.register(_Inline(DISPLAY, md, display=True), "display", 186)
        md.inlinePatterns.register(_Inline(INLINE, md, display=False), "mathematics", 185)
        md.ESCAPED_CHARS.append("$")


def on_config(config: Any) -> Any:
    """Enable mathematics in every page and docstring."""
    config.markdown_extensions.append(Mathematics())
    return config
