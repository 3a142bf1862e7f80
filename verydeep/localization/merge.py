"""Greedy merging of boxes (appendix A of the paper, after OverFeat, 2013).

The two boxes that match best are replaced by their mean, repeatedly, until the best match is worse
than a threshold. A merged box has the sum of its boxes' scores. The paper publishes neither the
match score nor the threshold. Here, for boxes a and b ::

    match = distance between their centres / s  -  area of their intersection / area of their union,
    s     = square root of the mean of their areas

Lower is better. The score is independent of the sizes of image and boxes: −1 for equal boxes, −r
for a box inside another with the same centre and r times its area, x − (1 − x)/(1 + x) for equal
squares x sides apart along an axis (0 ≤ x ≤ 1), 1 or more for equal squares that only touch.
OverFeat adds the intersection; subtracting it makes sense. Two boxes without area do not match.

As published, the mean of two boxes is that of their corners, not weighted by earlier merges.

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
    """Boxes at one step of merging, or at the end.

    Attributes:
        boxes: Corners, float64 (M, 4).
        scores: Sums of the merged boxes' scores, float64 (M,) or (M, K).
        pair: Rows of the pair to be merged next, in ascending order; None at the end.
        match: Match score of the pair; None at the end.
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
    """Merge boxes, and yield the current boxes before every step and at the end.

    Equal boxes are combined first, as merging would do. A merged box takes the place of the first
    of its pair. Of equal matches, the pair with the lowest first row is merged, then the lowest
    second row. For M distinct boxes this takes O(M) memory and about 3·M² operations.

    Args:
        boxes: (N, 4), corners in pixels.
        scores: (N,), or (N, K) of several classes.
        merging: When it ends.

    Raises:
        ValueError: A box or score is not finite, or their numbers differ.
    """
    corners, sums = _distinct(*_checked(boxes, scores))
    corners, sums = _best(corners, sums, merging.most)
    # Best match of each box with any later box, or a lower bound of it.
    bounds = np.array([_row(corners, first).min(initial=np.inf) for first in range(len(corners))])
    while True:
        pair, match = _closest(corners, bounds)
        if pair is None or match > merging.threshold:
            yield Merged(_tensor(corners), _tensor(sums))
            return
        yield Merged(_tensor(corners), _tensor(sums), pair, match)
        corners, sums, bounds = _join(corners, sums, bounds, *pair)


def match_scores(box: Floats, others: Floats) -> Floats:
    """Return the match scores (N,) of a box (4,) with others (N, 4), by the module's formula."""
    first, last = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    both = _areas(box[None]) + _areas(others)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        common = np.clip(last - first, 0, None).prod(1)
        apart = (box[:2] + box[2:] - others[:, :2] - others[:, 2:]) / 2
        distance = np.sqrt(apart[:, 0] ** 2 + apart[:, 1] ** 2)
        match = distance / np.sqrt(both / 2) - common / (both - common)
    # Areas beyond the range of float64 give no number.
    return np.where((both > 0) & (match < np.inf), match, np.inf)


def _areas(boxes: Floats) -> Floats:
    with np.errstate(over="ignore"):
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
    """Combine equal boxes, in the place of the first, and sum their scores."""
    _, first, inverse = np.unique(corners, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    sums = np.zeros((len(first), *scores.shape[1:]))
    np.add.at(sums, place[inverse.reshape(-1)], scores)
    return corners[first[order]], sums


def _best(corners: Floats, sums: Floats, most: int) -> tuple[Floats, Floats]:
    """Keep the boxes with the best scores, in their order; of equal scores, the first."""
    if len(corners) <= most:
        return corners, sums
    rating = sums if sums.ndim == 1 else sums.max(1)
    kept = np.sort(np.argsort(-rating, kind="stable")[:most])
    return corners[kept], sums[kept]


def _row(corners: Floats, first: int) -> Floats:
    """Return the match scores of a box with all later boxes."""
    return match_scores(corners[first], corners[first + 1 :])


def _closest(corners: Floats, bounds: Floats) -> tuple[tuple[int, int] | None, float]:
    """Return the best-matching pair and its score; None if no boxes match.

    Bounds that are too low are corrected in place.
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
