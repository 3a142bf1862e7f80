"""Tables that notebooks show in the place of a value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

STYLE = "text-align:left"


def html_table(rows: Iterable[Sequence[object]], head: Sequence[object] = ()) -> str:
    """Return an HTML table; names of files and classes can do nothing in it.

    Args:
        rows: Cells of each row; the first names it.
        head: Names of the columns, if any.

    >>> html_table([("<b>", 1.5)])
    '<table><tr><th style="text-align:left">&lt;b&gt;</th><td>1.5</td></tr></table>'
    """
    lines = [f"<tr>{''.join(_cell('th', cell) for cell in head)}</tr>"] if head else []
    lines += [
        f"<tr>{_cell('th', first)}{''.join(_cell('td', cell) for cell in cells)}</tr>"
        for first, *cells in rows
    ]
    return f"<table>{''.join(lines)}</table>"


def _cell(tag: str, value: object) -> str:
    style = f' style="{STYLE}"' if tag == "th" else ""
    return f"<{tag}{style}>{escape(str(value))}</{tag}>"
