"""Errors published in the paper: ILSVRC-2012, validation images, and Caltech-256."""

from __future__ import annotations

from verydeep.study.conditions import Condition, Measure, kind_of

SINGLE = Measure("dense", "single")
MULTI = Measure("dense", "multi")
CROPS = Measure("crops", "multi")
BOTH = Measure("both", "multi")
CENTER = Measure("center", "single")
WHOLE = Measure("whole", "single")
WHOLE_MULTI = Measure("whole", "multi")
SVM_MEAN = Measure("svm-mean", "multi")
SVM_STACK = Measure("svm-stack", "multi")
SVM_WIDE = Measure("svm-mean", "wide")

Errors = tuple[float | None, float | None]
"""Top-1 and top-5 error in percent; None where the paper gives none."""

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
"""Errors by net, training scale and test, of Tables 3 to 6. Nets were initialised in stages."""

PUBLISHED_BOXES: dict[tuple[str, str, Measure], Errors] = {
    ("scr-fc", "fixed-large", CENTER): (36.4, 36.4),
    ("pcr-fc", "fixed-large", CENTER): (34.3, 34.3),
    ("pcr-all", "fixed-large", CENTER): (33.1, 33.1),
    ("pcr-all", "fixed", WHOLE): (None, 29.5),
    ("pcr-all", "fixed-large", WHOLE): (None, 28.2),
    ("pcr-all", "fixed-large", WHOLE_MULTI): (None, 27.5),
    ("pcr-all", "fixed+fixed-large", WHOLE_MULTI): (None, 26.9),
}
"""Localization errors of net D by head, training scale and test, of Tables 8 and 9.

With the true class, the top-1 and top-5 errors are the same.
"""

PUBLISHED_FEATURES: dict[tuple[str, str, Measure], Errors] = {
    ("D", "jitter", SVM_STACK): (15.0, None),
    ("E", "jitter", SVM_STACK): (14.9, None),
    ("D+E", "jitter", SVM_STACK): (13.8, None),
}
"""Errors on Caltech-256, of Table 11: 100 minus the mean class recall, the mean of 3 splits."""


def published(condition: Condition, measure: Measure) -> Errors | None:
    """Return the published top-1 and top-5 error, or None if the paper gives none.

    >>> published(Condition("D", "jitter", "staged"), MULTI)
    (24.8, 7.5)
    >>> published(Condition("D", "fixed-large", head="pcr-all"), WHOLE)
    (None, 28.2)
    """
    if condition.head != "classes":
        return PUBLISHED_BOXES.get((condition.head, condition.train, measure))
    key = condition.net, condition.train, measure
    return PUBLISHED_FEATURES.get(key) or PUBLISHED.get(key)


def compared_error(condition: Condition, measure: Measure) -> float | None:
    """Return the published error that claims compare: top-1, for boxes top-5."""
    errors = published(condition, measure)
    return errors and errors[kind_of((condition, measure)) == "boxes"]
