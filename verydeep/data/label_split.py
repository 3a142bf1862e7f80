"""Splits and folds of multi-label images: iterative stratification (Sechidis et al. 2011).

The rarest class is dealt first, each of its images to the split that still lacks most images of
that class; classes that are left over then have images enough to even out. Images of none of the
classes come last.

K classes, N images.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from verydeep.data.label_sets import LabelSet


def deal_sets(sets: Sequence[LabelSet], shares: Sequence[float]) -> list[int]:
    """Divide images into parts that have about their share of every class.

    Unlike in the paper, ties are broken by the order of the parts instead of at random: the
    caller orders the images.

    Args:
        sets: Classes of each image, N.
        shares: Share of each part, above 0; their sum is 1.

    Returns:
        The part of each image, N.

    >>> deal_sets([(0,), (0,), (0,), (1,), (1,), (1,)], [1 / 3] * 3)
    [0, 1, 2, 0, 1, 2]
    """
    parts = range(len(shares))
    images: dict[int, list[int]] = {}
    for number, one in enumerate(sets):
        for label in one:
            images.setdefault(label, []).append(number)
    lacking = [{label: share * len(own) for label, own in images.items()} for share in shares]
    room = [share * len(sets) for share in shares]
    dealt: dict[int, int] = {}

    def deal(number: int, label: int | None) -> None:
        def need(part: int) -> tuple[float, float]:
            own = 0.0 if label is None else lacking[part][label]
            return round(own, 9), round(room[part], 9)

        part = max(parts, key=need)
        dealt[number] = part
        room[part] -= 1
        for one in sets[number]:
            lacking[part][one] -= 1
            left[one] -= 1

    left = {label: len(own) for label, own in images.items()}
    while any(left.values()):
        rarest = min((label for label in left if left[label]), key=lambda k: (left[k], k))
        for number in images[rarest]:
            if number not in dealt:
                deal(number, rarest)
    for number in range(len(sets)):
        if number not in dealt:
            deal(number, None)
    return [dealt[number] for number in range(len(sets))]


def random_folds(truth: NDArray[np.bool_], folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each image, int64 (N,), by iterative stratification in a random order.

    Args:
        truth: True for the classes of each image, (N, K).
        folds: Number of folds.
        seed: Random seed of the order.
    """
    order = np.random.default_rng(seed).permutation(len(truth))
    sets = [tuple(np.flatnonzero(truth[one]).tolist()) for one in order]
    dealt = np.empty(len(truth), np.int64)
    dealt[order] = deal_sets(sets, [1 / folds] * folds)
    return dealt
