"""Merging against the reference of naive.py."""

from __future__ import annotations

import math
import tracemalloc
from itertools import combinations, pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from naive import Corners, match, reference
from torch import Tensor

from verydeep.localization.box_geometry import iou
from verydeep.localization.merge import Merging, merge, merge_steps


def check(boxes: list[Corners], scores: list[float], threshold: float) -> None:
    merged = merge(
        torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4),
        torch.tensor(scores, dtype=torch.float64),
        Merging(threshold),
    )
    expected = reference(boxes, scores, threshold)
    assert [tuple(box) for box in merged.boxes.tolist()] == [box for box, _ in expected]
    assert merged.scores.tolist() == pytest.approx([score for _, score in expected])


COARSE = st.tuples(*[st.integers(0, 4).map(float)] * 4)
"""Corners on a coarse grid: many equal, touching and empty boxes, and many ties."""
FINE = st.tuples(*[st.floats(0, 100, allow_subnormal=False)] * 4).map(
    lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3]))
)
THRESHOLDS = st.sampled_from([-2.0, -0.8, -0.5, 0.0, 0.5, 3.0, math.inf])


@given(st.lists(COARSE, max_size=14), THRESHOLDS)
def test_as_the_reference_on_boxes_with_many_ties(boxes: list[Corners], threshold: float) -> None:
    check(boxes, [1.0 + place for place in range(len(boxes))], threshold)


@given(st.lists(FINE, max_size=14), THRESHOLDS)
def test_as_the_reference_on_any_boxes(boxes: list[Corners], threshold: float) -> None:
    check(boxes, [1.0 + place for place in range(len(boxes))], threshold)


@pytest.mark.parametrize("threshold", [-0.5, 0.5, math.inf])
def test_as_the_reference_on_a_crowd(threshold: float) -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.rand(60, 2, generator=generator, dtype=torch.float64) * 100
    size = torch.rand(60, 2, generator=generator, dtype=torch.float64) * 60 + 5
    boxes = [tuple(box) for box in torch.cat([first, first + size], 1).tolist()]
    check(boxes, [1.0] * 60, threshold)


@given(st.lists(FINE, min_size=1, max_size=10), st.integers(-6, 6), THRESHOLDS)
def test_the_size_of_the_picture_does_not_matter(
    boxes: list[Corners], power: int, threshold: float
) -> None:
    factor = 2.0**power  # exact in floating point
    corners = torch.tensor(boxes, dtype=torch.float64)
    before = merge(corners, torch.ones(len(boxes)), Merging(threshold))
    after = merge(corners * factor, torch.ones(len(boxes)), Merging(threshold))
    assert torch.equal(before.boxes * factor, after.boxes)


def squares_apart(apart: float) -> Tensor:
    return torch.tensor([[0.0, 0, 10, 10], [10 * apart, 0, 10 + 10 * apart, 10]])


@pytest.mark.parametrize("apart", [0.1, 0.25, 0.5, 0.75, 1.0])
def test_squares_that_are_apart_match_as_documented(apart: float) -> None:
    first = next(merge_steps(squares_apart(apart), torch.ones(2), Merging(5)))
    assert first.match == pytest.approx(apart - (1 - apart) / (1 + apart), abs=1e-6)
    assert first.pair == (0, 1)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.81])
def test_a_box_inside_another_matches_as_documented(share: float) -> None:
    half = 5 * math.sqrt(share)
    inside = [5 - half, 5 - half, 5 + half, 5 + half]
    first = next(merge_steps(torch.tensor([[0.0, 0, 10, 10], inside]), torch.ones(2), Merging(5)))
    assert first.match == pytest.approx(-share, abs=1e-6)


def test_the_default_threshold_merges_what_overlaps_as_documented() -> None:
    """Squares merge up to 0.18 sides apart, where they overlap by 0.69."""
    for apart, left in ((0.18, 1), (0.19, 2)):
        assert len(merge(squares_apart(apart), torch.ones(2)).boxes) == left
    assert iou(*squares_apart(0.18)).item() == pytest.approx(0.69, abs=0.01)


def test_scores_of_classes_are_summed_class_by_class() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60], [1, 0, 11, 10], [0, 0, 10, 10]])
    scores = torch.tensor([[1.0, 2], [3, 4], [5, 6], [10, 20]])
    merged = merge(boxes, scores)
    assert merged.boxes.tolist() == [[0.5, 0, 10.5, 10], [50, 50, 60, 60]]
    assert merged.scores.tolist() == [[16, 28], [3, 4]]


def test_averages_are_not_weighted_by_what_was_merged_before() -> None:
    boxes = torch.tensor([[0.0, 0, 100, 100], [2, 0, 102, 100], [8, 0, 108, 100]])
    assert merge(boxes, torch.tensor([5.0, 1, 1])).boxes.tolist() == [[4.5, 0, 104.5, 100]]


