"""Order of an epoch: invariants and randomness."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from verydeep.data.pipeline.sampling import micro_batches, plan_epoch, steps_of_epoch

COUNTS = st.integers(1, 400)
SEEDS = st.integers(0, 2**64)
EPOCHS = st.integers(0, 10_000)


def order(count: int = 50, batch: int = 8, seed: int = 0, epoch: int = 0) -> list[int]:
    return np.concatenate(plan_epoch(count, batch, seed, epoch)).tolist()


@given(COUNTS, COUNTS, SEEDS, EPOCHS)
def test_each_picture_is_met_exactly_once_in_even_steps(
    count: int, batch: int, seed: int, epoch: int
) -> None:
    plan = plan_epoch(count, batch, seed, epoch)
    assert sorted(np.concatenate(plan).tolist()) == list(range(count))
    assert len(plan) == steps_of_epoch(count, batch) == math.ceil(count / batch)
    sizes = [len(step) for step in plan]
    assert max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 1


@given(COUNTS, COUNTS)
def test_micro_batches_are_a_step_in_even_parts(count: int, micro_batch: int) -> None:
    step = np.arange(count)[::-1]
    parts = list(micro_batches(step, micro_batch))
    assert np.array_equal(np.concatenate(parts), step)
    assert len(parts) == math.ceil(count / micro_batch)
    sizes = [len(part) for part in parts]
    assert max(sizes) <= micro_batch
    assert max(sizes) - min(sizes) <= 1


@given(SEEDS, EPOCHS)
def test_the_same_seed_and_epoch_give_the_same_order(seed: int, epoch: int) -> None:
    assert order(seed=seed, epoch=epoch) == order(seed=seed, epoch=epoch)


@pytest.mark.parametrize("other", [{"seed": 1}, {"epoch": 1}, {"seed": 2**64}])
def test_another_seed_or_epoch_gives_another_order(other: dict[str, int]) -> None:
    assert order() != order(**other)


def test_every_picture_comes_at_every_place_about_equally_often() -> None:
    orders = np.array([order(10, 4, seed=3, epoch=epoch) for epoch in range(3000)])
    for place in range(10):
        assert stats.chisquare(np.bincount(orders[:, place], minlength=10)).pvalue > 1e-3


def test_neighbours_are_shuffled_across_steps() -> None:
    """A plan that only permuted its steps, or only within them, would fail this."""
    together = sum(
        any({0, 1} <= set(step.tolist()) for step in plan_epoch(40, 10, seed=0, epoch=epoch))
        for epoch in range(2000)
    )
    # Two given images share a step of 10 among 40 with probability 9/39.
    assert stats.binomtest(together, 2000, 9 / 39).pvalue > 1e-3
