"""Verdicts on claims: what they follow from, and how often they are false."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from synthetic_study import as_published, study

from verydeep.study.claim import Claim, Comparison
from verydeep.study.claims import GROUPS, claims
from verydeep.study.conditions import Condition, Measure, Need
from verydeep.study.results import Outcome, Results, TrainingRecord
from verydeep.study.verdicts import claims_of, decide, end_rate, judge
from verydeep.study.wording import for_these_nets, found, needed, unfinished

SINGLE = Measure("dense", "single")
FIRST, SECOND = ((Condition(net), SINGLE) for net in ("D", "C"))


def claim(relation: str = "lower", margin: float = 0.0, pairs: int = 1) -> Claim:
    one = Comparison("D", "C", ((FIRST, SECOND),) * pairs, relation, margin)  # type: ignore[arg-type]
    return Claim("one", "depth", "A claim.", "nowhere", (one,))


def results(**sides: NDArray[np.bool_]) -> Results:
    """Return results of the tests from which images were wrong, (S, N) a side."""
    outcomes = []
    for name, wrong in sides.items():
        condition, measure = FIRST if name == "first" else SECOND
        for seed, each in enumerate(wrong):
            error = 100 * float(each.mean())
            outcomes += [
                Outcome(condition, measure, seed, error, error, len(each), 1.0, each, each)
            ]
    return Results.from_outcomes(outcomes)


def wrong(rng: np.random.Generator, error: float, shape: tuple[int, int]) -> NDArray[np.bool_]:
    return np.asarray(rng.random(shape) < error)


def test_a_clear_difference_decides_either_way() -> None:
    rng = np.random.default_rng(0)
    better, worse = wrong(rng, 0.1, (3, 400)), wrong(rng, 0.6, (3, 400))
    (holds,) = judge(results(first=better, second=worse), [claim()])
    (fails,) = judge(results(first=worse, second=better), [claim()])
    assert (holds.decision, fails.decision) == ("holds", "does not hold")
    measured = holds.judged[0].measured
    assert measured is not None
    assert measured.difference == pytest.approx(100 * (worse.mean() - better.mean()))
    assert measured.errors == pytest.approx((100 * better.mean(), 100 * worse.mean()))
    assert measured.by_seed == pytest.approx(tuple(100 * (worse.mean(1) - better.mean(1))))
    assert measured.interval[0] < measured.difference < measured.interval[1]


def test_there_is_no_verdict_before_all_planned_seeds_are_done() -> None:
    rng = np.random.default_rng(0)
    found = results(first=wrong(rng, 0.1, (3, 400)), second=wrong(rng, 0.6, (3, 400)))
    (verdict,) = judge(replace(found, study={"seeds": [0, 1, 2, 3]}), [claim()])
    (one,) = verdict.judged
    assert (verdict.decision, one.open_seeds, one.failed) == ("not decided", (3,), ())
    assert one.measured is not None
    assert (one.measured.images_needed, one.measured.seeds_needed) == (None, None)
    assert unfinished(one) == "No verdict before all seeds are done; 3 of 4 are."
    assert (needed(one), for_these_nets(one)) == ("", "")


def test_a_claim_that_needs_a_failed_training_is_not_decided() -> None:
    rng = np.random.default_rng(0)
    found = results(first=wrong(rng, 0.1, (2, 400)), second=wrong(rng, 0.6, (2, 400)))
    record = TrainingRecord(SECOND[0], 2, "runs/C", failed="the loss became nan")
    trainings = {(record.condition.canonical, 2): record}
    found = replace(found, study={"seeds": [0, 1, 2]}, trainings=trainings)
    (verdict,) = judge(found, [claim()])
    assert verdict.decision == "not decided"
    assert verdict.judged[0].failed == (record,)
    assert unfinished(verdict.judged[0]) == (
        "No verdict, as a training has failed: C, smaller S, seed 2."
    )


@pytest.mark.parametrize(
    ("relation", "interval", "decision"),
    [
        ("lower", (0.1, 2), "holds"),
        ("lower", (-2, -0.1), "does not hold"),
        ("lower", (-1, 3), "not decided"),
        ("not lower", (-2, 0.9), "holds"),
        ("not lower", (0.2, 0.9), "holds"),
        ("not lower", (1.1, 3), "does not hold"),
        ("not lower", (0.5, 1.5), "not decided"),
        ("alike", (-0.9, 0.9), "holds"),
        ("alike", (-1.1, 0.5), "not decided"),
        ("alike", (1.1, 2), "does not hold"),
        ("alike", (-3, -1.2), "does not hold"),
    ],
)
def test_the_interval_decides(relation: str, interval: tuple[float, float], decision: str) -> None:
    margin = 0.0 if relation == "lower" else 1.0
    assert decide(claim(relation, margin).comparisons[0], interval) == decision


def test_a_claim_holds_if_all_comparisons_do_and_fails_if_one_fails() -> None:
    rng = np.random.default_rng(1)
    found = results(first=wrong(rng, 0.1, (3, 400)), second=wrong(rng, 0.6, (3, 400)))
    up, down = claim().comparisons[0], Comparison("C", "D", ((SECOND, FIRST),))
    absent = Comparison("E", "D", (((Condition("E"), SINGLE), FIRST),))
    decisions = [
        judge(found, [Claim("x", "depth", "", "", parts)])[0].decision
        for parts in ((up, up), (up, down), (up, absent), (down, absent))
    ]
    assert decisions == ["holds", "does not hold", "not decided", "does not hold"]


def test_a_comparison_of_several_pairs_averages_them_image_by_image() -> None:
    rng = np.random.default_rng(2)
    found = results(first=wrong(rng, 0.2, (3, 300)), second=wrong(rng, 0.3, (3, 300)))
    once, twice = (judge(found, [claim(pairs=pairs)])[0].judged[0] for pairs in (1, 2))
    assert once.measured == twice.measured


def test_only_seeds_that_all_tests_share_count() -> None:
    rng = np.random.default_rng(3)
    found = results(first=wrong(rng, 0.2, (3, 300)), second=wrong(rng, 0.3, (2, 300)))
    (one,) = judge(found, [claim()])
    assert one.judged[0].measured is not None
    assert one.judged[0].measured.seeds == (0, 1)


def test_one_seed_gives_a_verdict_about_these_nets() -> None:
    rng = np.random.default_rng(4)
    found_ = results(first=wrong(rng, 0.1, (1, 400)), second=wrong(rng, 0.6, (1, 400)))
    (one,) = judge(found_, [claim()])
    assert (one.decision, one.seeds) == ("holds", 1)
    assert one.judged[0].measured is not None
    assert one.judged[0].measured.for_these_nets == "holds"


def test_what_is_missing_is_named() -> None:
    (one,) = judge(Results(), [claim()])
    assert (one.decision, one.judged[0].missing) == ("not decided", (FIRST, SECOND))
    assert found(one.judged[0]) == (
        "not measured yet: D, smaller S, dense at one scale; C, smaller S, dense at one scale"
    )
    assert needed(one.judged[0]) == for_these_nets(one.judged[0]) == ""


def test_an_undecided_comparison_says_what_would_decide_it() -> None:
    rng = np.random.default_rng(5)
    found_ = results(first=wrong(rng, 0.30, (5, 300)), second=wrong(rng, 0.33, (5, 300)))
    (one,) = judge(found_, [claim()])
    measured = one.judged[0].measured
    assert measured is not None
    assert one.decision == "not decided"
    assert measured.images_needed is not None
    assert measured.images_needed > 300
    assert f"bout {measured.images_needed:,} images with 5 seeds, or about " in needed(
        one.judged[0]
    )


def test_seeds_that_contradict_each_other_are_not_made_up_for_by_images() -> None:
    """The nets at hand differ clearly; nets trained anew might differ either way."""
    rng = np.random.default_rng(6)
    first = np.stack([wrong(rng, error, (1, 4000))[0] for error in (0.3, 0.2, 0.45)])
    (one,) = judge(results(first=first, second=wrong(rng, 0.40, (3, 4000))), [claim()])
    measured = one.judged[0].measured
    assert measured is not None
    assert (one.decision, measured.for_these_nets) == ("not decided", "holds")
    assert measured.images_needed is None
    assert measured.seeds_needed is not None
    assert "more images alone would not" in needed(one.judged[0])
    assert for_these_nets(one.judged[0]) == "For the nets trained here alone, it holds."


def test_all_comparisons_of_the_study_count_measured_or_not() -> None:
    every = [one for claim in claims() for one in claim.comparisons]
    alike = sum(one.relation == "alike" for one in every)
    assert end_rate(claims()) == pytest.approx(0.05 / (len(every) + alike))
    narrow, wide = (
        judge(results(first=np.eye(2, 300, dtype=bool), second=np.ones((2, 300), bool)), chosen)
        for chosen in ([claim()], [claim(), *claims()])
    )
    one, other = narrow[0].judged[0].measured, wide[0].judged[0].measured
    assert one is not None
    assert other is not None
    assert other.interval[0] < one.interval[0]


def test_a_study_is_judged_by_its_own_claims() -> None:
    chosen = Results(study={"claims": ["lrn", "filters"], "initialise": "scaled"})
    assert [one.name for one in claims_of(chosen)] == ["lrn", "filters"]
    assert [verdict.claim for verdict in judge(chosen)] == list(claims_of(chosen))
    assert claims_of(Results()) == claims()


def at_the_edge() -> dict[Need, float]:
    """Return errors for which every claim is just not true, or just true."""
    errors = dict.fromkeys(as_published(), 40.0)
    for net, error in (("A-LRN", 39.0), ("E", 39.0)):
        errors[Condition(net), SINGLE] = error  # 1 point better than the other side: at the margin
    errors[Condition("D", initialise="scaled"), SINGLE] = 39.0
    return errors


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.02, 0.15])
def test_a_study_rarely_gives_any_false_verdict(shift: float) -> None:
    """Every comparison is where its verdict turns, so each decision is false half of the time."""
    errors, times, chosen = at_the_edge(), 100, claims()
    false = 0
    for seed in range(times):
        verdicts = judge(study(errors, range(3), 400, shift=shift, seed=seed), chosen)
        # Each comparison has one false verdict only; at the edge, "holds" of a difference is false
        # and so is "does not hold" of its absence.
        false += any(
            one.decision == ("holds" if one.comparison.relation == "lower" else "does not hold")
            for verdict in verdicts
            for one in verdict.judged
        )
    assert false / times < 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / times)


def test_the_paper_with_many_images_and_seeds_confirms_its_claims() -> None:
    """With the published errors, all claims that are true there hold."""
    chosen = claims(["scales", "fusion", "crops"])
    errors = as_published(["scales", "fusion", "crops"])
    found_ = study(errors, range(5), 20_000, shift=0.001)
    by_name = {one.claim.name: one.decision for one in judge(found_, chosen)}
    assert by_name["scales"] == "holds"
    assert "does not hold" not in by_name.values()
    assert set(GROUPS) == {one.group for one in claims()}


def test_the_papers_errors_with_many_images_and_seeds_confirm_claims_about_boxes() -> None:
    chosen = claims(["localization"])
    found_ = study(as_published(["localization"]), range(5), 20_000, shift=0.001)
    assert {one.claim.name: one.decision for one in judge(found_, chosen)} == dict.fromkeys(
        ("per-class", "fine-tuning", "whole-image", "box-scales", "box-fusion"), "holds"
    )


def test_claims_about_features_can_hold_and_fail() -> None:
    chosen = claims(["transfer"])
    errors = as_published(["transfer"])
    better = {  # of the deeper net and of both, by more than the noise
        need: error - {"D": 0, "E": 2, "D+E": 5}[need[0].net] for need, error in errors.items()
    }
    (depth, fusion, stacking, wide) = judge(study(better, range(5), 20_000, shift=0.001), chosen)
    assert {depth.decision, fusion.decision, stacking.decision, wide.decision} == {"holds"}
    worse = {need: 30 - error for need, error in better.items()}
    assert [one.decision for one in judge(study(worse, range(5), 20_000, shift=0.001), chosen)][
        :3
    ] == ["does not hold"] * 3


def test_claims_about_boxes_compare_top_5_errors() -> None:
    rng = np.random.default_rng(7)
    test = Condition("D", "fixed-large", head="pcr-all"), Measure("whole", "single")
    other = Condition("D", "fixed-large", head="pcr-fc"), Measure("whole", "single")
    few, many = (wrong(rng, error, (1, 500))[0] for error in (0.2, 0.5))
    outcomes = [
        Outcome(*test, 0, 50.0, 20.0, 500, 1.0, many, few),
        Outcome(*other, 0, 20.0, 50.0, 500, 1.0, few, many),
    ]
    one = Claim("x", "localization", "", "", (Comparison("D", "C", ((test, other),)),))
    (verdict,) = judge(Results.from_outcomes(outcomes), [one])
    measured = verdict.judged[0].measured
    assert measured is not None
    assert measured.errors == pytest.approx((100 * few.mean(), 100 * many.mean()))
    assert verdict.decision == "holds"