def test_the_steps_show_every_pair_that_is_merged() -> None:
    generator = torch.Generator().manual_seed(1)
    first = torch.rand(20, 2, generator=generator, dtype=torch.float64) * 20
    boxes = torch.cat([first, first + 30], 1)
    steps = list(merge_steps(boxes, torch.ones(20)))
    assert len(steps) > 5
    assert [len(step.boxes) for step in steps] == list(range(20, 20 - len(steps), -1))
    for step, after in pairwise(steps):
        assert step.pair is not None
        assert step.match is not None
        i, j = step.pair
        assert i < j
        assert step.match <= Merging().threshold
        assert torch.equal(after.boxes[i], (step.boxes[i] + step.boxes[j]) / 2)
        assert after.scores[i] == step.scores[i] + step.scores[j]
    assert steps[-1].pair is None
    assert steps[-1].match is None
    assert torch.equal(merge(boxes, torch.ones(20)).boxes, steps[-1].boxes)


def test_more_boxes_than_are_merged_are_left_out_by_their_scores() -> None:
    place = torch.arange(6.0)[:, None] * 100
    boxes = place + torch.tensor([[0.0, 0, 10, 10]])
    scores = torch.tensor([1.0, 8, 3, 9, 7, 2])
    kept = merge(boxes, scores, Merging(most=3))
    assert kept.boxes[:, 0].tolist() == [100, 300, 400]
    by_best_class = merge(boxes, torch.stack([scores, 12 - scores], 1), Merging(most=2))
    assert by_best_class.boxes[:, 0].tolist() == [0, 500]


def test_a_hundred_thousand_equal_boxes_are_one_in_little_memory() -> None:
    boxes = torch.tensor([[1.5, 2, 30, 40]]).repeat(100_000, 1)
    tracemalloc.start()
    merged = merge(boxes, torch.full((100_000,), 0.5))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert merged.boxes.tolist() == [[1.5, 2, 30, 40]]
    assert merged.scores.tolist() == [50_000]
    assert most < 64 * 2**20


def test_a_hundred_thousand_nearly_equal_boxes_take_no_matrix_of_pairs() -> None:
    generator = torch.Generator().manual_seed(0)
    boxes = torch.tensor([[10.0, 10, 60, 60]]) + torch.rand(100_000, 4, generator=generator)
    tracemalloc.start()
    merged = merge(boxes, torch.rand(100_000, generator=generator), Merging(most=300))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(merged.boxes) == 1
    assert most < 64 * 2**20


def test_a_hundred_thousand_different_boxes_end_with_the_usual_merging() -> None:
    generator = torch.Generator().manual_seed(0)
    first = 400 * torch.rand(100_000, 2, generator=generator)
    boxes = torch.cat([first, first + 40 + 60 * torch.rand(100_000, 2, generator=generator)], 1)
    scores = torch.rand(100_000, generator=generator, dtype=torch.float64)
    assert len(boxes.unique(dim=0)) == 100_000
    merged = merge(boxes, scores)
    assert float(merged.scores.sum()) == pytest.approx(float(scores.topk(1000).values.sum()))
    assert 1 < len(merged.boxes) < 1000
    left = combinations([tuple(box) for box in merged.boxes.tolist()], 2)
    assert min(match(a, b) for a, b in left) > -0.5


def test_boxes_whose_areas_are_no_numbers_end_the_merging() -> None:
    boxes = torch.tensor([[0, 0, 1e200, 1e200], [5, 5, 1e200, 2e200]], dtype=torch.float64)
    assert torch.equal(merge(boxes, torch.ones(2)).boxes, boxes)


@pytest.mark.parametrize("classes", [None, 3])
def test_no_boxes_stay_no_boxes(classes: int | None) -> None:
    shape = (0,) if classes is None else (0, classes)
    merged = merge(torch.zeros(0, 4), torch.zeros(shape))
    assert merged.boxes.shape == (0, 4)
    assert merged.scores.shape == shape
    assert merged.pair is None


@pytest.mark.parametrize(
    ("boxes", "scores", "match"),
    [
        (torch.zeros(2, 4), torch.zeros(3), r"got \(2, 4\) and \(3,\)"),
        (torch.zeros(2, 3), torch.zeros(2), r"got \(2, 3\)"),
        (torch.tensor([[0.0, 0, math.nan, 1]]), torch.ones(1), "finite"),
        (torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([math.inf]), "finite"),
    ],
)
def test_what_cannot_be_merged_is_refused(boxes: Tensor, scores: Tensor, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        merge(boxes, scores)
