"""Errors published in the paper, Tables 3 to 6: ILSVRC-2012, validation images."""

from __future__ import annotations

from verydeep.study.conditions import Condition, Measure

SINGLE = Measure("dense", "single")
MULTI = Measure("dense", "multi")
CROPS = Measure("crops", "multi")
BOTH = Measure("both", "multi")
CENTER = Measure("center", "single")

Errors = tuple[float, float]
"""Top-1 and top-5 error in percent."""

PUBLISHED: dict[tuple[str, str, Measure], Errors] = {
    ("A", "fixed", SINGLE): (29.6, 10.4),
    ("A-LRN", "fixed", SINGLE): (29.7, 10.5),
    ("B", "fixed", SINGLE): (28.7, 9.9),
    ("C", "fixed", SINGLE): (28.1, 9.4),
    ("C", "fixed-large", SINGLE): (28.1, 9.3),
    ("C", "jitter", SINGLE): (27.3, 8.8),
    ("D", "fixed", SINGLE): (27.0, 8.8),
    ("D", "fixed-large", SINGLE): (26.8, 8.7),
    ("D", "jitter", SINGLE): (25.6, 8.1),
    ("E", "fixed", SINGLE): (27.3, 9.0),
    ("E", "fixed-large", SINGLE): (26.9, 8.7),
    ("E", "jitter", SINGLE): (25.5, 8.0),
    ("B", "fixed", MULTI): (28.2, 9.6),
    ("C", "fixed", MULTI): (27.7, 9.2),
    ("C", "fixed-large", MULTI): (27.8, 9.2),
    ("C", "jitter", MULTI): (26.3, 8.2),
    ("D", "fixed", MULTI): (26.6, 8.6),
    ("D", "fixed-large", MULTI): (26.5, 8.6),
    ("D", "jitter", MULTI): (24.8, 7.5),
    ("E", "fixed", MULTI): (26.9, 8.7),
    ("E", "fixed-large", MULTI): (26.7, 8.6),
    ("E", "jitter", MULTI): (24.8, 7.5),
    ("D", "jitter", CROPS): (24.6, 7.5),
    ("D", "jitter", BOTH): (24.4, 7.2),
    ("E", "jitter", CROPS): (24.6, 7.4),
    ("E", "jitter", BOTH): (24.4, 7.1),
    ("D+E", "jitter", MULTI): (24.0, 7.1),
    ("D+E", "jitter", CROPS): (23.9, 7.2),
    ("D+E", "jitter", BOTH): (23.7, 6.8),
}
"""Errors by net, training scale and test. All nets were initialised in stages."""


def published(condition: Condition, measure: Measure) -> Errors | None:
    """Return the published top-1 and top-5 error, or None if the paper gives none.

    >>> published(Condition("D", "jitter", "staged"), MULTI)
    (24.8, 7.5)
    """
    return PUBLISHED.get((condition.net, condition.train, measure))
