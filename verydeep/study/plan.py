"""The smallest set of trainings and tests that some results need, in an order to do them in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from verydeep.errors import plural
from verydeep.study.conditions import FIRST, Condition, Kind, Measure, Need, kind_of


@dataclass(frozen=True)
class TrainPart:
    """A training.

    Attributes:
        condition: What is trained.
        seed: Its seed.
    """

    condition: Condition
    seed: int

    @property
    def name(self) -> str:
        """Name for files: that of the run folder."""
        return f"{self.condition.slug}-s{self.seed}"

    @property
    def needs(self) -> tuple[Condition, ...]:
        """Trainings of the same seed that must be finished before."""
        source = self.condition.source
        return () if source is None else (source,)

    def __str__(self) -> str:
        return f"train {self.condition}, seed {self.seed}"


@dataclass(frozen=True)
class TestPart:
    """Tests of one or more trained nets that share their views, made in one pass.

    Attributes:
        tests: The tests, all of one kind.
        seed: Seed of the nets.
    """

    __test__ = False  # not a test for pytest to collect

    tests: tuple[Need, ...]
    seed: int

    @property
    def name(self) -> str:
        """Name for files."""
        verb = {"classes": "test", "boxes": "test-boxes", "transfer": "transfer"}[self.kind]
        return f"{verb}-{'-and-'.join(one.slug for one in self.needs)}-s{self.seed}"

    @property
    def kind(self) -> Kind:
        """What is tested."""
        return kind_of(self.tests[0])

    @property
    def needs(self) -> tuple[Condition, ...]:
        """The trained nets."""
        members = (member for condition, _ in self.tests for member in condition.members)
        return tuple(dict.fromkeys(members))

    def measures(self, net: Condition) -> tuple[Measure, ...]:
        """Return every test that a net takes part in, alone or with others."""
        found = (measure for condition, measure in self.tests if net in condition.members)
        return tuple(dict.fromkeys(found))

    def __str__(self) -> str:
        return f"{self.title}, seed {self.seed}"

    @property
    def title(self) -> str:
        """The tests in words, without the seed."""
        on = " on other data" if self.kind == "transfer" else ""
        nets = " and ".join(map(str, self.needs))
        return f"{plural(len(self.tests), 'test')}{on} of {nets}"


Part = TrainPart | TestPart


def make_plan(needs: Iterable[Need], seeds: Sequence[int]) -> tuple[Part, ...]:
    """Return the parts of a study; a part comes after those that it needs.

    All parts of a seed come before those of the next, so that a study that is cut short has whole
    seeds. Net A is trained first. Nets whose posteriors are averaged are tested together.

    Args:
        needs: Results that claims compare, in any order.
        seeds: Seeds of the trainings.
    """
    asked = [(condition.canonical, measure) for condition, measure in dict.fromkeys(needs)]
    tests = list(_together(dict.fromkeys(asked)))
    wanted = [member for group in tests for condition, _ in group for member in condition.members]
    trainings = _with_sources(dict.fromkeys(wanted))
    return tuple(part for seed in seeds for part in _of_seed(trainings, tests, seed))


def _with_sources(wanted: Iterable[Condition]) -> tuple[Condition, ...]:
    """Return trainings and what they are initialised from, sources first."""
    found: dict[Condition, None] = {}
    for condition in wanted:
        chain = [condition]
        while (source := chain[-1].source) is not None:
            chain.append(source)
        found |= dict.fromkeys(reversed(chain))
    first = Condition(FIRST).canonical
    return tuple(sorted(found, key=lambda one: one != first))


def _of_seed(
    trainings: Sequence[Condition], tests: Sequence[tuple[Need, ...]], seed: int
) -> Iterator[Part]:
    """Yield trainings, each followed by the tests that it was the last to be trained for."""
    trained: set[Condition] = set()
    left = [TestPart(group, seed) for group in tests]
    for condition in trainings:
        yield TrainPart(condition, seed)
        trained.add(condition)
        yield from (part for part in left if set(part.needs) <= trained)
        left = [part for part in left if not set(part.needs) <= trained]
    assert not left


def _together(tests: Iterable[Need]) -> Iterator[tuple[Need, ...]]:
    """Yield groups of tests of one kind that share nets."""
    groups: list[tuple[set[tuple[Condition, Kind]], list[Need]]] = []
    for test in tests:
        nets, group = {(net, kind_of(test)) for net in test[0].members}, [test]
        for other in [one for one in groups if one[0] & nets]:
            groups.remove(other)
            nets, group = nets | other[0], [*other[1], *group]
        groups.append((nets, group))
    yield from (tuple(group) for _, group in groups)
