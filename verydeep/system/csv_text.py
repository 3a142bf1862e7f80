r"""CSV text without cells that spreadsheets would evaluate as formulas.

Spreadsheets evaluate cells that begin with ``=``, ``+``, ``-`` or ``@``, even after blanks, and
class and file names come from anywhere. Such text gets an apostrophe in front, also if it already
begins with apostrophes: exactly one is added, which :func:`unguard` removes. Numbers, including
negative ones, are unchanged. The standard :mod:`csv` does the rest.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from verydeep.system.files import write_atomically

FORMULA = re.compile(r"'*(?:[\t\r\n]|\s*[=+\-@＝＋－＠])")
"""Beginning of text that a spreadsheet may evaluate; full-width signs count in East Asia."""


SEPARATOR = "|"
"""Between several names in one cell; the tables that are read accept it, too."""


def in_one_cell(names: Iterable[str]) -> str:
    """Return several names, such as the labels of an image, as one cell.

    >>> in_one_cell(["cat", "fox"]), in_one_cell([])
    ('cat|fox', '')
    """
    return SEPARATOR.join(names)


class Digits(str):
    """A formatted number."""


def digits(value: float, form: str) -> Digits:
    """Format a number that is to be written as a number.

    >>> digits(-0.5, ".3f")
    '-0.500'
    """
    return Digits(format(value, form))


def guard(text: str) -> str:
    """Return text that no spreadsheet evaluates.

    >>> guard("=1+1"), guard("-1.jpg"), guard("'=1"), guard("'tis"), guard("a=1")
    ("'=1+1", "'-1.jpg", "''=1", "'tis", 'a=1')
    """
    return f"'{text}" if FORMULA.match(text) else text


def unguard(cell: str) -> str:
    """Return the text from which :func:`guard` made a cell.

    >>> unguard("'=1+1"), unguard("'tis"), unguard("-1")
    ('=1+1', "'tis", '-1')
    """
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    r"""Return rows as CSV with commas and line feeds.

    Args:
        rows: Rows of text, numbers or :class:`Digits`; None for an empty cell.

    >>> csv_text([("file", "x"), ("-a.jpg", -1.5), ("@b.jpg", digits(-2, ".1f"))])
    "file,x\n'-a.jpg,-1.5\n'@b.jpg,-2.0\n"
    """
    text = io.StringIO(newline="")
    _write(rows, text)
    return text.getvalue()


def write_csv(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write rows as by :func:`csv_text` to a file in UTF-8, atomically, a row at a time.

    Raises:
        InputError: The path is not writable.
        DiskError: The disk is full or failing.
    """

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            _write(rows, file)

    write_atomically(path, write)


def _write(rows: Iterable[Sequence[object]], file: TextIO) -> None:
    # With this line ending, every Python version quotes a carriage return in a cell.
    writer = csv.writer(_LineFeeds(file), lineterminator="\r\n")
    writer.writerows([_cell(cell) for cell in row] for row in rows)


class _LineFeeds:
    """Ends each line with a line feed alone."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, line: str) -> None:
        self.file.write(line.removesuffix("\r\n") + "\n")


def _cell(cell: object) -> object:
    return guard(cell) if isinstance(cell, str) and not isinstance(cell, Digits) else cell
