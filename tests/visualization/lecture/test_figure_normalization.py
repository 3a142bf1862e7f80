"""Local response normalisation against Krizhevsky's formula, summed channel by channel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from verydeep.visualization.lecture.lrn import (
    CHANNELS,
    draw_normalization,
    kept,
    normalize,
    uneven_responses,
)


def naive(responses: list[float]) -> list[float]:
    """Return a / (2 + 1e-4 Σ a²)^0.75, the sum over two channels to either side."""
    answers = []
    for place, response in enumerate(responses):
        near = responses[max(0, place - 2) : place + 3]
        answers.append(response / (2 + 1e-4 * sum(other**2 for other in near)) ** 0.75)
    return answers


def test_it_is_krizhevskys_formula() -> None:
    responses = torch.rand(3, 11, generator=torch.Generator().manual_seed(0)) * 400
    for row, answer in zip(responses, normalize(responses), strict=True):
        assert answer.tolist() == pytest.approx(naive(row.tolist()), rel=1e-5)


def test_what_is_left_of_a_response() -> None:
    neighbours = torch.tensor([0.0, 50.0, 1000.0])
    expected = [(2 + 1e-4 * (100**2 + other**2)) ** -0.75 for other in neighbours.tolist()]
    assert kept(100.0, neighbours).tolist() == pytest.approx(expected, rel=1e-5)
    assert kept(1e-3, torch.zeros(1)).item() == pytest.approx(2**-0.75)


def test_the_bars_are_the_responses_before_and_after() -> None:
    before, after, left = draw_normalization().axes
    responses = uneven_responses()[0].tolist()
    assert [bar.get_height() for bar in before.patches] == responses
    assert len(responses) == CHANNELS
    heights = [bar.get_height() for bar in after.patches]
    assert heights == pytest.approx(naive(responses), rel=1e-5)
    assert int(np.argmin(heights)) in (7, 8, 10, 11)  # beside the strongest channel
    for line, response in zip(left.lines, (10, 100, 300), strict=False):
        for x, y in line.get_xydata()[::50]:
            assert y == pytest.approx(100 * (2 + 1e-4 * (response**2 + x**2)) ** -0.75, rel=1e-5)
