"""Verdicts in words, for the program and the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from verydeep.errors import plural
from verydeep.study.claim import Comparison
from verydeep.study.conditions import Condition, Head, Need, kind_of
from verydeep.study.crossed import POWER
from verydeep.study.verdicts import Judged, Measured

TRAINED = {"fixed": "smaller S", "fixed-large": "larger S", "jitter": "S jittered"}
"""Training scales in words."""

ALL_TRAINED = {**TRAINED, "fixed+fixed-large": "smaller and larger S"}
"""The same with those of two nets together."""

BOXES: dict[Head, str] = {
    "scr-fc": "boxes (SCR, FC layers)",
    "pcr-fc": "boxes (PCR, FC layers)",
    "pcr-all": "boxes (PCR, all layers)",
}
"""Box regressors in words: boxes of all classes or per class, and the layers fine-tuned."""

TESTED = {
    "dense": "dense",
    "crops": "multi-crop",
    "both": "multi-crop and dense",
    "center": "centre",
    "whole": "whole image",
    "svm-mean": "SVM on averaged features",
    "svm-stack": "SVM on stacked features",
}
"""Protocols in words."""

SCALES = {"single": "one scale", "multi": "three scales", "wide": "five scales"}
"""Test scales in words."""


def trained_title(condition: Condition) -> str:
    """Return the training scale in words, and the boxes if they are what was trained.

    >>> trained_title(Condition("D", "fixed-large", head="scr-fc"))
    'larger S, boxes (SCR, FC layers)'
    """
    boxes = BOXES.get(condition.head)
    return ALL_TRAINED[condition.train] + (f", {boxes}" if boxes else "")


def scales_title(test: Need) -> str:
    """Return the number of test scales in words: several are two for boxes, else three."""
    if kind_of(test) == "boxes" and test[1].scales == "multi":
        return "two scales"
    return SCALES[test[1].scales]


def condition_title(condition: Condition) -> str:
    """Return a trained net in words.

    >>> condition_title(Condition("D", "jitter"))
    'D, S jittered'
    """
    usual = replace(condition, initialise="staged")
    how = "" if condition.canonical == usual.canonical else ", all layers random"
    return f"{condition.net}, {trained_title(condition)}{how}"


def test_title(test: Need) -> str:
    """Return a test in words.

    >>> from verydeep.study.conditions import Measure
    >>> test_title((Condition("D", "jitter"), Measure("crops", "multi")))
    'D, S jittered, multi-crop at three scales'
    """
    condition, measure = test
    return f"{condition_title(condition)}, {TESTED[measure.protocol]} at {scales_title(test)}"


ONE_SEED = "With one seed, a verdict is about these nets, not about nets trained anew."
"""Caveat of comparisons with a single seed."""


def claimed(comparison: Comparison) -> str:
    """Return what a comparison claims.

    >>> claimed(Comparison("A-LRN", "A", (), "not lower", 1.0))
    'A-LRN is not better than A by 1 point or more'
    """
    first, second, margin = comparison.first, comparison.second, points(comparison.margin)
    return {
        "lower": f"{first} is better than {second}",
        "not lower": f"{first} is not better than {second} by {margin} or more",
        "alike": f"{first} and {second} differ by less than {margin}",
    }[comparison.relation]


def found(one: Judged) -> str:
    """Return the measured difference with its interval, or what is missing."""
    if one.measured is None and one.failed:
        return "not measured"
    if one.measured is None:
        return f"not measured yet: {_listed(map(test_title, one.missing))}"
    sides, measured = one.comparison, one.measured
    first, second = measured.errors
    low, high = measured.interval
    difference = measured.difference
    word = "better" if difference >= 0 else "worse"
    return (
        f"{sides.first} {tenths(first)} %, {sides.second} {tenths(second)} %: {sides.first} is "
        f"{tenths(abs(difference))} points {word} ({signed(low)} to {signed(high)})"
    )


def counts(measured: Measured) -> str:
    """Return the numbers of seeds and images behind a comparison."""
    return f"{plural(len(measured.seeds), 'seed')}, {plural(measured.images, 'image')}"


def unfinished(one: Judged) -> str:
    """Return why there is no verdict yet, or none at all; empty if all seeds are done."""
    if one.failed:
        names = (f"{condition_title(r.condition)}, seed {r.seed}" for r in one.failed)
        many = "trainings have" if len(one.failed) > 1 else "a training has"
        return f"No verdict, as {many} failed: {_listed(names)}."
    if one.measured is None or not one.open_seeds:
        return ""
    done = len(one.measured.seeds)
    return f"No verdict before all seeds are done; {done} of {done + len(one.open_seeds)} are."


def needed(one: Judged) -> str:
    """Return what would decide an undecided comparison; empty if it is decided or not measured."""
    measured = one.measured
    if measured is None or one.decision != "not decided" or one.open_seeds:
        return ""
    seeds, images = plural(len(measured.seeds), "seed"), plural(measured.images, "image")
    ways = []
    if measured.images_needed:
        ways.append(f"about {measured.images_needed:,} images with {seeds}")
    if measured.seeds_needed:
        ways.append(f"about {measured.seeds_needed:,} seeds on these {images}")
    if len(measured.seeds) == 1 and not ways:
        return f"No number of images would decide a difference of this size with {seeds}."
    if not ways:
        return "More images alone or more seeds alone would not decide a difference of this size."
    power = f"{100 * POWER:.0f} %"
    text = f"{', or '.join(ways)} would decide a difference of this size with {power} probability"
    if not measured.images_needed:
        text += "; more images alone would not"
    if not measured.seeds_needed and len(measured.seeds) > 1:
        text += "; more seeds alone would not"
    return f"{text[0].upper()}{text[1:]}."


def for_these_nets(one: Judged) -> str:
    """Return the verdict on the trained nets alone, where it says more; else empty."""
    measured = one.measured
    if measured is None or len(measured.seeds) == 1 or one.decision != "not decided":
        return ""
    if one.open_seeds:
        return ""
    decision = measured.for_these_nets
    return "" if decision == "not decided" else f"For the nets trained here alone, it {decision}."


def remarks(one: Judged) -> list[str]:
    """Return what there is to say about a verdict: why there is none, and what would decide."""
    return [text for text in (unfinished(one), for_these_nets(one), needed(one)) if text]


def points(value: float) -> str:
    """Return a number of points.

    >>> points(1.0), points(0.5)
    ('1 point', '0.5 points')
    """
    return f"{value:g} point{'' if value == 1 else 's'}"


def tenths(value: float) -> str:
    """Return a number to one digit, the same however its last bits came about.

    1,099 of 2,000 images, 54.95 %, are 54.9 % or 55.0 % as the floating-point error of a mean will
    have it, if the number is not rounded twice.

    >>> f"{54.95:.1f}", f"{100 * 0.5495:.1f}", tenths(54.95), tenths(100 * 0.5495)
    ('55.0', '54.9', '55.0', '55.0')
    """
    return f"{round(value, 9):.1f}"


def signed(value: float) -> str:
    """Return a number with its sign, to one digit.

    >>> signed(1.26), signed(-0.5), signed(0.04)
    ('+1.3', '−0.5', '0.0')
    """
    text = f"{round(value, 9):+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def _listed(names: Iterable[str]) -> str:
    return "; ".join(names)
