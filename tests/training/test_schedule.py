"""Learning rates against PyTorch's schedulers and closed forms."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import recipe

from verydeep.errors import RecipeError
from verydeep.training.plateau import PlateauRule
from verydeep.training.schedule import (
    CurveSchedule,
    PlateauSchedule,
    cosine,
    make_schedule,
    one_cycle,
)


def optimizer(rate: float) -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.9)


def rates(scheduler: torch.optim.lr_scheduler.LRScheduler, count: int) -> Iterator[float]:
    for _ in range(count):
        yield scheduler.get_last_lr()[0]
        scheduler.optimizer.step()
        scheduler.step()


# ---- restarts ----


@pytest.mark.parametrize("name", ["one-cycle", "cosine", "polynomial"])
def test_a_curve_begins_again_after_each_restart(name: str) -> None:
    settings = ("training.epochs=9", f"training.schedule={name}")
    whole = make_schedule(recipe(*settings, "training.restarts=[2, 5]"))
    assert whole.warm_after() == pytest.approx(0.5 if name == "one-cycle" else 0)
    for start, length in ((0, 2), (2, 3), (5, 4)):
        alone = make_schedule(recipe(f"training.epochs={length}", f"training.schedule={name}"))
        for done in (0, 0.3, 0.99 * length):
            assert whole.rate(start + done) == pytest.approx(alone.rate(done))
    assert whole.rate(9) == pytest.approx(0)


@pytest.mark.parametrize("restarts", ["[0]", "[3, 2]", "[3, 3]", "[9]", "[-1]"])
def test_restarts_rise_within_the_training(restarts: str) -> None:
    with pytest.raises(RecipeError, match=r"training\.restarts"):
        recipe(*("training.schedule=cosine", "training.epochs=9", f"training.restarts={restarts}"))
    for name in ("plateau", "constant"):
        with pytest.raises(RecipeError, match=name):
            recipe("training.epochs=9", "training.restarts=[3]", f"training.schedule={name}")


# ---- plateau ----


@given(
    values=st.lists(st.sampled_from([1.0, 2.0, 3.0, math.nan]), max_size=30),
    factor=st.floats(1.5, 20),
)
def test_the_rate_is_divided_at_every_drop(values: list[float], factor: float) -> None:
    schedule = PlateauSchedule(0.01, factor, PlateauRule(patience=2, drops=3))
    for epoch, value in enumerate(values):
        expected = 0.01 / factor**schedule.drops
        for fraction in (0, 0.4, 0.99):
            assert schedule.rate(epoch + fraction) == pytest.approx(expected)
        if schedule.end_epoch(value):
            break


def test_the_papers_rates_and_end() -> None:
    schedule = make_schedule(recipe("training.learning_rate=1e-2", "plateau.patience=2"))
    seen, reasons = [], []
    for epoch in range(9):
        seen.append(schedule.rate(epoch))
        reasons.append(schedule.end_epoch(1.0))
    # One improvement (on nothing), then two epochs at each of four rates.
    assert seen == pytest.approx([1e-2] * 3 + [1e-3] * 2 + [1e-4] * 2 + [1e-5] * 2)
    assert reasons[:-1] == [None] * 8
    assert reasons[-1] == "no improvement for 2 epochs after 3 drops"
    assert schedule.drops == 3


@given(values=st.lists(st.sampled_from([1.0, 2.0, 3.0]), max_size=30), cut=st.integers(0, 30))
def test_a_schedule_goes_on_from_its_state(values: list[float], cut: int) -> None:
    settings = ("plateau.patience=2", "plateau.min_improvement=0.5")
    whole, first, second = (make_schedule(recipe(*settings)) for _ in range(3))
    ends = [whole.end_epoch(value) for value in values]
    begin = [first.end_epoch(value) for value in values[:cut]]
    second.restore(json.loads(json.dumps(first.state())))
    assert begin + [second.end_epoch(value) for value in values[cut:]] == ends
    assert second.state() == whole.state()
    assert (second.rate(30), second.drops) == (whole.rate(30), whole.drops)


@given(
    values=st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=1, max_size=30),
    cut=st.integers(1, 30),
)
def test_a_schedule_that_has_not_ended_goes_on_as_it_was(values: list[float], cut: int) -> None:
    whole, first = (make_schedule(recipe("plateau.patience=3")) for _ in range(2))
    for epoch, value in enumerate(values, start=1):
        ends = (whole.end_epoch(value), first.end_epoch(value))
        assert ends[0] == ends[1]
        if ends[0]:
            return
        if epoch == cut:
            first.go_on()  # as after a ceiling
        assert (first.state(), first.rate(epoch)) == (whole.state(), whole.rate(epoch))


def test_an_ended_plateau_waits_once_more_at_the_lowest_rate() -> None:
    schedule = make_schedule(recipe("plateau.patience=2", "plateau.drops=1"))
    assert [schedule.end_epoch(1.0) is not None for _ in range(5)] == [False] * 4 + [True]
    rate = schedule.rate(5)
    schedule.go_on()
    assert [schedule.end_epoch(1.0) is not None for _ in range(2)] == [False, True]
    assert schedule.rate(7) == rate


# ---- curves ----


@pytest.mark.parametrize("steps", [1, 7, 100])
def test_cosine_is_pytorchs(steps: int) -> None:
    sgd = optimizer(0.03)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(sgd, T_max=steps)
    ours = CurveSchedule(0.03, 5, cosine)
    for step, rate in enumerate(rates(theirs, steps + 1)):
        assert ours.rate(5 * step / steps) == pytest.approx(rate, abs=1e-12)


@pytest.mark.parametrize(("steps", "warmup"), [(101, 0.25), (40, 0.5), (1001, 0.1)])
def test_one_cycle_is_pytorchs(steps: int, warmup: float) -> None:
    """PyTorch counts both ends of each part as steps, so progress is measured part by part."""
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer(0.1),
        max_lr=0.1,
        total_steps=steps,
        pct_start=warmup,
        div_factor=25,
        final_div_factor=1e30,
        cycle_momentum=False,
    )
    top, end = warmup * steps - 1, steps - 1
    with warnings.catch_warnings():
        # After the last step it warns of none being left.
        warnings.simplefilter("ignore")
        found = list(rates(theirs, steps - 1))
    for step, rate in enumerate(found):
        if step <= top:
            progress = warmup * step / top
        else:
            progress = warmup + (1 - warmup) * (step - top) / (end - top)
        assert 0.1 * one_cycle(progress, warmup) == pytest.approx(rate, abs=1e-9)


def test_the_ends_of_the_curves() -> None:
    assert (cosine(0), cosine(0.5), cosine(1)) == pytest.approx((1, 0.5, 0))
    for warmup in (0.1, 0.25, 0.9):
        assert one_cycle(0, warmup) == pytest.approx(1 / 25)
        assert one_cycle(warmup, warmup) == pytest.approx(1)
        assert one_cycle(1, warmup) == pytest.approx(0)
        assert one_cycle(warmup / 2, warmup) == pytest.approx((1 + 1 / 25) / 2)
    assert one_cycle(0, 0) == 1


@given(
    progress=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
    warmup=st.floats(0, 0.99),
)
def test_curves_rise_in_the_warmup_and_fall_after_it(progress: list[float], warmup: float) -> None:
    low, high = progress
    assert cosine(low) >= cosine(high)
    a, b = one_cycle(low, warmup), one_cycle(high, warmup)
    assert min(a, b) >= 0
    assert max(a, b) <= 1
    if high < warmup:
        assert a <= b
    if low >= warmup:
        assert a >= b


@given(warmup=st.floats(0.01, 0.99))
def test_one_cycle_does_not_jump(warmup: float) -> None:
    assert one_cycle(warmup - 1e-7, warmup) == pytest.approx(one_cycle(warmup, warmup), abs=1e-6)


@pytest.mark.parametrize(("name", "curve"), [("cosine", cosine), ("one-cycle", one_cycle)])
def test_a_recipes_curve_spans_its_epochs(name: str, curve: object) -> None:
    schedule = make_schedule(
        recipe(f"training.schedule={name}", "training.epochs=8", "training.learning_rate=0.5")
    )
    for done in (0.0, 0.125, 2.0, 5.5, 8.0):
        assert schedule.rate(done) == pytest.approx(0.5 * curve(done / 8))  # type: ignore[operator]
    assert schedule.drops == 0
    assert [schedule.end_epoch(1.0) for _ in range(20)] == [None] * 20
    schedule.restore(schedule.state())


def test_the_warmup_is_the_recipes() -> None:
    schedule = make_schedule(
        recipe(
            "training.schedule=one-cycle",
            "training.warmup=0.5",
            "training.epochs=10",
            "training.learning_rate=1",
        )
    )
    assert max(range(11), key=schedule.rate) == 5
