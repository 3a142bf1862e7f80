"""Plateau rule against a plain loop over the history and against worked cases."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verydeep.training.plateau import PlateauRule, PlateauState, advance

losses = st.lists(st.floats(0, 10) | st.sampled_from([1.0, 2.0, math.nan, math.inf]), max_size=60)
rules = st.builds(
    PlateauRule,
    patience=st.integers(1, 6),
    drops=st.integers(0, 4),
    min_improvement=st.just(0.0) | st.floats(0, 1),
)


def run(values: list[float], rule: PlateauRule) -> list[PlateauState]:
    """Return the state after each epoch, up to the end of training."""
    states, state = [], PlateauState()
    for value in values:
        state = advance(state, value, rule)
        states.append(state)
        if state.ended:
            break
    return states


def naive(values: list[float], rule: PlateauRule) -> tuple[list[int], int | None]:
    """Return the epochs of drops and that of the end, counted from one.

    Looks at stretches instead of single steps: training drops when the last `patience` epochs all
    failed to improve on the best before them, counted anew after each drop.
    """
    drops: list[int] = []
    start, best = 0, math.inf  # of the stretch without improvement
    for epoch, value in enumerate(values, start=1):
        if value < best - rule.min_improvement:
            start, best = epoch, value
        elif epoch - start >= rule.patience:
            if len(drops) == rule.drops:
                return drops, epoch
            drops.append(epoch)
            start = epoch
    return drops, None


@given(values=losses, rule=rules)
def test_drops_and_end_are_those_of_the_plain_loop(values: list[float], rule: PlateauRule) -> None:
    states = run(values, rule)
    before = [0, *(state.drops for state in states)]
    dropped = [n for n, (a, b) in enumerate(pairwise(before), 1) if b > a]
    ended = [n for n, state in enumerate(states, 1) if state.ended]
    drops, end = naive(values, rule)
    assert dropped == drops
    assert ended == ([end] if end else [])


@given(values=losses, rule=rules)
def test_what_holds_after_every_epoch(values: list[float], rule: PlateauRule) -> None:
    for epoch, state in enumerate(run(values, rule), start=1):
        assert 0 <= state.drops <= rule.drops
        assert state.waited < rule.patience or state.ended
        if rule.min_improvement == 0:
            seen = [value for value in values[:epoch] if not math.isnan(value)]
            assert state.best == min(seen, default=math.inf)


@given(values=losses.map(lambda values: [v for v in values if math.isfinite(v)]), rule=rules)
def test_drops_are_those_of_pytorch(values: list[float], rule: PlateauRule) -> None:
    """PyTorch's scheduler never ends and is compared until training ends."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        factor=0.5,
        patience=rule.patience - 1,  # it drops when more epochs than these have gone by
        threshold=rule.min_improvement,
        threshold_mode="abs",
    )
    for value, state in zip(values, run(values, rule), strict=False):
        if state.ended:
            break
        theirs.step(value)
        assert optimizer.param_groups[0]["lr"] == 0.5**state.drops


@pytest.mark.parametrize(("patience", "drops"), [(1, 0), (1, 3), (5, 3), (3, 1)])
def test_a_standstill_ends_after_all_drops(patience: int, drops: int) -> None:
    states = run([1.0] * 1000, PlateauRule(patience, drops))
    assert len(states) == 1 + patience * (drops + 1)
    assert states[-1].ended
    assert states[-1].drops == drops


@given(count=st.integers(1, 300), rule=rules)
def test_what_goes_on_improving_never_drops(count: int, rule: PlateauRule) -> None:
    states = run([-2.0 * epoch for epoch in range(count)], rule)
    assert len(states) == count
    assert states[-1] == PlateauState(best=-2.0 * (count - 1))


def test_a_small_step_counts_only_if_it_is_larger_than_the_least() -> None:
    rule = PlateauRule(patience=2, drops=9, min_improvement=0.25)
    states = run([1.0, 0.75, 0.5, 0.499, 0.6], rule)
    assert [state.best for state in states] == [1.0, 1.0, 0.5, 0.5, 0.5]
    assert [state.waited for state in states] == [0, 1, 0, 1, 0]
    assert [state.drops for state in states] == [0, 0, 0, 0, 1]


def test_an_improvement_just_in_time_starts_the_count_again() -> None:
    rule = PlateauRule(patience=3, drops=0)
    assert [state.ended for state in run([5, 5, 5, 4, 4, 4, 4], rule)] == [False] * 6 + [True]


def test_a_loss_that_is_no_number_is_no_improvement() -> None:
    states = run([1.0, math.nan, math.nan, 0.5, math.nan], PlateauRule(patience=2, drops=1))
    assert [state.drops for state in states] == [0, 0, 1, 1, 1]
    assert states[-1].best == 0.5
    assert [state.ended for state in run([math.nan] * 3, PlateauRule(3, 0))] == [
        *(False, False, True)
    ]
