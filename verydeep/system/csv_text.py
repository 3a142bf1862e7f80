r"""CSV as text, in which no cell is a formula to a spreadsheet.

Spreadsheets compute a cell that begins with ``=``, ``+``, ``-`` or ``@``, also behind blanks, and
class and file names come from anywhere. Text that begins so therefore stands behind an apostrophe,
as do names that already begin with apostrophes and go on so: exactly one apostrophe is added, and
:func:`unguard` takes exactly that one away. Numbers are left alone, negative ones too.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence

FORMULA = re.compile(r"'*(?:[\t\r\n]|\s*[=+\-@＝＋－＠])")
"""Beginning of a text that a spreadsheet may compute; full-width signs count in East Asia."""


class Digits(str):
    """A number in the digits that a table has for it."""


def digits(value: float, form: str) -> Digits:
    """Return a number in a format, to be written as a number.

    >>> digits(-0.5, ".3f")
    '-0.500'
    """
    return Digits(format(value, form))


def guard(text: str) -> str:
    """Return text that no spreadsheet computes.

    >>> guard("=1+1"), guard("-1.jpg"), guard("'=1"), guard("'tis"), guard("a=1")
    ("'=1+1", "'-1.jpg", "''=1", "'tis", 'a=1')
    """
    return f"'{text}" if FORMULA.match(text) else text


def unguard(cell: str) -> str:
    """Return the text that :func:`guard` made a cell of.

    >>> unguard("'=1+1"), unguard("'tis"), unguard("-1")
    ('=1+1', "'tis", '-1')
    """
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    r"""Return rows as CSV, a line each, commas between the cells.

    Args:
        rows: Cells are text, numbers or :class:`Digits`; None is an empty cell.

    >>> csv_text([("file", "x"), ("-a.jpg", -1.5), ("@b.jpg", digits(-2, ".1f"))])
    "file,x\n'-a.jpg,-1.5\n'@b.jpg,-2.0\n"
    """
    lines = _Lines()
    # With this end of a line, a carriage return in a cell is quoted by every Python.
    writer = csv.writer(lines, lineterminator="\r\n")
    writer.writerows([_cell(cell) for cell in row] for row in rows)
    return "".join(lines)


class _Lines(list[str]):
    """Takes a line at a time, and ends it by a line feed alone."""

    def write(self, line: str) -> None:
        self.append(line.removesuffix("\r\n") + "\n")


def _cell(cell: object) -> object:
    return guard(cell) if isinstance(cell, str) and not isinstance(cell, Digits) else cell
