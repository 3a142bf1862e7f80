"""Softmax and loss against closed forms, and their drawings against the numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from scipy.special import softmax

from verydeep.visualization.lecture.softmax_loss import (
    LIMIT,
    along,
    draw_loss,
    draw_soft_max,
    first_likely,
    first_true,
    loss,
    plane,
    soft_max,
)


def test_soft_max_is_scipys() -> None:
    scores = torch.randn(50, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 5
    assert np.allclose(soft_max(scores), softmax(scores.numpy(), axis=1), rtol=1e-12)


def test_soft_max_along_the_line_is_the_logistic_function() -> None:
    axis, _ = plane()
    expected = 1 / (1 + np.exp(-axis.numpy()))
    assert np.allclose(first_likely(along(axis)), expected, rtol=1e-12)
    assert first_likely(along(torch.zeros(1))).item() == 0.5


def test_soft_max_over_the_plane_depends_on_the_difference_and_is_never_a_unit_vector() -> None:
    axis, points = plane()
    assert points.shape == (len(axis) ** 2, 2)
    values = first_likely(points).numpy()
    x1, x2 = points.numpy().T
    assert np.allclose(values, 1 / (1 + np.exp(x2 - x1)), rtol=1e-12)
    assert 0 < values.min() < 1e-5
    assert 1 - 1e-5 < values.max() < 1


def test_the_loss_is_the_softplus_of_the_difference() -> None:
    _, points = plane()
    x1, x2 = points.numpy().T
    assert np.allclose(first_true(points), np.logaddexp(0, x2 - x1), rtol=1e-9, atol=1e-12)


def test_the_losss_limits() -> None:
    ends = along(torch.tensor([-30.0, 0.0, 30.0], dtype=torch.float64))
    wrong, equal, right = first_true(ends).tolist()
    assert wrong == pytest.approx(30, abs=1e-12)
    assert equal == pytest.approx(math.log(2))
    assert 0 < right < 1e-12


def test_the_losss_gradient_is_soft_max_minus_the_true_class() -> None:
    scores = torch.randn(9, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    labels = torch.arange(9) % 4
    truth = torch.eye(4, dtype=torch.float64)[labels]
    for column in range(4):
        step = torch.zeros(4, dtype=torch.float64)
        step[column] = 1e-5
        slope = (loss(scores + step, labels) - loss(scores - step, labels)) / 2e-5
        assert torch.allclose(slope, (soft_max(scores) - truth)[:, column], atol=1e-9)


# ---- drawn ----


def surface_and_curve(figure: Figure) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    plane_axes, line_axes = figure.axes[:2]
    (image,) = plane_axes.images
    assert image.get_extent() == [-LIMIT, LIMIT, -LIMIT, LIMIT]
    assert image.origin == "lower"
    x, y = line_axes.lines[0].get_xydata().T
    return np.asarray(image.get_array()), x, y


def test_the_drawn_soft_max() -> None:
    surface, x, y = surface_and_curve(draw_soft_max())
    assert surface[0, -1] == pytest.approx(1 / (1 + math.exp(-12)))  # lower right: x1 = 6, x2 = −6
    assert surface[-1, 0] == pytest.approx(1 / (1 + math.exp(12)))
    assert np.allclose(surface[len(surface) // 2], y)
    assert np.allclose(y, 1 / (1 + np.exp(-x)))


def test_the_drawn_loss() -> None:
    surface, x, y = surface_and_curve(draw_loss())
    assert surface[0, -1] == pytest.approx(math.log1p(math.exp(-12)))
    assert surface[-1, 0] == pytest.approx(12, abs=1e-4)
    assert np.allclose(surface[len(surface) // 2], y)
    assert np.allclose(y, np.logaddexp(0, -x))


@pytest.mark.parametrize("draw", [draw_soft_max, draw_loss])
def test_lines_of_equal_value_are_labelled_where_they_run(draw: object) -> None:
    assert callable(draw)
    figure = draw()
    function = first_likely if draw is draw_soft_max else first_true
    labels = [text for text in figure.axes[0].texts if text.get_text()]
    levels = [f"{level:.2g}" for level in figure.axes[0].collections[0].levels]
    assert sorted(text.get_text() for text in labels) == sorted(levels)
    for label in labels:
        point = torch.tensor([label.get_position()], dtype=torch.float64)
        assert function(point).item() == pytest.approx(float(label.get_text()), rel=0.12)
        assert abs(label.get_position()[1]) > 0.5  # beside the line x2 = 0
