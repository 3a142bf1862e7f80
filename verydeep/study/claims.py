"""The paper's claims as data, by groups.

Those about classification are asked for unless others are named; those about localization and
transfer need boxes or another data set.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import get_args

from verydeep.errors import InputError, did_you_mean
from verydeep.study.claim import MARGIN, Claim, Comparison, Group
from verydeep.study.claims_of_neighbours import localization_claims, transfer_claims
from verydeep.study.conditions import Condition, Initialisation, Need, TrainScales
from verydeep.study.published import BOTH, CENTER, CROPS, MULTI, SINGLE

ALL_GROUPS: tuple[Group, ...] = get_args(Group)
"""Groups of claims, in the paper's order."""

LOCALIZATION, TRANSFER = "localization", "transfer"
"""Groups that need boxes, and another data set."""

GROUPS: tuple[Group, ...] = tuple(
    group for group in ALL_GROUPS if group not in (LOCALIZATION, TRANSFER)
)
"""Groups about classification, which are asked for by default."""


def claims(
    groups: Iterable[str] = GROUPS, initialise: Initialisation = "staged"
) -> tuple[Claim, ...]:
    """Return the claims of some groups, in the paper's order.

    Args:
        groups: Names from :data:`ALL_GROUPS`.
        initialise: How the study initialises its nets.

    Raises:
        InputError: A group is unknown.

    >>> [claim.name for claim in claims(["depth"])]
    ['depth', 'nonlinearity', 'context']
    """
    chosen = list(groups)
    for name in chosen:
        if name not in ALL_GROUPS:
            raise InputError(
                f"there is no group of claims {name!r}; there are {', '.join(ALL_GROUPS)}"
                f"{did_you_mean(name, ALL_GROUPS)}"
            )
    return tuple(claim for claim in _all(initialise) if claim.group in chosen)


def _all(initialise: Initialisation) -> tuple[Claim, ...]:
    return (
        *_architecture(initialise),
        *_scales(initialise),
        *_views(initialise),
        _initialisation(),
        *localization_claims(initialise),
        *transfer_claims(initialise),
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
