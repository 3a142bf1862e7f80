"""What is left to do of a study, also of one that was moved without its runs.

The results of a study are small files; its trained nets are not. A study that goes on elsewhere
from its results alone trains again those nets that unfinished parts need, and no others. It tests
them again, too, as a net that is trained again on another machine is not quite the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Sequence

from verydeep.run.reproduce.study import Study, is_done
from verydeep.study.conditions import Condition
from verydeep.study.plan import Part, TestPart, TrainPart
from verydeep.study.results import Results


def remaining(study: Study, parts: Sequence[Part], results: Results) -> tuple[Part, ...]:
    """Return the parts that are left to do, in their order.

    Args:
        study: The study.
        parts: All parts, in an order in which each comes after those it needs.
        results: Results so far.
    """
    left: set[Part] = set()
    while (more := _with_lost(study, parts, results, left)) != left:
        left = more
    return tuple(part for part in parts if part in left)


def _with_lost(
    study: Study, parts: Sequence[Part], results: Results, asked: Container[Part]
) -> set[Part]:
    """Return what is asked or not done, the lost nets that it needs, and their tests."""
    left: set[Part] = set()
    lost: set[tuple[Condition, int]] = set()
    for part in reversed(parts):  # those that need a net come before its training
        own = isinstance(part, TrainPart) and (part.condition, part.seed) in lost
        if own or part in asked or not is_done(part, results):
            left.add(part)
            lost |= {(n, part.seed) for n in part.needs if _is_lost(study, n, part.seed, results)}
    tests = (part for part in parts if isinstance(part, TestPart))
    return left | {part for part in tests if lost & {(net, part.seed) for net in part.needs}}


def startable(left: Sequence[Part]) -> tuple[Part, ...]:
    """Return those of the parts left to do that wait for none of the others."""
    coming = {(part.condition, part.seed) for part in left if isinstance(part, TrainPart)}
    return tuple(part for part in left if not coming & {(net, part.seed) for net in part.needs})


class SideBySide(ABC):
    """Does the parts of a study, several at a time.

    Attributes:
        study: The study.
        jobs: Parts at a time.
    """

    study: Study
    jobs: int

    def run(self, parts: Sequence[Part]) -> None:
        """Do the parts, each as soon as those that it needs are done and a place is free."""
        left = list(remaining(self.study, parts, self.study.results()))
        try:
            while left:
                busy = self.busy()
                ready = [part for part in startable(left) if part not in busy]
                for part in ready[: self.jobs - len(busy)]:
                    self.start(part)
                assert self.busy(), "a part waits for one that is not planned"
                ended = self.wait()
                left = [part for part in left if part not in ended]
        finally:
            self.stop()

    @abstractmethod
    def busy(self) -> list[Part]:
        """Return the parts that are being done."""

    @abstractmethod
    def start(self, part: Part) -> None:
        """Begin a part."""

    @abstractmethod
    def wait(self) -> list[Part]:
        """Wait until parts end, and return them; signals interrupt the wait."""

    @abstractmethod
    def stop(self) -> None:
        """Let running parts save their state and end."""


def _is_lost(study: Study, net: Condition, seed: int, results: Results) -> bool:
    """Return whether a net was trained, but is not there any more."""
    record = results.training(net, seed)
    trained = record is not None and not record.failed
    return trained and not (study.run(net, seed) / "model").is_dir()
