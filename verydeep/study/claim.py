"""A claim of the paper as data: comparisons of two tests, each with a relation to expect.

A comparison is of the errors of two tests, or of several pairs of tests averaged: "several test
scales beat one" averages over the nets that were tested both ways.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from verydeep.study.conditions import Need
from verydeep.study.published import compared_error

Relation = Literal["lower", "not lower", "alike"]
Group = Literal[
    "depth",
    "lrn",
    "jitter",
    "scales",
    "crops",
    "fusion",
    "filters",
    "initialise",
    "localization",
    "transfer",
]

MARGIN = 1.0
"""Smallest difference of errors that matters, in points, where a claim denies a difference.

The paper reports its errors to 0.1 points, and the steps that it calls improvements measure about
0.5 to 2 points.
"""


@dataclass(frozen=True)
class Comparison:
    """Two tests, or pairs of tests averaged, and the relation that the paper claims.

    Attributes:
        first: Short name of the first side, such as ``B``.
        second: Short name of the second.
        pairs: Pairs of tests (of the first side, of the second).
        relation: ``lower``: the first has the lower error; ``not lower``: its error is not lower by
            ``margin`` or more; ``alike``: the errors differ by less than ``margin``.
        margin: In points; 0 for ``lower``.
        paper_difference: Published error of the second minus that of the first, in points, where
            the paper gives only this.
    """

    first: str
    second: str
    pairs: tuple[tuple[Need, Need], ...]
    relation: Relation = "lower"
    margin: float = 0.0
    paper_difference: float | None = None

    @property
    def published(self) -> tuple[float, float] | None:
        """Published errors of the two sides in percent, averaged over the pairs.

        Top-1 errors, for boxes top-5 localization errors. None where the paper does not give them,
        or does not tell the sides apart.
        """
        first = [compared_error(*one) for one, _ in self.pairs]
        second = [compared_error(*other) for _, other in self.pairs]
        if self._by_initialisation:
            return None
        known = [error for error in (*first, *second) if error is not None]
        if len(known) < 2 * len(self.pairs):
            return None
        half = len(self.pairs)
        return sum(known[:half]) / half, sum(known[half:]) / half

    @property
    def _by_initialisation(self) -> bool:
        """Whether the sides differ only in how the nets were initialised."""
        return any(
            (one.net, one.train, one.head, measure)
            == (other.net, other.train, other.head, other_measure)
            for (one, measure), (other, other_measure) in self.pairs
        )

    @property
    def expected(self) -> float | None:
        """Published difference of the errors, second minus first, in points."""
        errors = self.published
        return self.paper_difference if errors is None else errors[1] - errors[0]


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes:
        name: Unique name.
        group: Group to select it by.
        sentence: The claim in words.
        source: Section or table of the paper.
        comparisons: Comparisons that must all turn out as stated.
    """

    name: str
    group: Group
    sentence: str
    source: str
    comparisons: tuple[Comparison, ...]

    @property
    def needs(self) -> list[Need]:
        """Tests that the claim needs, each once."""
        tests = (test for one in self.comparisons for pair in one.pairs for test in pair)
        return list(dict.fromkeys(tests))
