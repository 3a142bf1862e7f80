"""The linear head against scikit-learn, and its folds."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from torch import nn

from verydeep.data.pipeline.balance import class_weights
from verydeep.system.group.distributed import Group
from verydeep.training.head_loss import OneClass, Rows, SeveralLabels
from verydeep.training.linear_head import fit_linear_head, set_linear_head


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
    head = fit_linear_head(given, OneClass(3), [strength])
    scale = float(given.values.norm(dim=1).mean()) / 10
    peer = LogisticRegression(C=1 / (strength * len(given.labels)), tol=1e-10, max_iter=5000)
    peer.fit(given.values.double().numpy() / scale, given.labels.numpy())
    expected = peer.predict_proba(given.values.double().numpy() / scale)
    found = head.scores(given.values).softmax(1).numpy()
    assert np.allclose(found, expected, atol=1e-4)


def unequal_rows() -> Rows:
    """Return rows of classes with 40, 13 and 7 images, which overlap."""
    given = rows(images=120)
    taken = {0: 40, 1: 13, 2: 7}
    chosen = [
        torch.nonzero((given.labels == label) & (given.images < 3 * count))[:, 0]
        for label, count in taken.items()
    ]
    return given.take(torch.cat(chosen))


@pytest.mark.parametrize("strength", [1e-2, 1.0])
def test_a_weighted_head_is_that_of_balanced_classes_of_scikit_learn(strength: float) -> None:
    given = unequal_rows()
    weights = torch.tensor(class_weights(given.labels, 3))
    head = fit_linear_head(given, OneClass(3, weights), [strength])
    values = given.values.double().numpy() * 10 / float(given.values.norm(dim=1).mean())
    settings = {"C": 1 / (strength * len(given.labels)), "tol": 1e-10, "max_iter": 5000}
    peer = LogisticRegression(**settings, class_weight="balanced")
    expected = peer.fit(values, given.labels.numpy()).predict_proba(values)
    found = head.scores(given.values).softmax(1).numpy()
    assert np.allclose(found, expected, atol=1e-4)
    plain = LogisticRegression(**settings).fit(values, given.labels.numpy())
    assert not np.allclose(plain.predict_proba(values), expected, atol=0.03)


def test_the_strength_is_chosen_by_the_weighted_loss() -> None:
    given, weights = unequal_rows(), torch.tensor([0.1, 1.0, 5.0])
    loss = OneClass(3, weights)
    (trial, _) = fit_linear_head(given, loss, [1e-2, 1.0], folds=3).trials
    total = 0.0
    for kept, held in loss.cuts(given, 3, 0):
        likely = fit_linear_head(given.take(kept), loss, [1e-2]).scores(given.values[held])
        for row, scores in zip(held.tolist(), likely, strict=True):
            label = int(given.labels[row])
            total -= float(weights[label] * scores.log_softmax(0)[label])
    assert trial.loss == pytest.approx(total / len(given.labels), rel=1e-5)


def test_the_size_of_the_maps_does_not_matter() -> None:
    given = rows()
    larger = Rows(given.values * 1000, given.labels, given.images)
    one, other = (fit_linear_head(r, OneClass(3), [1e-2]) for r in (given, larger))
    assert torch.allclose(one.scores(given.values), other.scores(larger.values), atol=1e-3)


def test_the_strength_of_the_lowest_held_out_loss_is_taken() -> None:
    head = fit_linear_head(rows(views=1), OneClass(3), [1e-7, 0.3, 1000.0], folds=4)
    assert len(head.trials) == 3
    assert head.strength == min(head.trials, key=lambda trial: trial.loss).strength
    assert head.strength == 0.3


def test_views_of_an_image_are_never_on_both_sides_of_a_cut() -> None:
    # Labels by chance: only a view of the same image could tell a held-out label.
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(60, 200, generator=generator).abs().repeat(2, 1)
    labels = torch.randint(2, (60,), generator=generator)
    given = Rows(values, labels.repeat(2), torch.arange(60).repeat(2))
    (first, _) = fit_linear_head(given, OneClass(2), [1e-6, 1e-7], folds=5).trials
    assert 30 < first.error < 70


def test_the_head_of_averages_is_that_of_every_position() -> None:
    given = rows()
    head = fit_linear_head(given, OneClass(3), [1e-2])
    layer = nn.Linear(8 * 4, 3)
    set_linear_head(layer, head)
    maps = torch.rand(5, 8, 2, 2)
    assert torch.allclose(layer(maps.flatten(1)), head.scores(maps.mean((2, 3))), atol=1e-5)


def test_a_class_of_two_images_still_has_folds() -> None:
    given = rows(images=6, views=1)
    assert fit_linear_head(given, OneClass(3), [1e-2, 1e-1], folds=5).trials


def few_rows(*counts: int, views: int = 1) -> Rows:
    """Return rows of classes with so many images each."""
    labels = torch.tensor([label for label, count in enumerate(counts) for _ in range(count)])
    values = torch.randn(views * len(labels), 4, generator=torch.Generator().manual_seed(0))
    return Rows(values, labels.repeat(views), torch.arange(len(labels)).repeat(views))


@pytest.mark.parametrize("views", [1, 3])
def test_a_single_image_of_each_class_has_no_cross_validation(views: int) -> None:
    head = fit_linear_head(few_rows(1, 1, 1, views=views), OneClass(3), [3e-2, 1e-3, 1e-2])
    assert (head.trials, head.strength) == ((), 1e-2)
    alone = Rows(torch.ones(2, 4), torch.zeros(2).long(), torch.zeros(2).long())
    labelled = SeveralLabels(torch.tensor([[1, 0]], dtype=torch.uint8))
    assert fit_linear_head(alone, labelled, [1e-2, 1e-1]).trials == ()


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("counts", [(1, 6, 4), (0, 5, 1, 3), (4, 3, 0), (2, 1)])
def test_the_only_image_of_a_class_is_never_held_out(counts: tuple[int, ...], views: int) -> None:
    given, several = few_rows(*counts, views=views), [n for n in counts if n > 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cuts = list(OneClass(len(counts)).cuts(given, 5, seed=0))
    assert len(cuts) == min(5, *several)
    tested = torch.cat([held for _, held in cuts])
    rare = {label for label, count in enumerate(counts) if count == 1}
    expected = [row for row, label in enumerate(given.labels.tolist()) if label not in rare]
    assert sorted(tested.tolist()) == expected
    for kept, held in cuts:
        assert sorted([*kept.tolist(), *held.tolist()]) == list(range(len(given.labels)))
        assert not set(given.images[kept].tolist()) & set(given.images[held].tolist())
        # Every class is fitted, so that every held-out answer can be right.
        assert set(given.labels[kept].tolist()) == set(given.labels.tolist())


def labelled_rows(
    images: int = 60, views: int = 2, spread: float = 1.0
) -> tuple[Rows, torch.Tensor]:
    """Return rows of three classes that an image may have all, some or none of, and their sets."""
    generator = torch.Generator().manual_seed(2)
    table = torch.tensor([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    sets = torch.randint(8, (images,), generator=generator)
    centers = 2 * torch.randn(3, 10, generator=generator)
    noise = spread * torch.randn(views, images, 10, generator=generator)
    values = (table[sets].float() @ centers + noise).flatten(0, 1)
    rows = Rows(values, sets.repeat(views), torch.arange(images).repeat(views))
    return rows, table.to(torch.uint8)


@pytest.mark.parametrize("strength", [1e-2, 1.0])
def test_a_multi_label_head_is_one_regression_for_each_class(strength: float) -> None:
    given, table = labelled_rows()
    head = fit_linear_head(given, SeveralLabels(table), [strength])
    scale = float(given.values.norm(dim=1).mean()) / 10
    values, truth = given.values.double().numpy() / scale, table[given.labels].numpy()
    found = head.scores(given.values).sigmoid().numpy()
    for label in range(3):
        peer = LogisticRegression(C=1 / (strength * len(truth)), tol=1e-10, max_iter=5000)
        peer.fit(values, truth[:, label])
        np.testing.assert_allclose(found[:, label], peer.predict_proba(values)[:, 1], atol=1e-4)


def test_a_weighted_multi_label_head_is_that_of_weighted_rows_of_scikit_learn() -> None:
    given, table = labelled_rows()
    positive = torch.tensor([3.0, 1.0, 0.2])
    head = fit_linear_head(given, SeveralLabels(table, positive), [1e-2])
    values = given.values.double().numpy() * 10 / float(given.values.norm(dim=1).mean())
    truth = table[given.labels].numpy()
    found = head.scores(given.values).sigmoid().numpy()
    for label in range(3):
        peer = LogisticRegression(C=100 / len(truth), tol=1e-10, max_iter=5000)
        peer.fit(values, truth[:, label], np.where(truth[:, label], positive[label], 1.0))
        np.testing.assert_allclose(found[:, label], peer.predict_proba(values)[:, 1], atol=1e-4)


def test_multi_label_folds_hold_whole_images_and_all_classes() -> None:
    given, table = labelled_rows()
    loss = SeveralLabels(table)
    cuts = list(loss.cuts(given, 5, seed=0))
    assert sorted(torch.cat([held for _, held in cuts]).tolist()) == list(range(120))
    for kept, held in cuts:
        assert not set(given.images[kept].tolist()) & set(given.images[held].tolist())
        assert table[given.labels[held]].sum(0).min() > 0
    others = list(loss.cuts(given, 5, seed=1))
    assert any(not torch.equal(one[1], other[1]) for one, other in zip(cuts, others, strict=True))
    wide, _ = labelled_rows(spread=4.0)
    head = fit_linear_head(wide, loss, [1e-7, 0.03, 1000.0], folds=4)
    assert head.strength == 0.03
    assert len(head.trials) == 3


def test_the_measures_of_a_multi_label_head_are_those_of_scikit_learn() -> None:
    given, table = labelled_rows(views=1)
    loss, scores = SeveralLabels(table), torch.randn(60, 3)
    truth, likely = table[given.labels].numpy(), scores.double().sigmoid().numpy()
    found = loss.figures(scores, given.labels, Group())
    assert found is not None
    precision = 100 * metrics.average_precision_score(truth, likely)
    assert found["mean_average_precision"] == pytest.approx(precision)
    each = [metrics.log_loss(truth[:, k], likely[:, k]) for k in range(3)]
    assert found["loss"] == pytest.approx(np.mean(each), rel=1e-5)
    assert float(loss.losses(scores, given.labels).mean()) == pytest.approx(found["loss"], rel=1e-5)
    exact = metrics.accuracy_score(truth, likely >= 0.5)
    assert found["subset_error"] == pytest.approx(100 * (1 - exact))
    assert float(loss.wrong(scores, given.labels).float().mean()) == pytest.approx(1 - exact)
    assert loss.figures(scores[:0], given.labels[:0], Group()) is None
