"""The step response against sequences worked by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from verydeep.recipe.recipe import load_recipe
from verydeep.training.plateau import PlateauRule
from verydeep.training.schedule import PlateauSchedule, make_schedule
from verydeep.visualization.lecture.plateau import (
    Answer,
    draw_plateau,
    drop_epochs,
    lowest,
    made_up_losses,
    step_response,
)


def told(losses: Sequence[float]) -> Answer:
    rest = iter(losses)
    return lambda rate: next(rest)


def test_a_sequence_by_hand() -> None:
    schedule = PlateauSchedule(0.1, 10, PlateauRule(patience=2, drops=2))
    losses = [3.0, 2.0, 2.0, 2.5, 1.0, 1.5, 1.5, 1.1, 1.2]
    epochs = step_response(schedule, told(losses))
    assert [epoch.loss for epoch in epochs] == losses
    assert [epoch.drops for epoch in epochs] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    rates = [0.1] * 4 + [0.01] * 3 + [0.001] * 2
    assert [epoch.rate for epoch in epochs] == pytest.approx(rates)
    assert drop_epochs(epochs) == [4, 7]


def test_it_ends_with_the_schedule_or_at_the_limit() -> None:
    endless = PlateauSchedule(0.1, 10, PlateauRule(patience=2, drops=2))
    assert len(step_response(endless, told([-float(n) for n in range(99)]), limit=30)) == 30
    standing = PlateauSchedule(0.1, 10, PlateauRule(patience=2, drops=2))
    assert len(step_response(standing, lambda rate: 1.0)) == 1 + 2 * 3


def test_which_losses_are_lower_than_all_before() -> None:
    assert lowest([3, 4, 2, 2, 1]) == [True, False, True, False, True]


def test_made_up_losses_settle_by_the_rate() -> None:
    answer = made_up_losses(0.1)
    for rate, level in ((0.1, 2.0), (0.001, 1.1), (1e-9, 1.0)):
        losses = [answer(rate) for _ in range(400)][-300:]
        assert math.fsum(losses) / 300 == pytest.approx(level, abs=0.02)
    assert [made_up_losses(1.0, seed=1)(1.0)] == [made_up_losses(1.0, seed=1)(1.0)]


def test_the_drawn_response_is_the_papers() -> None:
    upper, lower = draw_plateau().axes
    recipe = load_recipe("paper")
    epochs = step_response(make_schedule(recipe), made_up_losses(0.01))
    assert list(upper.lines[0].get_ydata()) == [epoch.loss for epoch in epochs]
    (stairs,) = lower.patches
    rates, edges, _ = stairs.get_data()
    assert list(rates) == [epoch.rate for epoch in epochs]
    assert sorted(set(rates)) == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2])
    assert (edges[0], edges[-1]) == (0.5, len(epochs) + 0.5)
    drops = drop_epochs(epochs)
    assert len(drops) == recipe.plateau.drops == 3
    lines = {line.get_xdata()[0] for line in lower.lines}
    assert lines == {number + 0.5 for number in drops}
    assert [text.get_text() for text in upper.texts] == ["÷10"] * 3 + ["end"]
    # By the rule: none of the last epochs before a drop is lower than all before.
    better = lowest([epoch.loss for epoch in epochs])
    for number in (*drops, len(epochs)):
        assert not any(better[number - recipe.plateau.patience : number])
