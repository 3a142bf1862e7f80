"""Division of groups of images into parts of given shares, with every class balanced.

Groups are never divided, so shares hold only as well as the groups allow. In an order drawn by the
seed, each group goes to the part that it fits best; then single groups move as long as that helps.
The cost of a division is, over parts s and classes k,

    sum of (c[s, k] / n[k] - share[s])^2 / share[s]

where c counts images and n is the class's total; a class missing in a part costs more than anything
else. The result depends on the seed, the names of the groups and the labels, not on the order of
the images.

N images, G groups, S parts, K classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MISSING = 10.0
"""Cost of a class that a part lacks; a share is off by at most 1."""

ATTEMPTS = 8
"""Orders of the groups to try until no part lacks a class."""

SWEEPS = 20
"""Maximum number of rounds of moves."""


def divide_groups(
    labels: Ints,
    groups: Sequence[str],
    shares: Sequence[float],
    seed: int,
    images: Ints | None = None,
) -> Ints:
    """Return the part of every image; images of one group are in one part.

    Args:
        labels: Classes of the N images; of multi-label images, those of all pairs of an image and
            one of its classes.
        groups: Names of the groups of the N images.
        shares: Share of each part, above 0; their sum is 1.
        seed: Random seed.
        images: Image of each pair, every image at least once; None for one class per image.

    Returns:
        int64 (N,), from 0 to S - 1. A part may lack a class if there are few groups, see
        :func:`lacking`.
    """
    names, members = np.unique(np.asarray(groups, np.str_), return_inverse=True)
    paired = members if images is None else members[images]
    best: tuple[float, Ints] | None = None
    for attempt in range(ATTEMPTS):
        found = _Division(labels, paired, np.asarray(shares, np.float64))
        found.place(_drawn_order(names.tolist(), seed, attempt))
        if best is None or found.cost < best[0]:
            best = (found.cost, found.parts)
        if not (found.counts == 0).any():
            break
    assert best is not None
    return np.asarray(best[1][members])


def lacking(labels: Ints, parts: Ints, count: int) -> Ints:
    """Return the classes that one of the parts lacks."""
    classes, numbers = np.unique(labels, return_inverse=True)
    counts = np.zeros((count, len(classes)), np.int64)
    np.add.at(counts, (parts, numbers), 1)
    return np.asarray(classes[(counts == 0).any(axis=0)])


def _drawn_order(names: Sequence[str], seed: int, attempt: int) -> list[int]:
    def drawn(number: int) -> bytes:
        text = f"{seed}:{attempt}:{names[number]}"
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()

    return sorted(range(len(names)), key=drawn)


@dataclass(frozen=True, slots=True)
class _Group:
    """Classes of a group's images, as indices, and the share of each class that they are."""

    classes: Ints
    images: Ints
    share: Floats


class _Division:
    """Groups on their way into parts."""

    def __init__(self, labels: Ints, members: Ints, shares: Floats) -> None:
        _, numbers, totals = np.unique(labels, return_inverse=True, return_counts=True)
        order = np.argsort(members, kind="stable")
        ends = np.cumsum(np.bincount(members))
        self.groups = [_group(numbers[own], totals) for own in np.split(order, ends[:-1])]
        self.shares = shares[:, None]
        self.filled = np.zeros((len(shares), len(totals)))
        self.counts = np.zeros((len(shares), len(totals)), np.int64)
        self.parts = np.full(len(self.groups), -1)

    @property
    def cost(self) -> float:
        """Cost of the division."""
        off = float(((self.filled - self.shares) ** 2 / self.shares).sum())
        return off + MISSING * int((self.counts == 0).sum())

    def place(self, order: Sequence[int]) -> None:
        """Place all groups, then move single ones while that lowers the cost."""
        for number in order:
            self._put(number, int(self._gains(self.groups[number]).argmin()))
        for _ in range(SWEEPS):
            if not sum(self._move(number) for number in order):
                return

    def _move(self, number: int) -> bool:
        """Move a group to the best part; return whether that is another one."""
        old = int(self.parts[number])
        self._take(number)
        gains = self._gains(self.groups[number])
        best = int(gains.argmin())
        moved = gains[best] < gains[old] - 1e-12
        self._put(number, best if moved else old)
        return bool(moved)

    def _gains(self, group: _Group) -> Floats:
        """Return the change of the cost for each part that the group could go to, (S,)."""
        now = self.filled[:, group.classes] - self.shares
        change = ((now + group.share) ** 2 - now**2) / self.shares
        missing = self.counts[:, group.classes] == 0
        return np.asarray((change - MISSING * missing).sum(axis=1))

    def _put(self, number: int, part: int) -> None:
        group = self.groups[number]
        self.counts[part, group.classes] += group.images
        self.filled[part, group.classes] += group.share
        self.parts[number] = part

    def _take(self, number: int) -> None:
        group, part = self.groups[number], self.parts[number]
        self.counts[part, group.classes] -= group.images
        self.filled[part, group.classes] -= group.share


def _group(numbers: Ints, totals: Ints) -> _Group:
    classes, images = np.unique(numbers, return_counts=True)
    return _Group(classes, images, images / totals[classes])
