"""Results of many tests of the same models, arranged in parts, whatever the results measure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from string import ascii_lowercase
from typing import Any, ClassVar, Generic, Self, TypeVar

from verydeep.evaluation.any_evaluation import AnyEvaluation
from verydeep.system.summary import html_table

R = TypeVar("R", bound=AnyEvaluation)

_STRENGTH = {"both": 2, "crops": 1}


@dataclass(frozen=True)
class Row(Generic[R]):
    """One test in the table.

    Attributes:
        letter: Label in comparisons.
        table: Part of the table that it belongs to.
        result: Result of the test.
    """

    letter: str
    table: str
    result: R


@dataclass(frozen=True, repr=False)
class ProtocolTable(Generic[R]):
    """All tests of the given models on one split.

    Attributes:
        rows: In the order of the paper's tables.
        seconds: Total time.
        measure: Title of what is shown of each result.
    """

    rows: tuple[Row[R], ...]
    seconds: float
    measure: ClassVar[str]

    @property
    def best_known(self) -> Row[R]:
        """Row with the paper's strongest protocol: dense and crops, the most nets fused."""
        return max(self.rows, key=_strength)

    def measured(self, result: R) -> str:
        """Return what is shown of a result."""
        raise NotImplementedError

    def with_facts(self, facts: Mapping[str, Any]) -> Self:
        """Return the table with attributes of all results set."""
        rows = tuple(replace(row, result=replace(row.result, **facts)) for row in self.rows)
        return replace(self, rows=rows)

    def _repr_html_(self) -> str:
        head = ("", "net", "protocol", "scales", self.measure)
        return html_table((self._cells(row) for row in self.rows), head)

    def _cells(self, row: Row[R]) -> tuple[str, ...]:
        one = row.result
        scales = ", ".join(map(str, one.scales))
        return (row.letter, " + ".join(one.models), one.protocol, scales, self.measured(one))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, at the top level those of :attr:`best_known`.

        Protocol, scales and seconds at the top level cover all tests.
        """
        results = [row.result for row in self.rows]
        return {
            **self.best_known.result.to_dict(),
            "protocol": "all",
            "scales": sorted({scale for result in results for scale in result.scales}),
            "seconds": self.seconds,
            "top_row": self.best_known.letter,
            "tests": [
                {"row": row.letter, "table": row.table, **row.result.to_dict()} for row in self.rows
            ],
        }


def _strength(row: Row[R]) -> tuple[int, int]:
    """Return how strong a test is by the paper: the more nets fused, the better; then its views."""
    return len(row.result.models), _STRENGTH.get(row.result.protocol, 0)


def make_rows(parts: Iterable[str], results: Iterable[R]) -> tuple[Row[R], ...]:
    """Return the rows of a table, from the part that each result belongs to."""
    pairs = enumerate(zip(parts, results, strict=True))
    return tuple(Row(letter_of(place), part, result) for place, (part, result) in pairs)


def letter_of(place: int) -> str:
    """Return the label of a row: a to z, then aa, ab and so on.

    >>> letter_of(0), letter_of(25), letter_of(26)
    ('a', 'z', 'aa')
    """
    more, place = divmod(place, len(ascii_lowercase))
    return (ascii_lowercase[more - 1] if more else "") + ascii_lowercase[place]
