"""Estimates of an epoch's time, against simulations and sums by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from verydeep.nets.anatomy import anatomy
from verydeep.training.scaling import (
    BACKWARD,
    Cluster,
    Plan,
    all_reduce_seconds,
    checkpoint_bytes,
    epoch,
    last_arrival,
    transfers,
    update,
)

NET = anatomy("D")
CLUSTER = Cluster(
    images=1000.0,
    gpus_per_node=4,
    inside=100e9,
    between=10e9,
    hop=1e-6,
    leap=1e-5,
    fixed=0.001,
    decoded=20_000.0,
    read=1e9,
    image_bytes=100e3,
    saved=1e9,
)


def ring(size: float, gpus: int, link: float, delay: float) -> float:
    """Return the time of a ring, step by step: reduce-scatter, then all-gather, of P pieces."""
    time = 0.0
    for _phase in ("reduce", "gather"):
        for _step in range(gpus - 1):
            time += size / gpus / link + delay  # every GPU sends a piece to the next one
    return time


@pytest.mark.parametrize("gpus", [2, 3, 4])
def test_a_ring_in_one_machine_takes_as_long_as_step_by_step(gpus: int) -> None:
    expected = ring(553e6, gpus, CLUSTER.inside, CLUSTER.hop)
    assert all_reduce_seconds(553e6, gpus, CLUSTER) == pytest.approx(expected)


def test_a_ring_over_machines_of_one_gpu_takes_as_long_as_step_by_step() -> None:
    single = replace(CLUSTER, gpus_per_node=1)
    # Without latency; with it, a tree would be shorter.
    still = replace(single, leap=0.0)
    assert all_reduce_seconds(1e9, 7, still) == pytest.approx(ring(1e9, 7, CLUSTER.between, 0.0))
    assert all_reduce_seconds(0, 2, single) == pytest.approx(2 * CLUSTER.leap)
    assert all_reduce_seconds(0, 64, single) == pytest.approx(2 * 6 * CLUSTER.leap)


def test_one_gpu_exchanges_nothing() -> None:
    assert all_reduce_seconds(1e9, 1, CLUSTER) == 0
    alone = update(NET, Plan(1, 64), CLUSTER)
    assert (alone.exchange, alone.waiting) == (0, 0)
    assert alone.seconds == pytest.approx(64 / 1000 + 0.001)


def test_the_gradient_travels_whole_and_fc6_is_most_of_it() -> None:
    slow = replace(CLUSTER, gpus_per_node=1, leap=0.0)
    known, travel = transfers(NET, Plan(2, 64), slow)
    assert sum(travel) == pytest.approx(138_357_544 * 4 / slow.between)
    assert max(travel) == pytest.approx((25_088 * 4096 + 4096) * 4 / slow.between)
    assert known == sorted(known)
    assert known[-1] == pytest.approx(1)
    assert known[2] < 0.01  # fc8, fc7 and fc6 are known at once
    half = transfers(NET, Plan(2, 64, gradient_bytes=2), slow)[1]
    assert sum(half) == pytest.approx(sum(travel) / 2)


def test_a_sharded_layer_sends_inputs_in_place_of_gradients() -> None:
    slow = replace(CLUSTER, gpus_per_node=1, leap=0.0)
    whole = transfers(NET, Plan(2, 256), slow)[1]
    sharded = transfers(NET, Plan(2, 256, sharded=("fc6",)), slow)[1]
    assert sum(a != b for a, b in zip(whole, sharded, strict=True)) == 1
    assert min(b for a, b in zip(whole, sharded, strict=True) if a != b) == pytest.approx(
        256 * 25_088 * 2 / slow.between
    )


def simulate(known: list[float], travel: list[float]) -> float:
    """Return when a link has moved everything, second by second."""
    time, left, ready = 0, [int(seconds) for seconds in travel], list(known)
    while any(left):
        for place, begin in enumerate(ready):
            if left[place] and begin <= time:
                left[place] -= 1
                break
        time += 1
    return float(time)


@pytest.mark.parametrize(
    ("known", "travel"),
    [
        ([1.0, 2.0, 9.0], [5.0, 1.0, 1.0]),
        ([0.0, 0.0], [3.0, 4.0]),
        ([2.0, 4.0, 6.0], [1.0, 1.0, 1.0]),
        ([1.0, 1.0, 20.0], [10.0, 2.0, 3.0]),
    ],
)
def test_transfers_use_the_link_in_turn(known: list[float], travel: list[float]) -> None:
    assert last_arrival(known, travel) == simulate(known, travel)


def test_overlap_hides_what_is_shorter_than_the_backward_pass() -> None:
    plan = Plan(8, 1024)
    one = update(NET, plan, CLUSTER)
    backward = 128 / CLUSTER.images * BACKWARD
    assert backward < one.exchange
    assert one.waiting < one.exchange - 0.9 * backward
    late = update(NET, replace(plan, overlapped=False), CLUSTER)
    assert late.waiting == pytest.approx(late.exchange) == pytest.approx(one.exchange)


def test_the_slowest_part_bounds_an_update() -> None:
    plan = Plan(4, 1024)
    assert update(NET, plan, CLUSTER).bound == "computing"
    assert update(NET, plan, replace(CLUSTER, decoded=100.0)).bound == "reading"
    assert update(NET, plan, replace(CLUSTER, inside=1e8)).bound == "exchange"
    read = update(NET, plan, replace(CLUSTER, read=1e7))
    assert read.seconds == read.reading == pytest.approx(1024 * 100e3 / 1e7)


def test_an_epoch_is_its_updates_a_validation_and_a_checkpoint() -> None:
    plan = Plan(4, 1000, train_images=2001, val_images=300)
    found = epoch(NET, plan, CLUSTER)
    assert found.training == pytest.approx(3 * found.update.seconds)
    assert found.validation == pytest.approx(300 / (4 * 3000))
    assert found.saving == pytest.approx(checkpoint_bytes(NET) / 1e9)
    assert found.seconds == found.training + found.validation + found.saving
    assert found.rate == pytest.approx(2001 / found.training)
    assert found.efficiency == pytest.approx(found.rate / 4000)


def test_no_number_of_gpus_is_more_than_ideal() -> None:
    ideal = replace(CLUSTER, fixed=0.0)
    rates = []
    for gpus in (1, 2, 4, 8, 64, 256):
        found = epoch(NET, Plan(gpus, 256), ideal)
        assert 0 < found.efficiency <= 1 + 1e-9
        rates.append(found.efficiency)
    assert rates == sorted(rates, reverse=True)


RESULTS = Path(__file__).parents[2] / "docs" / "results" / "scale.json"


@pytest.mark.parametrize("case", json.loads(RESULTS.read_text())["cases"])
def test_two_measured_processes_take_what_is_predicted_from_one(case: dict[str, Any]) -> None:
    """Times of one process and of the all-reduce alone predict those of two within a fifth."""
    link = json.loads(RESULTS.read_text())
    one, half, two = (case["seconds"][name] for name in ("one", "half", "two"))
    machine = replace(
        CLUSTER,
        gpus_per_node=2,
        images=case["batch"] / 2 / (one - half),
        fixed=max(0.0, 2 * half - one),
        inside=link["link_bytes_per_second"],
        hop=link["hop_seconds"],
        decoded=1e9,
        read=1e15,
    )
    net = anatomy(case["net"], 100, input_size=case["size"], width=case["width"])
    predicted = update(net, Plan(2, case["batch"], overlapped=False), machine)
    assert two == pytest.approx(predicted.seconds, rel=0.2)
    # It is not only half of the computing.
    assert predicted.exchange > 0.05 * predicted.seconds
