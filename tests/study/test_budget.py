"""Budgets: the paper's sizes times a factor, and an estimate that is the sum of its parts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verydeep.errors import InputError
from verydeep.nets.vgg import vgg
from verydeep.study.budget import (
    BUDGETS,
    FEWEST_EPOCHS,
    RUNGS,
    Budget,
    Costs,
    Images,
    Speed,
    budget_of,
    fit,
)
from verydeep.study.claims import claims
from verydeep.study.conditions import Condition, Measure
from verydeep.study.plan import Part, TestPart, TrainPart, make_plan
from verydeep.study.published import CENTER, SVM_STACK, SVM_WIDE, WHOLE, WHOLE_MULTI

NETS = ("A", "A-LRN", "B", "B-5x5", "C", "D", "E")
JITTER = Condition("D", "jitter")


def parts_of(budget: Budget) -> tuple[Part, ...]:
    return make_plan([need for claim in claims() for need in claim.needs], range(budget.seeds))


def costs_of(budget: Budget) -> Costs:
    """Costs on a machine whose time goes with the pixels and the square of the width."""
    unit = 1e-3 * (budget.input_size / 56) ** 2 * (budget.width / 0.125) ** 2
    speeds = {net: Speed(unit * place, unit * place / 4) for place, net in enumerate(NETS, 1)}
    return Costs(budget, speeds, Images(2_000, 100))


def test_the_full_budget_is_the_papers() -> None:
    full = BUDGETS["full"]
    assert (full.input_size, full.width, full.epochs, full.batch) == (224, 1, 74, 256)
    assert full.train_scale(Condition("D")) == (256, 256)
    assert full.train_scale(Condition("D", "fixed-large")) == (384, 384)
    assert full.train_scale(JITTER) == (256, 512)
    assert (full.rate(Condition("D")), full.rate(JITTER)) == (0.01, 0.001)
    multi = Measure("both", "multi")
    assert full.protocol(JITTER, multi).scales == (256, 384, 512)
    assert full.protocol(JITTER, Measure()).scales == (384,)
    assert full.protocol(Condition("D"), multi).scales == (224, 256, 288)


@pytest.mark.parametrize("name", BUDGETS)
def test_all_sizes_go_with_one_factor(name: str) -> None:
    budget, full = BUDGETS[name], BUDGETS["full"]
    for train in ("fixed", "fixed-large", "jitter"):
        condition = Condition("E", train)  # type: ignore[arg-type]
        sizes = zip(budget.train_scale(condition), full.train_scale(condition), strict=True)
        for small, large in sizes:
            assert small == pytest.approx(large * budget.scale, abs=0.5)
        for measure in (Measure(), Measure("crops", "multi")):
            assert min(budget.protocol(condition, measure).used_scales) >= budget.input_size


def test_an_unknown_budget_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"one of tiny, small, full.*did you mean 'small'"):
        budget_of("smal")


@settings(max_examples=12)
@given(st.sampled_from([*BUDGETS]), st.integers(1, 3), st.integers(10, 500), st.integers(5, 50))
def test_the_estimate_of_trainings_is_a_naive_sum(
    name: str, seeds: int, train: int, val: int
) -> None:
    budget = replace(BUDGETS[name], seeds=seeds)
    speeds = {net: Speed(place * 0.01, place * 0.001) for place, net in enumerate(NETS, 1)}
    costs = Costs(budget, speeds, Images(train, val))
    for part in parts_of(budget):
        if not isinstance(part, TrainPart):
            continue
        place = NETS.index(part.condition.net) + 1
        continued = part.condition.train != "fixed"
        epochs = (budget.epochs + 1) // 2 if continued and name != "full" else budget.epochs
        expected = sum(0.01 * place * train + 0.001 * place * val for _ in range(epochs))
        low, high = budget.train_scale(part.condition)
        scale = (low + high) // 2
        views = 2 * scale * round(4 / 3 * scale) / budget.input_size**2
        expected += 0.001 * place * views * val
        assert costs.seconds(part) == pytest.approx(expected)
    assert costs.total(parts_of(budget)) == pytest.approx(
        sum(costs.seconds(part) for part in parts_of(budget))
    )


def test_boxes_are_tested_at_the_papers_scales() -> None:
    full = BUDGETS["full"]
    small, large = (Condition("D", train, head="pcr-all") for train in ("fixed", "fixed-large"))
    fused = Condition("D", "fixed+fixed-large", head="pcr-all")
    tests = {
        (small, WHOLE): (256,),
        (large, WHOLE): (384,),
        (large, WHOLE_MULTI): (352, 384),
        (fused, WHOLE_MULTI): (352, 384),
    }
    for (condition, measure), scales in tests.items():
        protocol = full.box_protocol(condition, measure)
        assert (protocol.name, protocol.scales, protocol.flip) == ("dense", scales, True)
        assert not protocol.unseen(224, 32)
    center = full.box_protocol(large, CENTER)
    assert (center.name, center.scales, center.flip) == ("center", (384,), False)
    assert full.feature_scales(SVM_WIDE) == (256, 384, 512, 640, 768)


@pytest.mark.parametrize("name", ["small", "full"])
def test_dense_tests_see_whole_crops_only(name: str) -> None:
    budget = BUDGETS[name]
    assert vgg("D", 2, input_size=budget.input_size, width=0.05).final_map * 32 == budget.input_size
    for train in ("fixed", "fixed-large", "jitter"):
        protocol = budget.protocol(Condition("D", train), Measure("dense", "multi"))  # type: ignore[arg-type]
        assert len(protocol.used_scales) == 3
        assert {(scale - budget.input_size) % 32 for scale in protocol.used_scales} == {0}


@pytest.mark.parametrize("name", ["tiny"])
def test_small_crops_are_tested_on_a_grid_that_misses_no_pixel(name: str) -> None:
    for train in ("fixed", "fixed-large"):
        condition = Condition("D", train, head="pcr-all")  # type: ignore[arg-type]
        protocol = BUDGETS[name].box_protocol(condition, WHOLE)
        assert protocol.name == "crops"
        assert min(protocol.used_scales) >= BUDGETS[name].input_size


def test_boxes_and_features_cost_their_images_and_views() -> None:
    budget = BUDGETS["full"]
    costs = Costs(budget, {"D": Speed(0.3, 0.1), "E": Speed(0.6, 0.2)}, Images(9, 9, 700, 60, 50))
    all_, fc = (Condition("D", "fixed-large", head=head) for head in ("pcr-all", "pcr-fc"))  # type: ignore[arg-type]
    assert costs.seconds(TrainPart(all_, 0)) == pytest.approx(74 * (0.3 * 700 + 0.1 * 60))
    assert costs.seconds(TrainPart(fc, 0)) == pytest.approx(74 * (0.1 * 700 + 0.1 * 60))
    assert costs.seconds(TestPart(((all_, CENTER),), 0)) == pytest.approx(0.1 * 60)
    image = 2 * 384 * 512 / 224**2  # with its mirror image
    whole = TestPart(((all_, WHOLE),), 0)
    assert costs.seconds(whole) == pytest.approx(2 * 0.1 * 60 * image)
    nets = [(Condition(net, "jitter"), SVM_STACK) for net in "DE"]
    pixels = sum(2 * q * round(4 / 3 * q) for q in (256, 384, 512, 640, 768)) / 224**2
    found = costs.seconds(TestPart(tuple(nets), 0))
    assert found == pytest.approx((0.1 + 0.2) * 50 * pixels)


def test_views_that_tests_share_are_counted_once() -> None:
    budget = BUDGETS["small"]
    multi = [Measure(protocol, "multi") for protocol in ("dense", "crops", "both")]
    alone = [costs_of(budget).seconds(TestPart(((JITTER, m),), 0)) for m in multi]
    together = costs_of(budget).seconds(TestPart(tuple((JITTER, m) for m in multi), 0))
    assert together == pytest.approx(alone[2]) == pytest.approx(alone[0] + alone[1])


@settings(max_examples=12)
@given(st.floats(0.5, 5_000), st.integers(1, 4), st.integers(1, 4))
def test_a_fitted_study_is_the_largest_that_fits(hours: float, jobs: int, seeds: int) -> None:
    def needed(budget: Budget) -> float:
        return costs_of(budget).total(parts_of(budget)) / jobs / 3600

    least = [replace(rung, epochs=FEWEST_EPOCHS, seeds=seeds) for rung in RUNGS]
    if needed(least[0]) > hours:
        with pytest.raises(InputError, match="too little: the smallest study"):
            fit(hours, parts_of, costs_of, jobs=jobs, seeds=seeds)
        return
    chosen = fit(hours, parts_of, costs_of, jobs=jobs, seeds=seeds)
    assert chosen.seeds == seeds
    assert needed(chosen) <= hours
    assert FEWEST_EPOCHS <= chosen.epochs <= 74
    if chosen.epochs < 74:
        assert needed(replace(chosen, epochs=chosen.epochs + 1)) > hours
    larger = [one for one in least if one.width > chosen.width and one.scale >= chosen.scale]
    assert all(needed(one) > hours for one in larger[:1])


def test_costs_rise_from_rung_to_rung() -> None:
    totals = [costs_of(rung).total(parts_of(rung)) for rung in RUNGS]
    assert totals == sorted(totals)


def test_sizes_that_the_user_sets_stay() -> None:
    def resize(budget: Budget) -> Budget:
        return replace(budget, width=1 / 16)

    chosen = fit(1_000, parts_of, costs_of, resize=resize)
    assert chosen.width == 1 / 16
