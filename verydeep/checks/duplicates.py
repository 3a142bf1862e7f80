"""Detection of duplicates: exact by bytes or pixels, near by perceptual hash and correlation.

Two hashes that differ in at most :data:`~verydeep.checks.perceptual_hash.NEAR` = 6 of 64 bits share
at least two of their eight bytes. So the files are sorted by each of the 28 pairs of bytes, and
only those with an equal pair are compared. Close images are decoded again and compared by pixels,
which distinguishes copies from chance similarity.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from verydeep.checks.facts_table import ImageFacts
from verydeep.checks.perceptual_hash import ALIKE, NEAR, ImageFeatures, distance, image_features
from verydeep.data.pipeline.workers import load_pictures
from verydeep.system.progress import Progress

Pairs = NDArray[np.int64]

MOST_PAIRS = 100_000
"""Maximum number of near pairs to compare, in one split and class and across them: the frames of a
video are all alike."""

MOST_COMPARISONS = 2 * 10**9
"""Maximum number of hashes to compare, likewise: about a minute."""

CERTAIN_BITS = 2
"""Maximum differing bits of the hashes of certain copies..."""

CERTAIN_CORRELATION = 0.99
"""... and the minimum correlation of their pixels."""


@dataclass(frozen=True, slots=True)
class Group:
    """Files with the same image: their indices, and what is equal."""

    members: tuple[int, ...]
    equal: Literal["bytes", "pixels"]


@dataclass(frozen=True, slots=True)
class Near:
    """Two files with nearly the same image.

    Attributes:
        first: Index of one image.
        second: Index of the other.
        bits: Number of differing bits of the hashes.
        correlation: Correlation of the downsized images.
    """

    first: int
    second: int
    bits: int
    correlation: float

    @property
    def certain(self) -> bool:
        """Whether the two are certainly copies: no other images of real data sets are so alike."""
        return self.bits <= CERTAIN_BITS and self.correlation >= CERTAIN_CORRELATION


@dataclass(frozen=True, slots=True)
class Duplicates:
    """All duplicates in a data set.

    Attributes:
        groups: Equal images.
        near: Near pairs.
        complete: Whether these are all near pairs.
        across: Whether they are at least all of different splits or classes.
    """

    groups: tuple[Group, ...] = ()
    near: tuple[Near, ...] = ()
    complete: bool = True
    across: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """Near pairs of hashes.

    Attributes:
        pairs: Sorted pairs of indices (M, 2), the smaller first.
        complete: Whether these are all.
        across: Whether they are at least all of different kinds.
    """

    pairs: Pairs
    complete: bool = True
    across: bool = True


def find_duplicates(
    pictures: Sequence[ImageFacts],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Duplicates:
    """Find duplicates among images.

    Args:
        pictures: All files of all splits.
        workers: Decoding processes for the comparison.
        progress: Progress reporting; None is silent.
    """
    progress = progress or Progress()
    same, numbers, hashes, kinds = _by_bytes(pictures)
    found = near_pairs(hashes, kinds, most=MOST_PAIRS, progress=progress)
    pairs = numbers[found.pairs] if len(found.pairs) else np.empty((0, 2), np.int64)
    features = _decode_again(pictures, pairs, workers, progress)
    heads = _join_equal_pixels(pairs, features)
    near = tuple(_near(pictures, pairs, features, heads))
    groups = tuple(_groups(pictures, same, heads))
    return Duplicates(groups, near, found.complete, found.across)


def near_pairs(
    hashes: NDArray[np.uint64],
    kinds: NDArray[np.int64] | None = None,
    *,
    most: int | None = None,
    progress: Progress | None = None,
) -> Found:
    """Find all pairs of hashes that differ in at most ``NEAR`` bits.

    If too many of one kind are alike, those of different kinds are found nevertheless.

    Args:
        hashes: Hashes, uint64 (N,).
        kinds: The kind of each, (N,): its split and class; None for one kind.
        most: Maximum number of pairs of one kind, and of different kinds; None finds all.
        progress: Progress reporting; None is silent.
    """
    columns = hashes.view(np.uint8).reshape(-1, 8).astype(np.uint16)
    kinds = np.zeros(len(hashes), np.int64) if kinds is None else kinds
    most = len(hashes) ** 2 if most is None else most
    within, across = set[tuple[int, int]](), set[tuple[int, int]]()
    chosen, compared = list(combinations(range(8), 2)), 0
    with (progress or Progress()).task("pair", len(chosen)) as bar:
        for done, (one, other) in enumerate(chosen, start=1):
            keys = np.asarray(256 * columns[:, one] + columns[:, other], dtype=np.uint16)
            for pairs, tried in _close_within(hashes, keys):
                crossing = kinds[pairs[:, 0]] != kinds[pairs[:, 1]]
                across.update(map(tuple, pairs[crossing].tolist()))
                if len(within) <= most:
                    within.update(map(tuple, pairs[~crossing].tolist()))
                compared += tried
                if len(across) > most or (len(within) > most and compared > MOST_COMPARISONS):
                    return Found(_first(within, across, most), complete=False, across=False)
            bar.update(done)
    return Found(_first(within, across, most), complete=len(within) <= most)


def _first(within: set[tuple[int, int]], across: set[tuple[int, int]], most: int) -> Pairs:
    return _ordered({*sorted(within)[:most], *sorted(across)[:most]})


def _close_within(
    hashes: NDArray[np.uint64], keys: NDArray[np.uint16]
) -> Iterator[tuple[Pairs, int]]:
    """Yield the close pairs with equal keys: sorted neighbours 1 apart, 2 apart, ...

    With each goes the number of pairs that were compared for it.
    """
    order = np.argsort(keys, kind="stable")
    keys, hashes = keys[order], hashes[order]
    left = np.arange(len(keys))
    step = 0
    while left.size:
        step += 1
        left = left[: np.searchsorted(left, len(keys) - step)]
        left = left[keys[left] == keys[left + step]]
        bits = np.bitwise_count(hashes[left] ^ hashes[left + step])
        close = left[bits <= NEAR]
        if close.size:
            pairs = np.sort(np.stack([order[close], order[close + step]], axis=1), axis=1)
            yield pairs, left.size


def _ordered(pairs: Iterable[tuple[int, int]]) -> Pairs:
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def _by_bytes(
    pictures: Sequence[ImageFacts],
) -> tuple[list[list[int]], NDArray[np.int64], NDArray[np.uint64], NDArray[np.int64]]:
    """Return groups of equal files, and the indices, hashes and kinds of one of each."""
    digests, hashes = bytearray(), np.zeros(len(pictures), np.uint64)
    kinds, numbers_of = np.zeros(len(pictures), np.int64), dict[tuple[str, int], int]()
    usable, hashed = (np.zeros(len(pictures), np.bool_) for _ in range(2))
    for index, picture in enumerate(pictures):
        facts = picture.facts
        digests += facts.digest.ljust(16, b"\0")
        hashes[index] = facts.hash or 0
        kinds[index] = numbers_of.setdefault((picture.split, picture.label), len(numbers_of))
        usable[index], hashed[index] = facts.fault is None, facts.hash is not None
    numbers = np.flatnonzero(usable)
    keys = np.frombuffer(digests, np.uint64).reshape(-1, 2)[numbers]
    order = np.lexsort((numbers, keys[:, 1], keys[:, 0]))
    changes = np.flatnonzero((np.diff(keys[order], axis=0) != 0).any(axis=1)) + 1
    starts = np.concatenate([np.zeros(min(1, len(order)), np.int64), changes])
    lengths = np.diff(np.append(starts, len(order)))
    several = [
        numbers[order[start : start + length]].tolist()
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
        if length > 1
    ]
    firsts = np.sort(numbers[order[starts]])
    firsts = firsts[hashed[firsts]]
    return several, firsts, hashes[firsts], kinds[firsts]


def _decode_again(
    pictures: Sequence[ImageFacts], pairs: Pairs, workers: int | None, progress: Progress
) -> dict[int, ImageFeatures]:
    indices = np.unique(pairs).tolist()
    features = {}
    paths = [pictures[index].path for index in indices]
    with (
        progress.task("compare", len(indices)) as task,
        closing(load_pictures(paths, image_features, workers=workers)) as all_loaded,
    ):
        for loaded in all_loaded:
            task.update(loaded.index + 1)
            if loaded.value is not None:
                features[indices[loaded.index]] = loaded.value
    return features


def _join_equal_pixels(pairs: Pairs, features: dict[int, ImageFeatures]) -> dict[int, int]:
    """Return, for each decoded image, the index of the first one with equal pixels."""
    first_with: dict[bytes, int] = {}
    return {
        index: first_with.setdefault(features[index].pixels, index)
        for index in np.unique(pairs).tolist()
        if index in features
    }


def _near(
    pictures: Sequence[ImageFacts],
    pairs: Pairs,
    features: dict[int, ImageFeatures],
    heads: dict[int, int],
) -> Iterator[Near]:
    seen = set()
    for first, second in pairs.tolist():
        pair = (heads.get(first), heads.get(second))
        if None in pair or pair[0] == pair[1] or frozenset(pair) in seen:
            continue
        seen.add(frozenset(pair))
        correlation = features[first].correlation(features[second])
        if correlation >= ALIKE:
            hashes = (pictures[first].facts.hash or 0, pictures[second].facts.hash or 0)
            yield Near(first, second, distance(*hashes), correlation)


def _groups(
    pictures: Sequence[ImageFacts], same: list[list[int]], heads: dict[int, int]
) -> Iterator[Group]:
    joined: dict[int, set[int]] = defaultdict(set)
    for index, head in heads.items():
        joined[head].add(index)
    for members in same:
        joined[heads.get(members[0], members[0])].update(members)
    for head in sorted(joined):
        members = sorted(joined[head])
        if len(members) > 1:
            digests = {pictures[index].facts.digest for index in members}
            yield Group(tuple(members), "bytes" if len(digests) == 1 else "pixels")
