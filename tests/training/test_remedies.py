"""Hints appear at the right time and name only available remedies."""

from __future__ import annotations

import math
from itertools import product

import pytest

from verydeep.training.remedies import STUCK_EPOCHS, Remedies, is_stuck


@pytest.mark.parametrize(("shallower", "norm", "fp32"), list(product([False, True], repeat=3)))
def test_a_remedy_is_named_if_it_is_left(shallower: bool, norm: bool, fp32: bool) -> None:
    remedies = Remedies(shallower, norm, fp32)
    for said in (remedies.when_stuck(0.02), remedies.when_not_finite(0.02)):
        assert ("net__norm='batch'" in said) == norm
        assert ("init_from=" in said) == shallower
        assert "training__learning_rate=0.002" in said
    assert ("precision='fp32'" in remedies.when_not_finite(0.02)) == fp32


@pytest.mark.parametrize("warm", [0.0, 0.3, 1.0, 17.5])
@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
def test_a_hint_is_due_once_and_after_the_warm_up(classes: int, warm: float) -> None:
    chance = math.log(classes)
    due = [n for n in range(1, 60) if is_stuck([chance] * n, classes, warm)]
    assert due == [math.ceil(warm) + STUCK_EPOCHS]
    (count,) = due
    learned = [chance] * (count - 1) + [0.9 * chance]
    assert not is_stuck(learned, classes, warm)
    assert not is_stuck([5 * chance] * count, classes, warm)
