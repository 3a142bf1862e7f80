"""Escaping of untrusted names in Markdown."""

from __future__ import annotations

import re

from verydeep.errors import printable

ENTITIES = {sign: f"&#{ord(sign)};" for sign in "&<>`|$~#!"}
"""Characters of HTML, code, tables, formulas, links and headings in any dialect."""

MARKS = re.compile(r"[\\*\[\]]|(?<![^\W_])_|_(?![^\W_])")
"""Characters of emphasis and links; an underscore within a word is neither."""


def escape_markdown(text: str) -> str:
    r"""Return text as one line of Markdown that looks the same.

    >>> print(escape_markdown("my_cat"), escape_markdown("*a* <b>"), escape_markdown("x|y"))
    my_cat \*a\* &#60;b&#62; x&#124;y
    """
    line = printable(" ".join(text.splitlines()) if "\n" in text or "\r" in text else text)
    marked = MARKS.sub(lambda found: f"\\{found[0]}", " ".join(line.split()))
    plain = "".join(ENTITIES.get(sign, sign) for sign in marked)
    # Neither a URL that becomes a link, nor the name of an emoji.
    return re.sub(r":(?=\S)", "&#58;", plain)
