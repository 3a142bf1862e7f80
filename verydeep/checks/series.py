"""Series of images that drawn splits divide, such as frames of one video or shots of one object.

Names with running numbers are common and harmless; they only say which images to compare. The
evidence is that neighbours in a series look alike, by their perceptual hashes, far more often than
other images of one class.
"""

from __future__ import annotations

import random
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from verydeep.checks.perceptual_hash import distance
from verydeep.data.dataset import Dataset, relative_name
from verydeep.data.group_rule import GroupRule
from verydeep.data.grouping import groups_of
from verydeep.data.samples import Samples
from verydeep.data.split import cut
from verydeep.errors import DataError, printable
from verydeep.system.option_names import in_program, option

MOST = 150
"""Pairs of neighbours to compare, spread over the data set."""

SIMILAR = 10
"""Bits of 64 in which hashes of neighbours may differ; those of unrelated photographs differ in 32
on average, and in so few about once in ten million pairs."""

LEAST_PAIRS = 3
LEAST_SHARE = 0.15
LEAST_RATIO = 3.0
"""Least number and share of similar pairs of neighbours, and its ratio to that of other pairs."""

COVERED = 0.8
"""Share of the similar pairs that a suggested rule must keep together."""

MOST_IMAGES = 100_000
"""Images whose names are read, of classes drawn at random: series lie within classes."""

PLACES = 3
"""Numbers at the end of a name that may be the running one."""

BLOCKS = (1, 2, 3)
"""Last digits to drop for blocks of neighbours, where a class is one long series."""

_NUMBER = re.compile(r"\d+")

Hashes = Callable[[Sequence[int]], Sequence[int | None]]
"""Returns the perceptual hashes of images by their indices over all splits, in order."""


@dataclass(frozen=True)
class SeriesInSplits:
    """Series that are divided among splits.

    Attributes:
        similar: Similar pairs of neighbours in different splits, as indices over all splits.
        compared: Number of pairs of neighbours that were compared.
        names: Names of the images of one similar pair.
        splits: Their splits.
        rule: Rule for groups that would keep neighbours together; None if none was found.
    """

    similar: tuple[tuple[int, int], ...]
    compared: int
    names: tuple[str, str]
    splits: tuple[str, str]
    rule: str | None

    @property
    def title(self) -> str:
        """The finding in a sentence."""
        one, other = map(printable, self.names)
        return (
            f"images of one series in several splits: {len(self.similar)} of {self.compared} pairs "
            f"of neighbours by name look alike, such as {one} ({self.splits[0]}) and {other} "
            f"({self.splits[1]})"
        )

    @property
    def advice(self) -> str:
        """Recommended action."""
        too_low = "the measured error would be too low"
        if self.rule is None:
            return f"{too_low}: divide the series yourself, one whole series to a split"
        rule = shlex.quote(self.rule) if in_program() else self.rule
        return f"{too_low}: draw the splits by group, {option('group_by', rule)}"


def find_series(dataset: Dataset, hashes: Hashes) -> SeriesInSplits | None:
    """Look for series that splits drawn by rule divide; None if there is no evidence.

    Args:
        dataset: Data set with drawn splits.
        hashes: Gives the hashes of some images.
    """
    if not dataset.made_by_rule or dataset.dimensions == 3:
        return None
    table = _Table.of(dataset)
    place = table.place_of_number()
    if place is None:
        return None
    crossing = [pair for pair in table.neighbours(place) if table.crosses(*pair)]
    chosen = _spread(crossing, MOST)
    others = list(table.controls(chosen))
    known = _Known(table.hashed_by(hashes), [*chosen, *others])
    similar = [pair for pair in chosen if known.similar(*pair)]
    by_chance = sum(known.similar(*pair) for pair in others) / max(1, len(others))
    share = len(similar) / max(1, len(chosen))
    if len(similar) < LEAST_PAIRS or share < max(LEAST_SHARE, LEAST_RATIO * by_chance):
        return None
    first, second = similar[0]
    pairs = tuple((table.indices[one], table.indices[other]) for one, other in similar)
    return SeriesInSplits(
        pairs,
        len(chosen),
        (table.names[first], table.names[second]),
        (table.splits[first], table.splits[second]),
        _suggest(dataset, place, pairs),
    )


