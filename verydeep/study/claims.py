"""The paper's claims about classification as data: which errors to compare, and what to expect.

A claim consists of comparisons. Each compares the errors of two tests, or of several pairs of tests
averaged: "several test scales beat one" averages over the nets that were tested both ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from verydeep.errors import InputError, did_you_mean
from verydeep.study.conditions import Condition, Initialisation, Need, TrainScales
from verydeep.study.published import BOTH, CENTER, CROPS, MULTI, SINGLE, published

Relation = Literal["lower", "not lower", "alike"]
Group = Literal["depth", "lrn", "jitter", "scales", "crops", "fusion", "filters", "initialise"]

GROUPS: tuple[Group, ...] = get_args(Group)

MARGIN = 1.0
"""Smallest difference of top-1 errors that matters, in points, where a claim denies a difference.

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
        """Published top-1 errors of the two sides in percent, averaged over the pairs.

        None where the paper does not give them, or does not tell the sides apart.
        """
        errors = [(published(*first), published(*second)) for first, second in self.pairs]
        first = [error[0] for error, _ in errors if error]
        second = [error[0] for _, error in errors if error]
        if len(first) < len(errors) or len(second) < len(errors) or self._by_initialisation:
            return None
        return sum(first) / len(first), sum(second) / len(second)

    @property
    def _by_initialisation(self) -> bool:
        """Whether the sides differ only in how the nets were initialised."""
        return any(
            (one.net, one.train, measure) == (other.net, other.train, other_measure)
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


def claims(
    groups: Iterable[str] = GROUPS, initialise: Initialisation = "staged"
) -> tuple[Claim, ...]:
    """Return the claims of some groups, in the paper's order.

    Args:
        groups: Names from :data:`GROUPS`.
        initialise: How the study initialises its nets.

    Raises:
        InputError: A group is unknown.

    >>> [claim.name for claim in claims(["depth"])]
    ['depth', 'nonlinearity', 'context']
    """
    chosen = list(groups)
    for name in chosen:
        if name not in GROUPS:
            raise InputError(
                f"there is no group of claims {name!r}; there are {', '.join(GROUPS)}"
                f"{did_you_mean(name, GROUPS)}"
            )
    return tuple(claim for claim in _all(initialise) if claim.group in chosen)


def _all(initialise: Initialisation) -> tuple[Claim, ...]:
    return (
        *_architecture(initialise),
        *_scales(initialise),
        *_views(initialise),
        _initialisation(),
    )


def _architecture(how: Initialisation) -> tuple[Claim, ...]:
    def net(name: str) -> Need:
        return Condition(name, "fixed", how), SINGLE

    def lower(first: str, second: str) -> Comparison:
        return Comparison(first, second, ((net(first), net(second)),))

    def not_lower(first: str, second: str) -> Comparison:
        return Comparison(first, second, ((net(first), net(second)),), "not lower", MARGIN)

    small, large = ((Condition(name, "fixed", how), CENTER) for name in ("B", "B-5x5"))
    rival = Comparison("B", "B-5x5", ((small, large),), paper_difference=7.0)
    return (
        Claim(
            "lrn",
            "lrn",
            "Local response normalisation does not help.",
            "section 4.1, Table 3",
            (not_lower("A-LRN", "A"),),
        ),
        Claim(
            "depth",
            "depth",
            "The error falls with depth until it saturates.",
            "section 4.1, Table 3",
            (lower("B", "A"), lower("D", "B"), not_lower("E", "D")),
        ),
        Claim(
            "nonlinearity",
            "depth",
            "Additional non-linearity helps: C, with 1×1 convolutions, beats B.",
            "section 4.1, Table 3",
            (lower("C", "B"),),
        ),
        Claim(
            "context",
            "depth",
            "Spatial context helps: D, with 3×3 convolutions, beats C with 1×1.",
            "section 4.1, Table 3",
            (lower("D", "C"),),
        ),
        Claim(
            "filters",
            "filters",
            "A deep net with small filters beats a shallow one with large filters.",
            "section 4.1",
            (rival,),
        ),
    )


def _scales(how: Initialisation) -> tuple[Claim, ...]:
    def pairs(
        nets: Sequence[str], first: TrainScales, second: TrainScales
    ) -> tuple[tuple[Need, Need], ...]:
        return tuple(
            ((Condition(net, first, how), SINGLE), (Condition(net, second, how), SINGLE))
            for net in nets
        )

    def scales(conditions: Iterable[Condition]) -> tuple[tuple[Need, Need], ...]:
        return tuple(((one, MULTI), (one, SINGLE)) for one in conditions)

    deep = ("C", "D", "E")
    fixed = [Condition("B", "fixed", how)]
    fixed += [Condition(net, "fixed", how) for net in deep]
    fixed += [Condition(net, "fixed-large", how) for net in deep]
    jittered = [Condition(net, "jitter", how) for net in deep]
    return (
        Claim(
            "jitter",
            "jitter",
            "Scale jittering in training beats training at a fixed scale.",
            "section 4.1, Table 3",
            (
                Comparison("jittered S", "fixed smaller S", pairs(deep, "jitter", "fixed")),
                Comparison("jittered S", "fixed larger S", pairs(deep, "jitter", "fixed-large")),
            ),
        ),
        Claim(
            "scales",
            "scales",
            "Several test scales beat a single one.",
            "section 4.2, Table 4",
            (
                Comparison("multi-scale testing", "single-scale (fixed S)", scales(fixed)),
                Comparison("multi-scale testing", "single-scale (jittered S)", scales(jittered)),
            ),
        ),
    )


def _views(how: Initialisation) -> tuple[Claim, ...]:
    jittered = {net: Condition(net, "jitter", how) for net in ("D", "E", "D+E")}
    alone = [jittered["D"], jittered["E"]]
    return (
        Claim(
            "crops",
            "crops",
            "Multiple crops and dense evaluation complement each other.",
            "section 4.3, Table 5",
            (
                Comparison("both", "dense alone", tuple(((c, BOTH), (c, MULTI)) for c in alone)),
                Comparison("both", "crops alone", tuple(((c, BOTH), (c, CROPS)) for c in alone)),
            ),
        ),
        Claim(
            "fusion",
            "fusion",
            "D and E together beat each of them.",
            "section 4.4, Table 6",
            tuple(
                Comparison("D+E", net, (((jittered["D+E"], MULTI), (jittered[net], MULTI)),))
                for net in ("D", "E")
            ),
        ),
    )


def _initialisation() -> Claim:
    """Return the claim about initialisation, which needs net D initialised in both ways."""
    staged, scaled = ((Condition("D", "fixed", how), SINGLE) for how in ("staged", "scaled"))
    return Claim(
        "initialise",
        "initialise",
        "Random initialisation of suitable scale ends like initialisation in stages.",
        "section 3.1",
        (Comparison("scaled", "staged", ((scaled, staged),), "alike", MARGIN),),
    )
