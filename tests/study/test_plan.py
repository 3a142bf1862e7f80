"""The plan of a study: complete, without repetition, in an order that can be carried out."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verydeep.study.claims import ALL_GROUPS, claims
from verydeep.study.conditions import (
    HEADS,
    INITIALISATIONS,
    TRAIN_SCALES,
    Condition,
    Measure,
    StudyProtocol,
    TestScales,
    kind_of,
)
from verydeep.study.plan import Part, TestPart, TrainPart, make_plan

CONDITIONS = st.builds(
    Condition,
    st.sampled_from(["A", "A-LRN", "B", "B-5x5", "C", "D", "E", "D+E", "A+B+C"]),
    st.sampled_from(TRAIN_SCALES),
    st.sampled_from(INITIALISATIONS),
    st.sampled_from(HEADS),
)
MEASURES = st.builds(
    Measure, st.sampled_from(get_args(StudyProtocol)), st.sampled_from(get_args(TestScales))
)
NEEDS = st.lists(st.tuples(CONDITIONS, MEASURES), max_size=8)


def trainings(parts: tuple[Part, ...]) -> list[TrainPart]:
    return [part for part in parts if isinstance(part, TrainPart)]


def passes(parts: tuple[Part, ...]) -> list[TestPart]:
    return [part for part in parts if isinstance(part, TestPart)]


@given(NEEDS, st.integers(1, 3))
def test_a_plan_covers_what_is_needed_and_nothing_twice(
    needs: list[tuple[Condition, Measure]], seeds: int
) -> None:
    parts = make_plan(needs, range(seeds))
    made = [(c, m, part.seed) for part in passes(parts) for c, m in part.tests]
    assert len(made) == len(set(made))
    wanted = {
        (c.canonical if len(c.nets) == 1 else c, m, seed) for c, m in needs for seed in range(seeds)
    }
    assert set(made) == wanted
    names = [part.name for part in parts]
    assert len(names) == len(set(names))


@given(NEEDS)
def test_a_part_comes_after_those_that_it_needs(needs: list[tuple[Condition, Measure]]) -> None:
    trained: set[tuple[Condition, int]] = set()
    for part in make_plan(needs, [0, 1]):
        assert all((net, part.seed) in trained for net in part.needs)
        if isinstance(part, TrainPart):
            trained.add((part.condition, part.seed))


@given(NEEDS)
def test_nothing_is_trained_that_is_neither_tested_nor_a_source(
    needs: list[tuple[Condition, Measure]],
) -> None:
    parts = make_plan(needs, [0])
    used = {net for part in parts for net in part.needs}
    assert {part.condition for part in trainings(parts)} == used


@given(NEEDS)
def test_a_net_is_in_one_pass_of_each_kind_only(needs: list[tuple[Condition, Measure]]) -> None:
    parts = passes(make_plan(needs, [0]))
    nets = [(part.kind, net) for part in parts for net in part.needs]
    assert len(nets) == len(set(nets))
    assert all(kind_of(test) == part.kind for part in parts for test in part.tests)


def test_seeds_are_outermost_and_a_is_first() -> None:
    needs = [need for claim in claims() for need in claim.needs]
    parts = make_plan(needs, [0, 1, 2])
    seeds = [part.seed for part in parts]
    assert seeds == sorted(seeds)
    for seed in (0, 1, 2):
        first = next(part for part in parts if part.seed == seed)
        assert isinstance(first, TrainPart)
        assert first.condition.net == "A"


def test_all_claims_need_the_ladder_of_the_paper_and_one_more_net() -> None:
    parts = make_plan([need for claim in claims() for need in claim.needs], [0])
    assert {str(part.condition) for part in trainings(parts)} == {
        *("A, fixed, scaled", "A-LRN, fixed, scaled", "B-5x5, fixed, scaled"),
        *("B, fixed, staged", "D, fixed, scaled"),
        *(f"{net}, {train}, staged" for net in "CDE" for train in TRAIN_SCALES),
    }


@pytest.mark.parametrize("group", ALL_GROUPS)
@pytest.mark.parametrize("initialise", INITIALISATIONS)
def test_every_group_of_claims_can_be_planned(group: str, initialise: str) -> None:
    chosen = claims([group], initialise)  # type: ignore[arg-type]
    parts = make_plan([need for claim in chosen for need in claim.needs], [0])
    tested = {(c, m) for part in passes(parts) for c, m in part.tests}
    for claim in chosen:
        for condition, measure in claim.needs:
            own = condition.canonical if len(condition.members) == 1 else condition
            assert (own, measure) in tested


def test_boxes_begin_with_the_classifiers_of_their_scales() -> None:
    parts = make_plan([need for claim in claims(["localization"]) for need in claim.needs], [0])
    assert [str(part.condition) for part in trainings(parts)[:3]] == [
        *("A, fixed, scaled", "D, fixed, staged", "D, fixed-large, staged")
    ]
    boxes = [part for part in trainings(parts) if part.condition.head != "classes"]
    assert {(part.condition.train, part.condition.head) for part in boxes} == {
        *(("fixed-large", head) for head in ("scr-fc", "pcr-fc", "pcr-all")),
        ("fixed", "pcr-all"),
    }
    for part in boxes:
        assert part.needs == (Condition("D", part.condition.train),)


def test_features_need_no_training_of_their_own() -> None:
    both = [
        make_plan([need for claim in claims(groups) for need in claim.needs], [0])
        for groups in (["fusion"], ["fusion", "transfer"])
    ]
    assert trainings(both[0]) == trainings(both[1])
    assert [part.kind for part in passes(both[1])] == ["classes", "transfer"]
