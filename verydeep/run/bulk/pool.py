"""Distribution of parts over actors that may be lost at any moment.

Ray Data would retry the task of a lost actor without end, so that one image that ends its process
would hold up the job for ever. Here every part has a number of attempts.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from verydeep.errors import InputError, MachineError
from verydeep.run.bulk.work import About, Fault

ATTEMPTS = 3
"""Attempts at a part, and at starting an actor."""

PATIENCE = 1.0
"""Seconds after which waiting for an actor looks for signals."""


class Lost(NamedTuple):
    """A part that could not be done.

    Attributes:
        part: Number of the part.
        reason: Reason of the last failed attempt.
    """

    part: int
    reason: str


@dataclass
class Pool:
    """Actors that take one part after the other.

    Attributes:
        ray: Module of Ray.
        make: Starts an actor.
        size: Number of actors.
        begin: Lets an actor load the model; returns a reference to the outcome.
        submit: Gives a part to an actor; returns a reference to its table.
        lost: Parts that could not be done, known after iteration.
        restarts: Number of actors that were lost.
    """

    ray: Any
    make: Callable[[], Any]
    size: int
    begin: Callable[[Any], Any]
    submit: Callable[[Any, int], Any]
    lost: list[Lost] = field(default_factory=list)
    restarts: int = 0

    def __post_init__(self) -> None:
        self._running: dict[Any, tuple[Any, int | None]] = {}
        self._free: list[Any] = []
        self._failed_starts = 0
        self._attempts: Counter[int] = Counter()

    def first(self) -> About:
        """Start the first actor, and return what it has loaded.

        Raises:
            InputError: The model or a setting cannot be used.
            MachineError: No actor can be started, or the engine fails.
        """
        while True:
            self._start()
            actor, _, outcome = self._next()
            if actor is not None:
                self._free.append(actor)
                return _checked(outcome)
            self._count_failed_start(outcome)

    def tables(self, parts: Sequence[int], expected: About) -> Iterator[tuple[int, Any]]:
        """Yield each part with its table, in any order.

        Args:
            parts: Numbers of the parts.
            expected: What every actor must have loaded.

        Raises:
            InputError: A setting cannot be used.
            MachineError: No actor can be started, or one has loaded another model.
        """
        waiting = deque(parts)
        while waiting or any(part is not None for _, part in self._running.values()):
            self._occupy(waiting)
            actor, part, outcome = self._next()
            if part is None:
                self._take_in(actor, outcome, expected)
            elif isinstance(outcome, Fault):
                self._fail(part, outcome, waiting)
                if actor is not None:
                    self._free.append(actor)
            else:
                self._free.append(actor)
                yield part, outcome

    def _occupy(self, waiting: deque[int]) -> None:
        """Give parts to free actors, and start further actors if there are parts for them."""
        while waiting and self._free:
            actor, part = self._free.pop(), waiting.popleft()
            self._running[self.submit(actor, part)] = actor, part
        starting = sum(part is None for _, part in self._running.values())
        while len(self._running) < self.size and starting < len(waiting):
            self._start()
            starting += 1

    def _start(self) -> None:
        actor = self.make()
        self._running[self.begin(actor)] = actor, None

    def _next(self) -> tuple[Any, int | None, Any]:
        """Wait for an actor; return it (None if it is lost), its part, and what it has returned."""
        done: list[Any] = []
        while not done:
            done, _ = self.ray.wait([*self._running], num_returns=1, timeout=PATIENCE)
        actor, part = self._running.pop(done[0])
        try:
            return actor, part, self.ray.get(done[0])
        except self.ray.exceptions.RayError as error:
            self.ray.kill(actor)  # of an actor that is lost already, Ray takes no notice
            return None, part, Fault(_reason(error), machine=True)

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
        self._free.append(actor)

    def _count_failed_start(self, fault: Fault) -> None:
        self._failed_starts += 1
        self.restarts += 1
        if self._failed_starts >= ATTEMPTS:
            raise MachineError(f"no actor can be started ({fault.text})")

    def _fail(self, part: int, fault: Fault, waiting: deque[int]) -> None:
        """Put a part back, or give it up after the last attempt."""
        if not fault.machine:
            raise InputError(fault.text)
        self.restarts += 1
        self._attempts[part] += 1
        if self._attempts[part] < ATTEMPTS:
            waiting.append(part)
        else:
            self.lost.append(Lost(part, fault.text))


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
