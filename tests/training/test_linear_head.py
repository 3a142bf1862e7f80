"""The linear head against scikit-learn, and its folds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from verydeep.training.linear_head import Rows, fit_linear_head, set_linear_head


def rows(images: int = 40, views: int = 2, size: float = 50.0, seed: int = 0) -> Rows:
    """Return rows of three classes that overlap."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(images) % 3
    centers = torch.randn(3, 8, generator=generator)
    noise = torch.randn(views, images, 8, generator=generator)
    values = (centers[labels] + noise).flatten(0, 1).abs() * size
    return Rows(values, labels.repeat(views), torch.arange(images).repeat(views))


@pytest.mark.parametrize("strength", [1e-2, 1.0])
def test_it_is_the_logistic_regression_of_scikit_learn(strength: float) -> None:
    given = rows()
    head = fit_linear_head(given, 3, [strength])
    scale = float(given.values.norm(dim=1).mean()) / 10
    peer = LogisticRegression(C=1 / (strength * len(given.labels)), tol=1e-10, max_iter=5000)
    peer.fit(given.values.double().numpy() / scale, given.labels.numpy())
    expected = peer.predict_proba(given.values.double().numpy() / scale)
    found = head.scores(given.values).softmax(1).numpy()
    assert np.allclose(found, expected, atol=1e-4)


def test_the_size_of_the_maps_does_not_matter() -> None:
    given = rows()
    larger = Rows(given.values * 1000, given.labels, given.images)
    one, other = (fit_linear_head(r, 3, [1e-2]) for r in (given, larger))
    assert torch.allclose(one.scores(given.values), other.scores(larger.values), atol=1e-3)


def test_the_strength_of_the_lowest_held_out_loss_is_taken() -> None:
    head = fit_linear_head(rows(views=1), 3, [1e-7, 0.3, 1000.0], folds=4)
    assert len(head.trials) == 3
    assert head.strength == min(head.trials, key=lambda trial: trial.loss).strength
    assert head.strength == 0.3


def test_views_of_an_image_are_never_on_both_sides_of_a_cut() -> None:
    # Labels by chance: only a view of the same image could tell a held-out label.
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(60, 200, generator=generator).abs().repeat(2, 1)
    labels = torch.randint(2, (60,), generator=generator)
    given = Rows(values, labels.repeat(2), torch.arange(60).repeat(2))
    (first, _) = fit_linear_head(given, 2, [1e-6, 1e-7], folds=5).trials
    assert 30 < first.error < 70


def test_the_head_of_averages_is_that_of_every_position() -> None:
    given = rows()
    head = fit_linear_head(given, 3, [1e-2])
    layer = nn.Linear(8 * 4, 3)
    set_linear_head(layer, head)
    maps = torch.rand(5, 8, 2, 2)
    assert torch.allclose(layer(maps.flatten(1)), head.scores(maps.mean((2, 3))), atol=1e-5)


def test_a_class_of_two_images_still_has_folds() -> None:
    given = rows(images=6, views=1)
    assert fit_linear_head(given, 3, [1e-2, 1e-1], folds=5).trials
