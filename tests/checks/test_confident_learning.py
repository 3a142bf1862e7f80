"""Confident learning: against loops written from the paper, and known noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verydeep.checks.confident_learning import (
    METHODS,
    calibrated_joint,
    confident_joint,
    likely_errors,
    self_confidence,
    suggested_labels,
    thresholds,
)
from verydeep.errors import InputError


def drawn(seed: int, images: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return posteriors and labels without any relation."""
    generator = np.random.default_rng(seed)
    posteriors = generator.dirichlet(np.full(classes, 0.7), images)
    return posteriors, generator.integers(0, classes, images)


def noisy(
    seed: int, noise: np.ndarray, images: int = 4000, sharpness: float = 6.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return posteriors of a good model, noisy labels and true ones.

    Args:
        seed: Random seed.
        noise: Probability of each label (columns) given the true one (rows).
        images: Number of images.
        sharpness: How far the true class's score is above the others'.
    """
    generator = np.random.default_rng(seed)
    classes = len(noise)
    true = generator.integers(0, classes, images)
    labels = np.array([generator.choice(classes, p=noise[one]) for one in true])
    scores = generator.normal(0, 1, (images, classes))
    scores[np.arange(images), true] += sharpness
    likely = np.exp(scores)
    return likely / likely.sum(axis=1, keepdims=True), labels, true


NOISE = np.array([[0.9, 0.1, 0.0], [0.0, 1.0, 0.0], [0.05, 0.15, 0.8]])


def naive_thresholds(posteriors: np.ndarray, labels: np.ndarray) -> list[float]:
    return [
        float(
            np.mean([p[j] for p, y in zip(posteriors, labels, strict=True) if y == j] or [np.inf])
        )
        for j in range(posteriors.shape[1])
    ]


def naive_joint(posteriors: np.ndarray, labels: np.ndarray) -> list[list[int]]:
    """Count as in equation 1 of the paper, image by image."""
    limits = naive_thresholds(posteriors, labels)
    classes = posteriors.shape[1]
    joint = [[0] * classes for _ in range(classes)]
    for p, y in zip(posteriors, labels, strict=True):
        above = [j for j in range(classes) if p[j] >= limits[j]]
        if above:
            joint[y][max(above, key=lambda j: p[j])] += 1
    return joint


@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(2, 6))
@settings(max_examples=60)
def test_thresholds_and_joint_are_those_of_plain_loops(
    seed: int, images: int, classes: int
) -> None:
    posteriors, labels = drawn(seed, images, classes)
    np.testing.assert_allclose(thresholds(posteriors, labels), naive_thresholds(posteriors, labels))
    assert confident_joint(posteriors, labels).tolist() == naive_joint(posteriors, labels)


@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(2, 6))
@settings(max_examples=40)
def test_the_calibrated_joint_has_the_number_of_images_of_each_label(
    seed: int, images: int, classes: int
) -> None:
    posteriors, labels = drawn(seed, images, classes)
    joint = calibrated_joint(posteriors, labels)
    counts = np.bincount(labels, minlength=classes)
    np.testing.assert_allclose(joint.sum(axis=1), counts)
    raw = confident_joint(posteriors, labels)
    for row in np.flatnonzero(raw.sum(axis=1)).tolist():
        np.testing.assert_allclose(joint[row], raw[row] / raw[row].sum() * counts[row])


def test_a_known_noise_matrix_is_found_again() -> None:
    posteriors, labels, true = noisy(0, NOISE, sharpness=9.0)
    counts = np.zeros((3, 3))
    np.add.at(counts, (labels, true), 1)
    found = calibrated_joint(posteriors, labels)
    np.testing.assert_allclose(found, counts, atol=0.02 * len(labels))
    off = ~np.eye(3, dtype=bool)
    assert found[off].sum() == pytest.approx(counts[off].sum(), rel=0.2)
    assert found[0, 1] == found[2, 0] == found[2, 1] == 0


@pytest.mark.parametrize("method", METHODS)
def test_wrong_labels_are_found_and_right_ones_left(method: str) -> None:
    posteriors, labels, true = noisy(1, NOISE)
    found, wrong = likely_errors(posteriors, labels, method), labels != true  # type: ignore[arg-type]
    assert (found & wrong).sum() / wrong.sum() > 0.8
    assert (found & wrong).sum() / found.sum() > 0.95
    right = suggested_labels(posteriors, labels)[found & wrong] == true[found & wrong]
    assert right.mean() > 0.95


def test_few_labels_are_doubted_where_none_is_wrong() -> None:
    posteriors, labels, true = noisy(2, np.eye(3))
    assert (labels == true).all()
    assert likely_errors(posteriors, labels).mean() < 0.005


@given(st.integers(0, 10_000))
@settings(max_examples=30)
def test_the_methods_choose_what_they_promise(seed: int) -> None:
    posteriors, labels = drawn(seed, 80, 4)
    joint = calibrated_joint(posteriors, labels)
    own = self_confidence(posteriors, labels)
    by_class = likely_errors(posteriors, labels, "by-class")
    for label in range(4):
        members = labels == label
        count = round(joint[label].sum() - joint[label, label]) if members.any() else 0
        assert (by_class & members).sum() == count
        assert (
            not (by_class & members).any()
            or not (~by_class & members).any()
            or own[by_class & members].max() <= own[~by_class & members].min()
        )
    by_rate = likely_errors(posteriors, labels, "by-noise-rate")
    for label in range(4):
        chosen = set()
        for other in range(4):
            if other != label:
                ordered = sorted(
                    np.flatnonzero(labels == label).tolist(),
                    key=lambda n, i=label, j=other: posteriors[n, i] - posteriors[n, j],
                )
                chosen |= set(ordered[: round(joint[label, other])])
        assert set(np.flatnonzero(by_rate & (labels == label)).tolist()) == chosen
    np.testing.assert_array_equal(likely_errors(posteriors, labels, "both"), by_class & by_rate)


def test_a_model_that_knows_nothing_doubts_nothing() -> None:
    posteriors, labels = np.full((30, 3), 1 / 3), np.arange(30) % 3
    assert not likely_errors(posteriors, labels, "both")[labels == 0].any()
    assert suggested_labels(posteriors, labels).tolist() == [1 if one == 0 else 0 for one in labels]


def test_a_class_without_images_is_never_the_true_one() -> None:
    posteriors, labels = drawn(3, 40, 4)
    labels[labels == 2] = 0
    assert np.isinf(thresholds(posteriors, labels)[2])
    assert confident_joint(posteriors, labels)[:, 2].sum() == 0


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(InputError, match="by-noise-rate, by-class, both, confident-joint, got 'x'"):
        likely_errors(*drawn(0, 10, 2), "x")  # type: ignore[arg-type]
