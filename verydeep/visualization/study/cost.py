"""What a study has done and still has to do, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from verydeep.study.conditions import HEADS, TRAIN_SCALES, Condition, Need
from verydeep.study.results import Results, TrainingRecord
from verydeep.study.verdicts import claims_of
from verydeep.study.wording import condition_title


@dataclass(frozen=True)
class Trained:
    """The trainings of one condition.

    Attributes:
        title: The condition in words.
        finished: Number of seeds with a net.
        planned: Number of seeds.
        epochs: Epochs of each training.
        hours: Hours of all.
        notes: Failures, and nets that have not learned, with their seeds.
    """

    title: str
    finished: int
    planned: int
    epochs: tuple[int, ...]
    hours: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Progress:
    """How far a study is.

    Attributes:
        trained: The trainings, in order.
        trainings: Numbers of trainings that have ended, and of all.
        tests: Numbers of finished tests, and of all.
        hours: Hours of all trainings.
        test_hours: Hours of all tests.
    """

    trained: tuple[Trained, ...]
    trainings: tuple[int, int]
    tests: tuple[int, int]
    hours: float
    test_hours: float

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        done = self.trainings[0] >= self.trainings[1] and self.tests[0] >= self.tests[1]
        return done and self.tests[1] > 0


def progress_of(results: Results) -> Progress:
    """Return how far a study is, by its claims and seeds."""
    needs = [need for claim in claims_of(results) for need in claim.needs]
    tests: list[Need] = list(dict.fromkeys((one.canonical, measure) for one, measure in needs))
    seeds = results.seeds
    conditions = sorted({chain for one, _ in tests for chain in _trainings(one)}, key=by_scale)
    trained = tuple(_trained(one, seeds, results) for one in conditions)
    ended = sum(results.training(one, seed) is not None for one in conditions for seed in seeds)
    failed = {key for key, record in results.trainings.items() if record.failed}
    done = sum(
        seed in results.of(*test) or any((net, seed) in failed for net in test[0].members)
        for test in tests
        for seed in seeds
    )
    outcomes = (one for seeds in results.outcomes.values() for one in seeds.values())
    return Progress(
        trained,
        (ended, len(conditions) * len(seeds)),
        (done, len(tests) * len(seeds)),
        sum(one.hours for one in trained),
        sum(one.seconds for one in outcomes) / 3600,
    )


def by_scale(condition: Condition) -> tuple[int, str, tuple[bool, int]]:
    """Return a key that sorts by training scale, then by net, initialised in stages first."""
    scale = [*map(str, TRAIN_SCALES), condition.train].index(condition.train)
    order = condition.initialise == "scaled", HEADS.index(condition.head)
    return scale, condition.net, order


def _trainings(condition: Condition) -> Iterator[Condition]:
    """Yield the nets of a condition and those that they are initialised from."""
    for member in condition.members:
        if (source := member.source) is not None:
            yield from _trainings(source)
        yield member


def _trained(condition: Condition, seeds: Sequence[int], results: Results) -> Trained:
    found = [results.training(condition, seed) for seed in seeds]
    records = [record for record in found if record is not None]
    nets = [record for record in records if not record.failed]
    return Trained(
        condition_title(condition),
        len(nets),
        len(seeds),
        tuple(record.epochs for record in nets),
        sum(record.hours for record in records),
        tuple(note for record in records if (note := _note(record))),
    )


def _note(record: TrainingRecord) -> str:
    if record.failed:
        return f"seed {record.seed} failed: {record.failed}"
    if record.learned:
        return ""
    boxes = record.condition.head != "classes"
    level = "no better than a box that ignores the image" if boxes else "its loss is at chance"
    return f"seed {record.seed} has not learned: {level}"
