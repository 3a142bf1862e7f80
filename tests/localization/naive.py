"""Merging as a reference does it: all pairs at every step, in plain Python numbers."""

from __future__ import annotations

import math
from itertools import combinations

Corners = tuple[float, ...]


def match(a: Corners, b: Corners) -> float:
    """The formula of merge.py's docstring."""
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    sizes = [max(0.0, c[2] - c[0]) * max(0.0, c[3] - c[1]) for c in (a, b)]
    both = sizes[0] + sizes[1]
    if not both:
        return math.inf
    x, y = ((a[i] + a[i + 2] - b[i] - b[i + 2]) / 2 for i in (0, 1))
    return math.sqrt(x * x + y * y) / math.sqrt(both / 2) - wide * high / (both - wide * high)


def reference(
    boxes: list[Corners], scores: list[float], threshold: float
) -> list[tuple[Corners, float]]:
    found: list[tuple[Corners, float]] = []
    for box, score in zip(boxes, scores, strict=True):  # equal ones first
        known = [place for place, (other, _) in enumerate(found) if other == box]
        if known:
            found[known[0]] = (box, found[known[0]][1] + score)
        else:
            found.append((box, score))
    while len(found) > 1:
        pairs = combinations(range(len(found)), 2)
        best, i, j = min((match(found[i][0], found[j][0]), i, j) for i, j in pairs)
        if best > threshold or best == math.inf:
            break
        (a, score), (b, other) = found[i], found.pop(j)
        found[i] = tuple((x + y) / 2 for x, y in zip(a, b, strict=True)), score + other
    return found
