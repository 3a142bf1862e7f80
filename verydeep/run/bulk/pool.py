"""Distribution of rows over actors that may be lost at any moment.

Ray Data would retry the task of a lost actor without end, so that one image that ends its process
would hold up the job for ever. Here every task has a number of attempts.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

from verydeep.errors import InputError, MachineError
from verydeep.run.bulk.work import About, Fault

ATTEMPTS = 3
"""Attempts at a task, and at starting an actor."""

MOST_IN_A_ROW = 24
"""Tasks, or three per actor, that failed without a success between them, after which the job ends.

More than the tasks of which it is found out why they fail.
"""

PATIENCE = 1.0
"""Seconds after which waiting for an actor looks for signals."""

SLOW = 60
"""Times of this patience after which the wait for the first actor is reported."""


class Lost(NamedTuple):
    """A task that could not be done.

    Attributes:
        rows: Its rows.
        fault: The last failed attempt.
        ended: Whether it has ended its actor, or failed in a way that we do not know.
    """

    rows: range
    fault: Fault
    ended: bool


@dataclass
class Pool:
    """Actors that take one task after the other. A task is a range of rows.

    Attributes:
        ray: Module of Ray.
        make: Starts an actor.
        size: Number of actors.
        begin: Lets an actor load the model; returns a reference to the outcome.
        submit: Gives a task to an actor; returns a reference to its table.
        slow: Reports that the first actor has not begun for a long time.
        lost: Tasks that could not be done, known after iteration.
        retried: Number of failed attempts.
    """

    ray: Any
    make: Callable[[], Any]
    size: int
    begin: Callable[[Any], Any]
    submit: Callable[[Any, range], Any]
    slow: Callable[[], object] = lambda: None
    lost: list[Lost] = field(default_factory=list)
    retried: int = 0

    def __post_init__(self) -> None:
        self._running: dict[Any, tuple[Any, range | None]] = {}
        self._free: list[Any] = []
        self._failed_starts = 0
        self._attempts: Counter[range] = Counter()
        self._failed_in_a_row: set[range] = set()

    def first(self) -> About:
        """Start the first actor, and return what it has loaded.

        Raises:
            InputError: The model or a setting cannot be used.
            MachineError: No actor can be started, or the engine fails.
        """
        while True:
            self._start()
            actor, _, outcome = self._next(self.slow)
            if actor is not None:
                self._free.append(actor)
                return _checked(outcome)
            self._count_failed_start(outcome)

    def tables(self, tasks: Sequence[range], expected: About) -> Iterator[tuple[range, Any]]:
        """Yield each task with its table, in any order.

        Args:
            tasks: Ranges of rows.
            expected: What every actor must have loaded.

        Raises:
            InputError: A setting cannot be used.
            MachineError: No actor can be started, one has loaded another model, or nothing
                succeeds.
        """
        self.lost.clear()
        self._attempts.clear()
        self._failed_in_a_row.clear()
        waiting = deque(tasks)
        while waiting or any(rows is not None for _, rows in self._running.values()):
            self._occupy(waiting)
            actor, rows, outcome = self._next()
            if rows is None:
                self._take_in(actor, outcome, expected)
                continue
            if actor is not None:
                self._free.append(actor)
            if isinstance(outcome, Fault):
                self._fail(Lost(rows, outcome, ended=actor is None), waiting)
            else:
                self._failed_in_a_row.clear()
                yield rows, outcome

    def close(self) -> None:
        """End all actors."""
        for actor in [*self._free, *(actor for actor, _ in self._running.values())]:
            self.ray.kill(actor)
        self._free.clear()
        self._running.clear()

    def _occupy(self, waiting: deque[range]) -> None:
        """Give tasks to free actors, and start further actors if there are tasks for them."""
        while waiting and self._free:
            actor, rows = self._free.pop(), waiting.popleft()
            self._running[self.submit(actor, rows)] = actor, rows
        starting = sum(rows is None for _, rows in self._running.values())
        while len(self._running) < self.size and starting < len(waiting):
            self._start()
            starting += 1

    def _start(self) -> None:
        actor = self.make()
        self._running[self.begin(actor)] = actor, None

    def _next(self, slow: Callable[[], object] = lambda: None) -> tuple[Any, range | None, Any]:
        """Wait for an actor; return it (None if it is lost), its task, and what it has returned."""
        for turn in count():
            done, _ = self.ray.wait([*self._running], num_returns=1, timeout=PATIENCE)
            if done:
                break
            if turn == SLOW:
                slow()
        actor, rows = self._running.pop(done[0])
        try:
            return actor, rows, self.ray.get(done[0])
        except self.ray.exceptions.RayError as error:
            self.ray.kill(actor)  # of an actor that is lost already, Ray takes no notice
            return None, rows, Fault(_reason(error), machine=True)

    def _take_in(self, actor: Any, outcome: Any, expected: About) -> None:
        """Check what a further actor has loaded, and keep the actor."""
        if actor is None:
            self._count_failed_start(outcome)
            return
        about = _checked(outcome)
        if (about.model_hash, about.settings) != (expected.model_hash, expected.settings):
            raise MachineError(
                f"an actor has loaded another model than the first one ({about.model_hash[:8]} "
                f"with {about.settings} instead of {expected.model_hash[:8]} with "
                f"{expected.settings}): the machines of the cluster must see the same files"
            )
        self._failed_starts = 0
        self._free.append(actor)

    def _count_failed_start(self, fault: Fault) -> None:
        self._failed_starts += 1
        self.retried += 1
        if self._failed_starts >= ATTEMPTS:
            raise MachineError(f"no actor can be started ({fault.text})")

    def _fail(self, lost: Lost, waiting: deque[range]) -> None:
        """Put a task back, or give it up after the last attempt."""
        if not lost.fault.machine:
            raise InputError(lost.fault.text)
        self.retried += 1
        self._failed_in_a_row.add(lost.rows)
        if len(self._failed_in_a_row) >= max(MOST_IN_A_ROW, ATTEMPTS * self.size):
            raise MachineError(
                f"{len(self._failed_in_a_row)} tasks failed one after the other, the last with: "
                f"{lost.fault.text}"
            )
        self._attempts[lost.rows] += 1
        if self._attempts[lost.rows] < ATTEMPTS:
            waiting.append(lost.rows)
        else:
            self.lost.append(lost)


def _checked(outcome: About | Fault) -> About:
    if isinstance(outcome, Fault):
        raise (MachineError if outcome.machine else InputError)(outcome.text)
    return outcome


def _reason(error: Exception) -> str:
    """Return the reason of a lost actor or a failed task in a line."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, BaseException):
        return " ".join(f"{type(cause).__name__}: {cause}".split())
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
