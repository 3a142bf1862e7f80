"""Verdicts on the paper's claims: holds, does not hold, or not decided.

The verdict on a comparison follows from an interval of the difference of two errors, which counts
both the images and the seeds as random (:mod:`verydeep.study.crossed`). A claim holds if all of its
comparisons do, and does not hold if one of them does not. There is no verdict before all planned
seeds are done: to stop as soon as a claim is decided, or to leave out seeds whose trainings have
failed, would make false verdicts more frequent.

All verdicts of a study are right at once with a probability of 95 %. A comparison is either as
claimed or not, so only one of its two verdicts can be false, and it needs one end of the interval
to be on the wrong side of the true difference. With M comparisons, each end has the error rate α/M
(Bonferroni), whatever the dependence between comparisons. ``alike`` counts twice in M, for it can
be refuted on either side. Holm's procedure on the 2M one-sided hypotheses begins at α/(2M) and
never exceeds α/M, so it decides no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from verydeep.study.claim import Claim, Comparison
from verydeep.study.claims import GROUPS, claims
from verydeep.study.conditions import Need
from verydeep.study.crossed import CrossedMean, crossed_mean
from verydeep.study.results import Results, TrainingRecord

Decision = Literal["holds", "does not hold", "not decided"]

ALPHA = 0.05
"""Probability that any verdict of a study is false."""


@dataclass(frozen=True)
class Measured:
    """A comparison as measured.

    Attributes:
        errors: Errors of the two sides in percent, averaged over pairs and seeds: top-1, of boxes
            top-5 localization errors.
        difference: Error of the second minus that of the first, in points.
        interval: Simultaneous interval of the difference, in points.
        by_seed: The difference with each seed, in points.
        seeds: Seeds that all tests of the comparison share.
        images: N.
        images_needed: How many images would decide, with the same number of seeds; None if it is
            decided, if seeds are open, or if no number would.
        seeds_needed: How many seeds would decide, on the same images; None as above, and with a
            single seed.
        for_these_nets: The verdict that only counts the images as random: on these trained nets,
            not on nets trained anew. With one seed there is no other.
    """

    errors: tuple[float, float]
    difference: float
    interval: tuple[float, float]
    by_seed: tuple[float, ...]
    seeds: tuple[int, ...]
    images: int
    images_needed: int | None
    seeds_needed: int | None
    for_these_nets: Decision


@dataclass(frozen=True)
class Judged:
    """A comparison with its verdict.

    Attributes:
        comparison: The comparison.
        decision: The verdict.
        missing: Tests without a result that shares a seed with the others.
        measured: What was measured; None if tests are missing.
        open_seeds: Planned seeds without a result of all tests; with any, there is no verdict.
        failed: Failed trainings that the tests need.
    """

    comparison: Comparison
    decision: Decision
    missing: tuple[Need, ...] = ()
    measured: Measured | None = None
    open_seeds: tuple[int, ...] = ()
    failed: tuple[TrainingRecord, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """A claim with its verdict.

    Attributes:
        claim: The claim.
        decision: ``holds`` if all comparisons do, ``does not hold`` if one does not.
        judged: Its comparisons.
    """

    claim: Claim
    decision: Decision
    judged: tuple[Judged, ...]

    @property
    def seeds(self) -> int:
        """Smallest number of seeds of a measured comparison; 0 if none is measured."""
        return min((len(one.measured.seeds) for one in self.judged if one.measured), default=0)


def judge(results: Results, chosen: Sequence[Claim] | None = None) -> list[Verdict]:
    """Judge claims by the results of a study; those whose seeds are not all done are not decided.

    Args:
        results: Results so far.
        chosen: Claims to judge; default: those of the study, measured or not, because their number
            widens the intervals.
    """
    judging = claims_of(results) if chosen is None else tuple(chosen)
    alpha = end_rate(judging)
    return [_verdict(claim, results, alpha) for claim in judging]


def is_judged(results: Results) -> bool:
    """Return whether a comparison of a study has been judged, by all seeds that are planned."""
    every = (one for verdict in judge(results) for one in verdict.judged)
    return any(one.measured and not one.open_seeds for one in every)


def claims_of(results: Results) -> tuple[Claim, ...]:
    """Return the claims that a study is about; all of them if it does not say."""
    study = results.study
    return claims(study.get("claims", GROUPS), study.get("initialise", "staged"))


def end_rate(chosen: Sequence[Claim]) -> float:
    """Return the error rate of each end of an interval.

    >>> f"{end_rate(claims(['depth'])):.4f}, {end_rate(claims(['initialise'])):.4f}"
    '0.0100, 0.0250'
    """
    every = [one for claim in chosen for one in claim.comparisons]
    return ALPHA / max(1, sum(2 if one.relation == "alike" else 1 for one in every))


def _verdict(claim: Claim, results: Results, alpha: float) -> Verdict:
    judged = tuple(_judge(one, results, alpha) for one in claim.comparisons)
    decisions = {one.decision for one in judged}
    decision: Decision = "not decided"
    if "does not hold" in decisions:
        decision = "does not hold"
    elif decisions == {"holds"}:
        decision = "holds"
    return Verdict(claim, decision, judged)


def _judge(comparison: Comparison, results: Results, alpha: float) -> Judged:
    tests = list(dict.fromkeys(test for pair in comparison.pairs for test in pair))
    seeds = sorted(set.intersection(*(set(results.of(*test)) for test in tests)))
    still_open = tuple(seed for seed in results.seeds if seed not in seeds)
    judged = Judged(comparison, "not decided", (), None, still_open, _failed(tests, results))
    if not seeds:
        missing = tuple(test for test in tests if not results.of(*test)) or tuple(tests)
        return replace(judged, missing=missing)
    first = _wrong(results, [pair[0] for pair in comparison.pairs], seeds)
    second = _wrong(results, [pair[1] for pair in comparison.pairs], seeds)
    each = second - first
    mean = crossed_mean(each)
    interval = _points(mean.bounds(alpha))
    decision = "not decided" if still_open else decide(comparison, interval)
    undecided = decision == "not decided" and not still_open
    distances = _distances(comparison, mean.mean) if undecided else ()
    measured = Measured(
        _points((float(first.mean()), float(second.mean()))),
        100 * mean.mean,
        interval,
        tuple(100 * float(value) for value in each.mean(1)),
        tuple(seeds),
        mean.images,
        mean.images_needed(distances, alpha),
        mean.seeds_needed(distances, alpha),
        decide(comparison, _points(_averaged(each).bounds(alpha))),
    )
    return replace(judged, decision=decision, measured=measured)


def _failed(tests: Sequence[Need], results: Results) -> tuple[TrainingRecord, ...]:
    """Return the failed trainings of the nets of some tests."""
    nets = dict.fromkeys(net for condition, _ in tests for net in condition.members)
    records = (results.training(net, seed) for net in nets for seed in results.seeds)
    return tuple(record for record in records if record is not None and record.failed)


def _points(shares: tuple[float, float]) -> tuple[float, float]:
    return 100 * shares[0], 100 * shares[1]


def _averaged(each: NDArray[np.float64]) -> CrossedMean:
    """Return the mean that takes the seeds as they are."""
    return crossed_mean(each.mean(0, keepdims=True))


def _wrong(results: Results, tests: Sequence[Need], seeds: Sequence[int]) -> NDArray[np.float64]:
    """Return the share of tests that got an image wrong, by seed and image, (S, N)."""
    each = [[results.of(*test)[seed].compared for seed in seeds] for test in tests]
    return np.asarray(np.array(each, np.float64).mean(0), np.float64)


def decide(comparison: Comparison, interval: tuple[float, float]) -> Decision:
    """Return the verdict on a comparison.

    Args:
        comparison: The comparison.
        interval: Interval of the difference, second minus first, in points.

    >>> pair = Comparison("C", "B", ())
    >>> decide(pair, (0.2, 3.0)), decide(pair, (-2.0, 1.0)), decide(pair, (-2.0, -1.0))
    ('holds', 'not decided', 'does not hold')
    """
    low, high = interval
    margin = comparison.margin
    holds, fails = {
        "lower": (low > 0, high < 0),
        "not lower": (high < margin, low > margin),
        "alike": (-margin < low and high < margin, low > margin or high < -margin),
    }[comparison.relation]
    return "holds" if holds else "does not hold" if fails else "not decided"


def _distances(comparison: Comparison, mean: float) -> tuple[float, ...]:
    """Return how far a mean is from the values that an interval which decides would exclude.

    They are shares, as the mean. What may be alike has one on either side.
    """
    margin = comparison.margin / 100
    if comparison.relation != "alike":
        return (abs(mean - margin),)
    if abs(mean) < margin:
        return margin - mean, margin + mean
    return (abs(mean) - margin,)
