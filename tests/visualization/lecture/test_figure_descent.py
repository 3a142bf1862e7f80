"""Gradient descent against PyTorch, theoretical growth and a minimiser."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.nn.functional import cross_entropy

from verydeep.visualization.lecture.weight_decay import (
    DECAYS,
    MARGIN,
    STEPS,
    Descent,
    descend,
    draw_minimiser,
    log_spaced_steps,
    separable_points,
)

Free = tuple[Descent, Descent]


@pytest.fixture(scope="module")
def both() -> Free:
    """Return descents without weight decay and with the paper's."""
    points, labels = separable_points()
    return descend(points, labels, 0.0), descend(points, labels, 5e-4)


def at(descent: Descent, steps: int) -> int:
    """Return the index of the recorded step nearest to a number."""
    return int((descent.steps - steps).abs().argmin())


def test_the_points_can_be_separated() -> None:
    points, labels = separable_points()
    side = points @ torch.tensor([0.8, 0.6], dtype=torch.float64)
    assert ((side > 0) == (labels == 0)).all()
    assert side.abs().min() >= MARGIN
    assert labels.bincount().tolist() == [20, 20]


@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_the_way_is_that_of_pytorchs_optimizer(decay: float) -> None:
    points, labels = separable_points(10, seed=3)
    seen = descend(points, labels, decay, rate=0.7, steps=40)
    weights = torch.nn.Parameter(points.new_zeros(2, 2))
    optimizer = torch.optim.SGD([weights], lr=0.7, weight_decay=decay)
    place = 0
    for step in range(41):
        loss = cross_entropy(points @ weights, labels)
        if step in seen.steps:
            assert torch.allclose(seen.weights[place], weights, atol=1e-12)
            assert seen.losses[place].item() == pytest.approx(loss.item(), rel=1e-12)
            assert seen.norms[place].item() == pytest.approx(weights.norm().item(), rel=1e-12)
            place += 1
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert place == len(seen.steps)


def test_without_decay_the_norm_grows_like_the_logarithm(both: Free) -> None:
    free, _ = both
    norms = [free.norms[at(free, steps)].item() for steps in (100, 1000, 10_000)]
    earlier, later = np.diff(norms)
    assert later > 2
    assert later == pytest.approx(earlier, rel=0.1)  # as much in each tenfold
    assert (free.norms.diff() > 0).all()


def test_without_decay_the_loss_falls_like_one_over_the_steps(both: Free) -> None:
    free, _ = both
    products = [(free.steps * free.losses)[at(free, steps)].item() for steps in (1000, 10_000)]
    assert products[1] == pytest.approx(products[0], rel=0.15)
    assert (free.losses.diff() < 0).all()
    assert free.losses[-1] > 0


def test_with_decay_it_ends_at_the_minimiser(both: Free) -> None:
    _, held = both
    points, labels = separable_points()

    def objective(flat: np.ndarray) -> float:
        scores = points.numpy() @ flat.reshape(2, 2)
        losses = np.logaddexp(0, np.diff(scores, axis=1)[:, 0] * (1 - 2 * labels.numpy()))
        return float(losses.mean() + 5e-4 / 2 * (flat**2).sum())

    best = minimize(objective, np.zeros(4), tol=1e-12)
    assert held.norms[-1].item() == pytest.approx(np.linalg.norm(best.x), rel=1e-3)
    assert np.allclose(held.weights[-1].numpy().ravel(), best.x, atol=0.01)
    assert held.norms[-1].item() == pytest.approx(held.norms[at(held, 2000)].item(), rel=1e-3)


def test_the_first_loss_is_that_of_a_guess(both: Free) -> None:
    for descent in both:
        assert descent.losses[0].item() == pytest.approx(np.log(2))
        assert descent.norms[0] == 0


def test_steps_that_are_looked_at() -> None:
    steps = log_spaced_steps(STEPS)
    assert (steps[0], steps[1], steps[-1]) == (0, 1, STEPS)
    assert len(steps) <= 121
    assert steps == sorted(set(steps))


def test_the_curves_are_the_descents(both: Free) -> None:
    data, norm, loss = draw_minimiser().axes
    assert sum(len(line.get_xdata()) for line in data.lines) == 40
    assert DECAYS == (0.0, 5e-4)
    for place, descent in enumerate(both):
        assert np.allclose(norm.lines[place].get_xydata()[:, 1], descent.norms[1:])
        assert np.allclose(loss.lines[place].get_xydata()[:, 0], descent.steps[1:])
        assert np.allclose(loss.lines[place].get_xydata()[:, 1], descent.losses[1:])
    assert norm.lines[0].get_label() == "no weight decay"
