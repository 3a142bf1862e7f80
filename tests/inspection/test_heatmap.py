"""Summary numbers of heat maps against pixel counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verydeep.data.geometry import Box
from verydeep.inspection.heatmap import half_area, peak, share_inside, strongest_ninth


def maps(seed: int, height: int, width: int) -> torch.Tensor:
    return torch.randn(height, width, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 9), st.integers(1, 9), st.integers(1, 9), st.data())
def test_shares_count_pixels_that_are_ten_times_as_fine(
    seed: int, height: int, width: int, data: st.DataObject
) -> None:
    heat = maps(seed, height, width)
    x0, x1 = sorted(data.draw(st.tuples(*2 * [st.integers(-5, 10 * width + 5)])))
    y0, y1 = sorted(data.draw(st.tuples(*2 * [st.integers(-5, 10 * height + 5)])))
    fine = np.kron(heat.clamp(min=0).double().numpy(), np.ones((10, 10)))
    inside = fine[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)].sum()
    expected = inside / fine.sum() if fine.any() else 0
    found = share_inside(heat, Box(x0 / 10, y0 / 10, x1 / 10, y1 / 10))
    assert found == pytest.approx(expected, abs=1e-9)


def test_the_strongest_ninth_has_most_and_all_nine_are_whole() -> None:
    heat = torch.zeros(7, 10)
    heat[6, 0] = 2
    heat[0, 9] = 1
    assert strongest_ninth(heat) == ("lower left", pytest.approx(2 / 3))
    heat[3, 4:6] = 2
    assert strongest_ninth(heat) == ("middle", pytest.approx(4 / 7))
    heat[3, 0] = 9
    assert strongest_ninth(heat) == ("middle left", pytest.approx(9 / 16))


def test_a_peak_is_a_pixel() -> None:
    heat = maps(1, 6, 9)
    x, y, value = peak(heat)
    assert heat[y, x] == value == heat.max()
    heat[1:4, 2:7] = 9
    assert peak(heat) == (4, 2, 9)


@given(st.integers(0, 50), st.integers(1, 6), st.integers(1, 6))
def test_half_of_the_mass_is_in_as_few_pixels_as_can_be(seed: int, height: int, width: int) -> None:
    heat = maps(seed, height, width)
    ranked = sorted((max(0.0, value) for value in heat.flatten().tolist()), reverse=True)
    count = next(n for n in range(1, len(ranked) + 1) if sum(ranked[:n]) >= sum(ranked) / 2 - 1e-12)
    assert half_area(heat) == count / len(ranked)


def test_a_map_without_positive_mass_has_no_share_anywhere() -> None:
    heat = -torch.ones(3, 3)
    assert share_inside(heat, Box(0, 0, 3, 3)) == 0
    assert strongest_ninth(heat)[1] == 0
