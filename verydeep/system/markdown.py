"""Names from elsewhere in Markdown: as they are, and neither marks nor HTML."""

from __future__ import annotations

import re

from verydeep.errors import printable

ENTITIES = {sign: f"&#{ord(sign)};" for sign in "&<>`|$~#!"}
"""Signs of HTML, code, tables, formulas, links and headings, for readers of every dialect."""

MARKS = re.compile(r"[\\*\[\]]|(?<![^\W_])_|_(?![^\W_])")
"""Signs of emphasis and links; a stroke within a word is none."""


def escape_markdown(text: str) -> str:
    r"""Return text, in one line, as Markdown that looks the same.

    >>> print(escape_markdown("my_cat"), escape_markdown("*a* <b>"), escape_markdown("x|y"))
    my_cat \*a\* &#60;b&#62; x&#124;y
    """
    marked = MARKS.sub(lambda found: f"\\{found[0]}", " ".join(printable(_in_a_line(text)).split()))
    plain = "".join(ENTITIES.get(sign, sign) for sign in marked)
    # Neither an address that becomes a link, nor the name of a small image.
    return re.sub(r":(?=\S)", "&#58;", plain)


def _in_a_line(text: str) -> str:
    return " ".join(text.splitlines()) if "\n" in text or "\r" in text else text
