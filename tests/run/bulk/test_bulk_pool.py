"""Every part is done once, whatever happens to actors, or is given up with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from fake_ray import ABOUT, FakeActor, FakeRay, RayError, loads
from hypothesis import given
from hypothesis import strategies as st

from verydeep.errors import InputError, MachineError
from verydeep.run.bulk.bulk import MOST_DEADLY
from verydeep.run.bulk.pool import ATTEMPTS, MOST_IN_A_ROW, Pool
from verydeep.run.bulk.work import Fault


def pool(do: Callable[[int, int], Any], size: int = 2, start: Callable[[int], Any] = loads) -> Pool:
    """Return actors that do something with their number and that of their task."""
    numbers = count()
    return Pool(
        FakeRay(),
        make=lambda: FakeActor(next(numbers), start, do),
        size=size,
        begin=FakeActor.begin,
        submit=FakeActor.submit,
    )


def results(made: Pool, parts: int) -> dict[int, Any]:
    assert made.first() == ABOUT
    tasks = [range(10 * part, 10 * part + 10) for part in range(parts)]
    found = [(rows.start // 10, table) for rows, table in made.tables(tasks, ABOUT)]
    assert len(dict(found)) == len(found), "no part twice"
    return dict(found)


def test_every_part_is_done_once_by_all_actors() -> None:
    by: Counter[int] = Counter()

    def do(actor: int, part: int) -> int:
        by[actor] += 1
        return part * part

    assert results(pool(do, size=3), 20) == {part: part * part for part in range(20)}
    assert sorted(by) == [0, 1, 2]


def test_no_more_actors_than_parts_are_started() -> None:
    made = pool(lambda actor, part: actor, size=50)
    assert set(results(made, 2).values()) <= {0, 1}


@given(st.sets(st.tuples(st.integers(0, 10), st.integers(0, ATTEMPTS - 2))), st.integers(1, 4))
def test_lost_actors_lose_no_part(losses: set[tuple[int, int]], size: int) -> None:
    tries: Counter[int] = Counter()

    def do(actor: int, part: int) -> int:
        tries[part] += 1
        if (part, tries[part] - 1) in losses:
            raise RayError("lost")
        return part

    made = pool(do, size)
    assert results(made, 11) == {part: part for part in range(11)}
    assert made.lost == []
    assert made.retried == tries.total() - 11


def test_a_part_that_ends_its_actor_is_given_up_and_the_others_done() -> None:
    def do(actor: int, part: int) -> int:
        if part == 3:
            raise RayError("The actor died.\nDetails follow")
        return part

    made = pool(do)
    assert sorted(results(made, 8)) == [0, 1, 2, 4, 5, 6, 7]
    assert made.lost == [(range(30, 40), ("The actor died.", True), True)]
    assert made.retried == ATTEMPTS


def test_a_fault_of_the_machine_is_tried_again_by_the_same_actor() -> None:
    outcomes = iter([Fault("no answer from the store", machine=True), "table"])
    made = pool(lambda actor, part: next(outcomes), size=1)
    assert results(made, 1) == {0: "table"}
    assert not made.ray.killed


def test_all_actors_are_ended() -> None:
    made = pool(lambda actor, part: part, size=3)
    results(made, 9)
    made.close()
    assert sorted(actor.number for actor in made.ray.killed) == [0, 1, 2]


def test_a_fault_of_the_input_ends_the_job() -> None:
    made = pool(lambda actor, part: Fault("s3fs is missing", machine=False))
    with pytest.raises(InputError, match=r"^s3fs is missing$"):
        results(made, 4)


def test_what_a_task_has_raised_is_the_reason() -> None:
    def do(actor: int, part: int) -> int:
        error = RayError("a long report")
        error.cause = ValueError("two\nlines")  # type: ignore[attr-defined]
        raise error

    made = pool(do)
    assert results(made, 1) == {}
    assert made.lost == [(range(10), ("ValueError: two lines", True), True)]


def test_a_fault_of_the_machine_is_not_one_of_the_task() -> None:
    made = pool(lambda actor, part: Fault("no answer", machine=True))
    assert results(made, 1) == {}
    assert made.lost == [(range(10), ("no answer", True), False)]


def test_where_nothing_can_be_done_the_rest_is_not_tried() -> None:
    tries: Counter[int] = Counter()

    def do(actor: int, part: int) -> int:
        tries[part] += 1
        raise RayError("lost")

    made = pool(do, size=1)
    with pytest.raises(MachineError, match=r"^24 tasks failed .*, the last with: lost$"):
        results(made, 5000)
    assert tries.total() == MOST_IN_A_ROW


@pytest.mark.parametrize("size", [1, 3])
def test_as_many_deadly_tasks_as_are_looked_into_do_not_end_the_job(size: int) -> None:
    def do(actor: int, part: int) -> int:
        if part % 4 == 0:
            raise RayError("lost")
        return part

    made = pool(do, size)
    assert len(results(made, 4 * MOST_DEADLY)) == 3 * MOST_DEADLY
    assert [lost.rows.start % 40 for lost in made.lost] == [0] * MOST_DEADLY
    made = pool(lambda actor, part: do(actor, 0), size)
    assert results(made, MOST_DEADLY) == {}
    rows = [range(10 * part, 10 * part + 1) for part in range(MOST_DEADLY)]
    assert [*made.tables(rows, ABOUT)] == []
    assert MOST_DEADLY < MOST_IN_A_ROW


def test_a_model_that_cannot_be_loaded_ends_the_job() -> None:
    made = pool(lambda actor, part: 0, start=lambda number: Fault("no model", machine=False))
    with pytest.raises(InputError, match=r"^no model$"):
        made.first()


def test_an_engine_that_fails_ends_the_job() -> None:
    made = pool(lambda actor, part: 0, start=lambda number: Fault("it crashed", machine=True))
    with pytest.raises(MachineError, match=r"^it crashed$"):
        made.first()


def test_actors_that_do_not_start_end_the_job() -> None:
    def start(number: int) -> Any:
        raise RayError("out of memory")

    with pytest.raises(MachineError, match=r"^no actor can be started \(out of memory\)$"):
        pool(lambda actor, part: 0, start=start).first()


def test_an_actor_with_another_model_ends_the_job() -> None:
    def start(number: int) -> Any:
        return ABOUT._replace(model_hash="abc" if number == 0 else "xyz")

    made = pool(lambda actor, part: 0, start=start)
    with pytest.raises(MachineError, match="another model than the first one"):
        results(made, 9)
