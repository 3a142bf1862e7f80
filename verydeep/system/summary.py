"""Display of results: a short line at the prompt, a small table in a notebook."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from html import escape
from math import isnan

Rows = Iterable[tuple[str, object]]

STYLE = "text-align:left"


class Summary:
    """A value displayed by its main facts."""

    @abstractmethod
    def facts(self) -> Rows:
        """Yield (name, value) pairs to show."""

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}: {value}" for name, value in self.facts())
        return f"{type(self).__name__}({facts})"

    def _repr_html_(self) -> str:
        return html_table(self.facts())


def html_table(rows: Iterable[Sequence[object]], head: Sequence[object] = ()) -> str:
    """Return an HTML table with escaped cells.

    Args:
        rows: Cells of each row; the first is its header.
        head: Column names, if any.

    >>> html_table([("<b>", 1.5)])
    '<table><tr><th style="text-align:left">&lt;b&gt;</th><td>1.5</td></tr></table>'
    """
    lines = [f"<tr>{''.join(_cell('th', cell) for cell in head)}</tr>"] if head else []
    lines += [
        f"<tr>{_cell('th', first)}{''.join(_cell('td', cell) for cell in cells)}</tr>"
        for first, *cells in rows
    ]
    return f"<table>{''.join(lines)}</table>"


def percent(error: float, interval: Sequence[float] | None = None) -> str:
    """Format an error with its 95 % confidence interval; NaN is one that is undefined.

    >>> percent(14.4, (11.23, 17.3)), percent(5), percent(float("nan"))
    ('14.40 % (11.2 to 17.3)', '5.00 %', 'undefined')
    """
    if isnan(error):
        return "undefined"
    return f"{error:.2f} %" + ("" if interval is None else " ({:.1f} to {:.1f})".format(*interval))


def listed(names: Sequence[str], most: int = 5) -> str:
    """Join names with commas, and count those left out.

    >>> listed(["a", "b", "c"], 2), listed(["a"])
    ('a, b and 1 more', 'a')
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def _cell(tag: str, value: object) -> str:
    style = f' style="{STYLE}"' if tag == "th" else ""
    return f"<{tag}{style}>{escape(str(value))}</{tag}>"
