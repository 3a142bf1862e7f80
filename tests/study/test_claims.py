"""The claims as data, against the figures of the paper."""

from __future__ import annotations

import pytest

from verydeep.errors import InputError
from verydeep.study.claims import ALL_GROUPS, GROUPS, claims
from verydeep.study.conditions import Condition, Measure

EXPECTED = {
    "lrn": [-0.1],
    "depth": [0.9, 1.7, -0.3],
    "nonlinearity": [0.6],
    "context": [1.1],
    "filters": [7.0],
    "jitter": [(28.1 + 27.0 + 27.3 - 27.3 - 25.6 - 25.5) / 3, (28.1 + 26.8 + 26.9 - 78.4) / 3],
    "scales": [
        (28.7 + 28.1 + 27.0 + 27.3 + 28.1 + 26.8 + 26.9) / 7
        - (28.2 + 27.7 + 26.6 + 26.9 + 27.8 + 26.5 + 26.7) / 7,
        (27.3 + 25.6 + 25.5 - 26.3 - 24.8 - 24.8) / 3,
    ],
    "crops": [0.4, 0.2],
    "fusion": [0.8, 0.8],
    "initialise": [None],
}
"""Differences of top-1 errors from the tables, second minus first, in points."""

EXPECTED_OF_NEIGHBOURS = {
    "per-class": [36.4 - 34.3],
    "fine-tuning": [34.3 - 33.1],
    "whole-image": [33.1 - 28.2],
    "box-scales": [28.2 - 27.5],
    "box-fusion": [29.5 - 26.9, 27.5 - 26.9],
    "feature-depth": [85.1 - 85.0],
    "feature-fusion": [86.2 - 85.0, 86.2 - 85.1],
    "stacking": [None],
    "more-scales": [0.3],
}
"""Likewise, of localization errors (Tables 8 and 9) and of recalls on Caltech-256 (Table 11)."""


@pytest.mark.parametrize(
    ("groups", "expected"),
    [(GROUPS, EXPECTED), (("localization", "transfer"), EXPECTED_OF_NEIGHBOURS)],
)
def test_every_claim_has_the_differences_of_the_paper(
    groups: tuple[str, ...], expected: dict[str, list[float | None]]
) -> None:
    found = {one.name: [part.expected for part in one.comparisons] for one in claims(groups)}
    assert found == {
        name: [value if value is None else pytest.approx(value) for value in values]
        for name, values in expected.items()
    }


def test_classification_is_asked_for_by_default() -> None:
    assert claims() == claims(GROUPS)
    assert {*ALL_GROUPS} - {*GROUPS} == {"localization", "transfer"}


@pytest.mark.parametrize("group", ALL_GROUPS)
def test_a_claim_needs_what_it_compares_once(group: str) -> None:
    for one in claims([group]):
        compared = {test for part in one.comparisons for pair in part.pairs for test in pair}
        assert set(one.needs) == compared
        assert len(one.needs) == len(compared)


def test_the_study_decides_how_the_nets_are_initialised() -> None:
    for one in claims(ALL_GROUPS, "scaled"):
        ways = {condition.initialise for condition, _ in one.needs}
        assert ways == ({"staged", "scaled"} if one.group == "initialise" else {"scaled"})


def test_the_rival_with_large_filters_is_tested_on_the_central_crop() -> None:
    (one,) = claims(["filters"])
    center = Measure("center", "single")
    assert one.needs == [(Condition("B"), center), (Condition("B-5x5"), center)]


def test_an_unknown_group_is_refused_with_its_neighbour() -> None:
    with pytest.raises(InputError, match=r"no group of claims 'dept'.*did you mean.*depth"):
        claims(["dept"])
