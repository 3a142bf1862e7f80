"""Conditions of a study: the chains of initialisation that the paper describes."""

from __future__ import annotations

import pytest

from verydeep.study.conditions import INITIALISATIONS, TRAIN_SCALES, UNSTAGED, Condition

NETS = ("A", "A-LRN", "B", "B-5x5", "C", "D", "E")
ALL = [Condition(n, t, i) for n in NETS for t in TRAIN_SCALES for i in INITIALISATIONS]


def chain(condition: Condition) -> list[Condition]:
    found = [condition]
    while (source := found[-1].source) is not None:
        found.append(source)
        assert len(found) < 6, "a circle"
    return found


@pytest.mark.parametrize("condition", ALL, ids=str)
def test_every_chain_begins_with_random_weights(condition: Condition) -> None:
    first = chain(condition)[-1]
    assert first.canonical.initialise == "scaled"
    if condition.initialise == "scaled":
        assert chain(condition) == [condition]


def test_the_published_chain() -> None:
    nets = [(one.net, one.train) for one in chain(Condition("E", "jitter"))]
    assert nets == [("E", "jitter"), ("E", "fixed-large"), ("E", "fixed"), ("A", "fixed")]


@pytest.mark.parametrize("net", UNSTAGED)
def test_nets_that_take_nothing_from_a_have_one_initialisation(net: str) -> None:
    assert Condition(net, initialise="staged").canonical == Condition(net, initialise="scaled")
    assert Condition(net, initialise="staged").slug == Condition(net, initialise="scaled").slug


def test_slugs_tell_all_trainings_apart() -> None:
    assert len({one.slug for one in ALL}) == len({one.canonical for one in ALL})


def test_a_fusion_has_a_member_for_each_net() -> None:
    members = Condition("A+E", "fixed").members
    assert members == (Condition("A", initialise="scaled"), Condition("E"))