@dataclass(frozen=True)
class _Table:
    """Names, splits and classes of images, and their indices over all splits."""

    names: list[str]
    splits: list[str]
    labels: list[int]
    indices: list[int]

    @staticmethod
    def of(dataset: Dataset) -> _Table:
        """Return the images of all classes or, if they are too many, of some."""
        table, start, some = _Table([], [], [], []), 0, _some_classes(dataset)
        for split, samples in dataset.splits.items():
            own = np.flatnonzero(np.isin(samples.labels, some))
            taken = samples.take(own)
            table.names.extend(relative_name(path, dataset.root) for path in taken.paths)
            table.splits.extend([split] * len(own))
            table.labels.extend(taken.labels.tolist())
            table.indices.extend((own + start).tolist())
            start += len(samples)
        return table

    def hashed_by(self, hashes: Hashes) -> Hashes:
        """Return a function of rows of this table from one of indices over all splits."""
        return lambda rows: hashes([self.indices[row] for row in rows])

    def place_of_number(self) -> int | None:
        """Return the place of the running number, from 1 at the end of the name.

        It is the one by which most images are in a series of three or more.
        """
        counts = {place: self._in_series(place) for place in range(1, PLACES + 1)}
        best = max(counts, key=lambda place: (counts[place], -place))
        return best if counts[best] else None

    def _in_series(self, place: int) -> int:
        keys = [series[0] for name in self.names if (series := series_of(name, place))]
        _, counts = np.unique(np.asarray(keys, np.str_), return_counts=True)
        return int(counts[counts >= 3].sum())

    def neighbours(self, place: int) -> Iterator[tuple[int, int]]:
        """Yield the images that follow each other in a series."""
        found = [
            (*series, index)
            for index, name in enumerate(self.names)
            if (series := series_of(name, place))
        ]
        for (key, _, first), (other, _, second) in pairwise(sorted(found)):
            if key == other:
                yield first, second

    def crosses(self, first: int, second: int) -> bool:
        """Return whether two images are in different splits."""
        return self.splits[first] != self.splits[second]

    def controls(self, pairs: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Yield for each pair another of its class, drawn at random but always the same."""
        by_class: dict[int, list[int]] = {}
        for index, label in enumerate(self.labels):
            by_class.setdefault(label, []).append(index)
        drawn = random.Random(0)
        for first, second in pairs:
            other = drawn.choice(by_class[self.labels[first]])
            if other not in (first, second):
                yield first, other


def series_of(name: str, place: int) -> tuple[str, int] | None:
    """Return the series of an image and its number there; None without such a number.

    Args:
        name: Path within the data set.
        place: Place of the number among those of the file name, from 1 at the end.

    >>> series_of("cat/clip3_0012.jpg", 1), series_of("cat/a.jpg", 1)
    (('cat/clip3_#.jpg', 12), None)
    """
    folder, slash, file = name.rpartition("/")
    stem = file.rpartition(".")[0] or file
    found = list(_NUMBER.finditer(stem))
    if len(found) < place:
        return None
    start, end = found[-place].span()
    text = file[start:end]
    return f"{folder}{slash}{file[:start]}#{file[end:]}", int(text)


class _Known:
    """Hashes of the images of some pairs."""

    def __init__(self, hashes: Hashes, pairs: Sequence[tuple[int, int]]) -> None:
        indices = sorted({index for pair in pairs for index in pair})
        self.hashes = dict(zip(indices, hashes(indices), strict=True))

    def similar(self, first: int, second: int) -> bool:
        """Return whether the hashes of two images are close."""
        one, other = self.hashes[first], self.hashes[second]
        return one is not None and other is not None and distance(one, other) <= SIMILAR


def _some_classes(dataset: Dataset) -> list[int]:
    """Return classes with up to :data:`MOST_IMAGES` images together, at least one."""
    # In a multi-label data set, these are label sets instead of classes.
    counts = np.bincount(np.concatenate([one.labels for one in dataset.splits.values()]))
    order = np.random.default_rng(0).permutation(len(counts))
    within = int(np.searchsorted(np.cumsum(counts[order]), MOST_IMAGES, side="right"))
    return [int(label) for label in order[: max(1, within)]]


def _spread(pairs: Sequence[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    places = np.linspace(0, len(pairs) - 1, min(most, len(pairs))).astype(int)
    return [pairs[place] for place in places.tolist()]


def _suggest(dataset: Dataset, place: int, similar: Sequence[tuple[int, int]]) -> str | None:
    """Return the first rule that keeps similar neighbours together and can be drawn by."""
    samples = Samples.of(sample for samples in dataset.splits.values() for sample in samples)
    if dataset.label_sets is not None:
        samples = samples.with_sets(dataset.label_sets, samples.labels)
    parts = {split: 0.1 for split in dataset.splits if split != "train"}
    for text in _candidates(place):
        try:
            groups = groups_of(GroupRule.parse(text), dataset, samples)
            together = sum(groups[one] == groups[other] for one, other in similar)
            if together < COVERED * len(similar):
                continue
            cut(samples, dataset.root, parts, 0, names=dataset.classes, groups=groups)
        except DataError:
            continue
        return text
    return None


def _candidates(place: int) -> Iterator[str]:
    """Yield rules: the folder, the series, and blocks of neighbours within one."""
    rest = r"[^\d/]*" + r"\d+[^\d/]*" * (place - 1) + r"(?:\.\w+)?$"
    yield "folder"
    yield rf"name:^(.*?)\d+{rest}"
    for digits in reversed(BLOCKS):
        yield rf"name:^(.*?)\d{{1,{digits}}}{rest}"
