"""Splits of multi-label images: iterative stratification (Sechidis et al. 2011).

The rarest class is dealt first, each of its images to the split that still lacks most images of
that class; classes that are left over then have images enough to even out. Images of none of the
classes come last.

K classes, N images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from verydeep.data.label_sets import LabelSet


def stratify(sets: Sequence[LabelSet], shares: Mapping[str, float]) -> list[str]:
    """Divide images into splits that have about the same share of every class.

    Unlike in the paper, ties are broken by the order of the splits instead of at random: the
    caller orders the images.

    Args:
        sets: Classes of each image, N.
        shares: Share of each split; the rest is ``train``.

    Returns:
        The split of each image, N.

    >>> stratify([(0,), (0,), (1,), (1,), (), ()], {"val": 0.5})
    ['train', 'val', 'train', 'val', 'train', 'val']
    """
    wanted = {"train": 1.0 - sum(shares.values()), **shares}
    splits = [name for name, share in wanted.items() if share > 0]
    images: dict[int, list[int]] = {}
    for number, one in enumerate(sets):
        for label in one:
            images.setdefault(label, []).append(number)
    lacking = {
        split: {label: wanted[split] * len(own) for label, own in images.items()}
        for split in splits
    }
    room = {split: wanted[split] * len(sets) for split in splits}
    dealt: dict[int, str] = {}

    def deal(number: int, label: int | None) -> None:
        def need(split: str) -> tuple[float, float]:
            own = 0.0 if label is None else lacking[split][label]
            return round(own, 9), round(room[split], 9)

        split = max(splits, key=need)
        dealt[number] = split
        room[split] -= 1
        for one in sets[number]:
            lacking[split][one] -= 1
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
