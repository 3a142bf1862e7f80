"""Order of a stream: every sample exactly once for any numbers."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verydeep.data.shards import sampling as order
from verydeep.data.shards.sampling import draws, located, section_order, stretch

totals = st.integers(0, 400)
readers = st.integers(1, 17)


@given(totals, readers, st.integers(1, 50), st.integers(0, 5), st.integers(0, 3))
def test_every_sample_is_met_once_by_one_reader(
    total: int, count: int, buffer: int, seed: int, epoch: int
) -> None:
    met = [
        place
        for reader in range(count)
        for place in draws(stretch(total, count, reader), buffer, seed, epoch)
    ]
    assert sorted(met) == list(range(total))


@given(totals.filter(bool), readers, st.integers(1, 30))
def test_every_update_takes_as_much_of_every_reader(total: int, count: int, steps: int) -> None:
    table = np.array([order.given(total, count, steps, step) for step in range(steps)])
    assert table.sum() == total
    assert np.ptp(table.sum(1)) <= 1
    assert table.sum(0).tolist() == [len(stretch(total, count, reader)) for reader in range(count)]
    assert np.ptp(table, axis=1).max() <= 1  # among the readers of an update
    assert np.ptp(table, axis=0).max() <= 1  # among the updates of a reader


@given(totals.filter(bool), readers, st.integers(1, 50), st.data())
def test_a_reader_goes_on_where_it_stopped(
    total: int, count: int, buffer: int, data: st.DataObject
) -> None:
    mine = stretch(total, count, data.draw(st.integers(0, count - 1)))
    stop = data.draw(st.integers(0, len(mine)))
    whole = list(draws(mine, buffer, 3, 1))
    assert (
        list(islice(draws(mine, buffer, 3, 1), stop)) + list(draws(mine, buffer, 3, 1, stop))
        == whole
    )


def test_sections_are_left_whole_and_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "SECTION", 16)
    mine = range(5, 105)
    whole = list(draws(mine, 7, 0, 0))
    assert sorted(whole) == list(mine)
    for first in range(0, 100, 16):
        assert sorted(whole[first : first + 16]) == list(mine[first : first + 16])
    for start in (0, 1, 15, 16, 17, 50, 99, 100):
        assert list(draws(mine, 7, 0, 0, start)) == whole[start:]


@given(st.integers(0, 200), st.integers(1, 60), st.integers(0, 9))
def test_a_buffer_holds_no_more_than_it_may(length: int, buffer: int, seed: int) -> None:
    drawn = section_order(length, buffer, np.random.default_rng(seed))
    assert sorted(drawn.tolist()) == list(range(length))
    for number, place in enumerate(drawn.tolist()):
        assert place <= number + buffer - 1


def test_a_buffer_of_one_keeps_the_order_and_a_large_one_shuffles_evenly() -> None:
    generator = np.random.default_rng(0)
    assert section_order(9, 1, generator).tolist() == list(range(9))
    where = np.zeros((6, 6))
    for _ in range(6000):
        where[np.arange(6), section_order(6, 6, generator)] += 1
    # Each of 36 cells is binomial with p = 1/6: five deviations are no chance.
    assert np.abs(where - 1000).max() < 5 * np.sqrt(6000 * 5 / 36)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=9).filter(any))
def test_a_place_is_found_in_its_shard(lengths: list[int]) -> None:
    ends = np.cumsum(lengths)
    naive = [(shard, n) for shard, length in enumerate(lengths) for n in range(length)]
    assert [located(ends, place) for place in range(sum(lengths))] == naive


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {tuple(draws(range(40), 10, seed, epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9
    assert len({tuple(order.shard_order(20, s, e)) for s in range(3) for e in range(3)}) == 9
