"""Many boxes of one object, merged greedily (appendix A of the paper, after OverFeat, 2013).

The two boxes that match best are replaced by their mean, again and again, until the best match is
worse than a threshold; a merged box has the sum of the scores of what it was merged from. The paper
publishes neither the match score nor the threshold. Here, for boxes a and b ::

    match = distance between their centres / s  -  area of their intersection / area of their union,
    s     = square root of the mean of their areas

in numbers that depend neither on the size of the image nor on that of the boxes: −1 of equal
boxes, −r of a box inside another with the same centre and r times its area, x − (1 − x)/(1 + x) of
equal squares that are x sides apart (0 ≤ x ≤ 1), 1 or more of equal squares that only touch.
(OverFeat adds the intersection; subtracted it makes sense.) Boxes that have no area match nothing.

"Averaging" is that of the corners of the two boxes, whatever each was merged from, as published.

N boxes, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from verydeep.localization.protocol import USUAL, Merging

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Merged:
    """Boxes on the way, or at the end.

    Attributes:
        boxes: float64 (M, 4), corners.
        scores: float64 (M,) or (M, K), sums over what each was merged from.
        pair: Rows of the two that match best and are merged next, the first the lower; None at
            the end.
        match: Their match score; None at the end.
    """

    boxes: Tensor
    scores: Tensor
    pair: tuple[int, int] | None = None
    match: float | None = None


def merge(boxes: Tensor, scores: Tensor, merging: Merging = USUAL) -> Merged:
    """Merge boxes.

    Args:
        boxes: (N, 4), corners in pixels.
        scores: (N,), or (N, K) of several classes.
        merging: When it ends.

    Raises:
        ValueError: A box or score is not finite, or their numbers differ.
    """
    *_, last = merge_steps(boxes, scores, merging)
    return last


def merge_steps(boxes: Tensor, scores: Tensor, merging: Merging = USUAL) -> Iterator[Merged]:
    """Merge boxes, and yield all that there are before every step, and at the end.

    Equal boxes are first made one, which is what merging would do with them before all else. A
    merged box takes the place of the first of its two; of equal matches the one whose first box
    stands first is merged, then the one whose second does. For M different boxes that takes memory
    for a few times M numbers, and about 3·M times M operations.

    Args:
        boxes: (N, 4), corners in pixels.
        scores: (N,), or (N, K) of several classes.
        merging: When it ends.

    Raises:
        ValueError: A box or score is not finite, or their numbers differ.
    """
    corners, sums = _distinct(*_checked(boxes, scores))
    corners, sums = _best(corners, sums, merging.most)
    # The best match of each box with one that stands behind it, or a lower bound of it.
    bounds = np.array([_row(corners, first).min(initial=np.inf) for first in range(len(corners))])
    while True:
        pair, match = _closest(corners, bounds)
        if pair is None or match > merging.threshold:
            yield Merged(_tensor(corners), _tensor(sums))
            return
        yield Merged(_tensor(corners), _tensor(sums), pair, match)
        corners, sums, bounds = _join(corners, sums, bounds, *pair)


def match_scores(box: Floats, others: Floats) -> Floats:
    """Return the match scores (N,) of a box (4,) with others (N, 4); see the module's formula."""
    first, last = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = np.clip(last - first, 0, None).prod(1)
    both = _areas(box[None]) + _areas(others)
    apart = (box[:2] + box[2:] - others[:, :2] - others[:, 2:]) / 2
    distance = np.sqrt(apart[:, 0] ** 2 + apart[:, 1] ** 2)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        match = distance / np.sqrt(both / 2) - common / (both - common)
    return np.where(both > 0, match, np.inf)


def _areas(boxes: Floats) -> Floats:
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return np.multiply(sides[:, 0], sides[:, 1])


def _checked(boxes: Tensor, scores: Tensor) -> tuple[Floats, Floats]:
    if boxes.dim() != 2 or boxes.shape[1] != 4 or len(scores) != len(boxes):
        raise ValueError(
            f"boxes must be (N, 4) and scores (N,) or (N, K), "
            f"got {tuple(boxes.shape)} and {tuple(scores.shape)} instead"
        )
    if not (boxes.isfinite().all() and scores.isfinite().all()):
        raise ValueError("boxes and scores to be merged must be finite numbers")
    return boxes.double().cpu().numpy(), scores.double().cpu().numpy()


def _distinct(corners: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Make equal boxes one, in the place of the first, with the sum of their scores."""
    _, first, inverse = np.unique(corners, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    sums = np.zeros((len(first), *scores.shape[1:]))
    np.add.at(sums, place[inverse.reshape(-1)], scores)
    return corners[first[order]], sums


def _best(corners: Floats, sums: Floats, most: int) -> tuple[Floats, Floats]:
    """Keep the boxes of the best scores, in their order; of equal scores the first."""
    if len(corners) <= most:
        return corners, sums
    rating = sums if sums.ndim == 1 else sums.max(1)
    kept = np.sort(np.argsort(-rating, kind="stable")[:most])
    return corners[kept], sums[kept]


def _row(corners: Floats, first: int) -> Floats:
    """Return the matches of a box with those behind it."""
    return match_scores(corners[first], corners[first + 1 :])


def _closest(corners: Floats, bounds: Floats) -> tuple[tuple[int, int] | None, float]:
    """Return the pair that matches best, and how well; None if no boxes match at all.

    Bounds that turn out to be too low are corrected on the way.
    """
    while len(bounds):
        first = int(bounds.argmin())
        row = _row(corners, first)
        best = float(row.min(initial=np.inf))
        if best == np.inf and bounds[first] == np.inf:
            break
        if best <= bounds[first]:
            return (first, first + 1 + int(row.argmin())), best
        bounds[first] = best
    return None, np.inf


def _join(
    corners: Floats, sums: Floats, bounds: Floats, first: int, second: int
) -> tuple[Floats, Floats, Floats]:
    mean = (corners[first] + corners[second]) / 2
    total = sums[first] + sums[second]
    corners, sums, bounds = (np.delete(each, second, axis=0) for each in (corners, sums, bounds))
    corners[first], sums[first] = mean, total
    matches = match_scores(mean, corners)
    bounds[:first] = np.minimum(bounds[:first], matches[:first])
    bounds[first] = matches[first + 1 :].min(initial=np.inf)
    return corners, sums, bounds


def _tensor(values: Floats) -> Tensor:
    return torch.from_numpy(values.copy())
