"""The part of Ray that a pool of actors uses, in this process and in a fixed order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from verydeep.run.bulk.work import About, Fault

ABOUT = About("abc", {"engine": "torch"}, {"device": "cpu", "versions": {}})


class RayError(Exception):
    """An actor is lost."""


class FakeRay:
    """Gives the outcome of the oldest call first.

    Attributes:
        killed: Actors that were killed.
    """

    exceptions = SimpleNamespace(RayError=RayError)

    def __init__(self) -> None:
        self.killed: list[FakeActor] = []

    def wait(self, calls: Sequence[Any], **options: Any) -> tuple[list[Any], list[Any]]:
        return [calls[0]], list(calls[1:])

    def get(self, call: Callable[[], Any]) -> Any:
        return call()

    def kill(self, actor: FakeActor) -> None:
        self.killed.append(actor)


class FakeActor:
    """An actor that does what a script says of its number and its task.

    Args:
        number: Which actor it is.
        start: Returns what the actor has loaded.
        do: Returns the table of a task of ten rows.
    """

    def __init__(
        self, number: int, start: Callable[[int], Any], do: Callable[[int, int], Any]
    ) -> None:
        self.number, self.start, self.do = number, start, do
        self.alive = True

    def begin(self) -> Callable[[], Any]:
        return lambda: self._answer(lambda: self.start(self.number))

    def submit(self, rows: range) -> Callable[[], Any]:
        return lambda: self._answer(lambda: self.do(self.number, rows.start // 10))

    def _answer(self, work: Callable[[], Any]) -> Any:
        assert self.alive, "a lost actor gets no more work"
        try:
            return work()
        except RayError:
            self.alive = False
            raise


def loads(number: int) -> About | Fault:
    """Load the same as every actor."""
    return ABOUT
