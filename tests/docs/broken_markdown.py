"""Signs in a rendered page that its Markdown was not understood as it was meant."""

from __future__ import annotations

import re
from html.parser import HTMLParser

SIGNS = {
    "a row outside of a table": r"^\s*\|[^|\n]+\|[^|\n]+\||^\|?\s*:?-{3,}:?\s*\|",
    "a list within a paragraph": r"\A.*\S.*\n\s*(?:[-*+]|\d+[.)]) ",
    "a heading within a paragraph": r"^\s*#+ ",
    "a fence or code": r"`|~~~",
    "emphasis": r"\*\*|(?<!\w)__(?=\w)",
    "a link": r"\]\(|\]\[(?!verydeep\.)",
    "mathematics": r"\$(?!\d)",
    "a directive": r"^:::|^!!!|^\?\?\?|\{: ?[#.]|\{[#.]\w",
    "a tag or comment": r"</?[a-z]+[ >/]|<!--|-->",
}
"""What to look for in the text of a block outside of code."""

HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
CELLS = {"td", "th"}
BLOCKS = HEADINGS | CELLS | {"p", "li", "dt", "dd", "figcaption", "summary", "blockquote", "div"}
VOID = {"area", "br", "col", "hr", "img", "input", "link", "meta", "path", "source", "wbr"}
CODE = {"code", "pre", "math", "script", "style", "svg"}


class Rendered(HTMLParser):
    """What stands in a page, or in its article where it has one.

    Attributes:
        texts: Text of each block, code left out.
        headings: Level and text of each heading.
        tables: Texts of the cells of each row of each table.
        links: Text of each link with an address; an image counts.
        images: Alternative texts.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.headings: list[tuple[int, str]] = []
        self.tables: list[list[list[str]]] = []
        self.links: list[str] = []
        self.images: list[str] = []
        self.open: list[str] = []
        start = html.find("<article")
        self.feed(html[max(start, 0) : html.find("</article>") if start >= 0 else None])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag in BLOCKS:
            self.texts.append("")
        if tag in HEADINGS:
            self.headings.append((int(tag[1]), ""))
        match tag:
            case "table":
                self.tables.append([])
            case "tr":
                self.tables[-1].append([])
            case "td" | "th":
                self.tables[-1][-1].append("")
            case "a":
                self.links.append("" if "href" in values else "a name")
                # A line number of a block of code has no text.
                self.links[-1] += values.get("id") or ""
            case "img":
                self.images.append(values.get("alt") or "")
                if self.links:
                    self.links[-1] += "an image"

    def handle_endtag(self, tag: str) -> None:
        while tag in self.open and self.open.pop() != tag:
            pass
        if tag in BLOCKS:
            self.texts.append("")

    def handle_data(self, data: str) -> None:
        if "a" in self.open:
            self.links[-1] += data.strip()
        if CELLS & {*self.open}:
            self.tables[-1][-1][-1] += data
        if self.headings and HEADINGS & {*self.open}:
            level, text = self.headings[-1]
            self.headings[-1] = (level, text + data)
        if self.texts:
            self.texts[-1] += "…" if CODE & {*self.open} else data


def faults(html: str) -> list[str]:
    """Describe each place of a page that looks like Markdown left over.

    Args:
        html: A built page, or rendered Markdown.

    Returns:
        One line a fault, with the text around it; empty for a sound page.
    """
    page = Rendered(html)
    found = [
        f"{sign}: {text.strip()[:80]!r}"
        for text in page.texts
        for sign, pattern in SIGNS.items()
        if re.search(pattern, text.strip("\n"), re.MULTILINE)
    ]
    level = 1
    for number, text in page.headings:
        if number > level + 1 or not text.strip("¶ \n"):
            found.append(f"a heading of level {number} after level {level}: {text!r}")
        level = number
    if (main := [text for number, text in page.headings if number == 1]) and len(main) > 1:
        found.append(f"several main headings: {main}")
    for table in page.tables:
        if len(table) < 2 or len({len(row) for row in table}) > 1:
            found.append(f"a table with no or uneven rows: {table[0]}")
        found += [f"an empty row in {table[0]}" for row in table[1:] if not "".join(row).strip()]
    found += ["a link without text" for text in page.links if not text]
    found += ["an image without alternative text" for text in page.images if not text.strip()]
    return found
