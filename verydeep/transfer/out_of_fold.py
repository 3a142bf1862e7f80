"""Posteriors of a logistic regression for images that it was not fitted to, fold by fold.

N images, D features, K classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from verydeep.evaluation.label_metrics import binary_log_losses
from verydeep.evaluation.metrics import log_loss
from verydeep.system.progress import Progress
from verydeep.transfer.features import Vectors

GRID = (1.0, 10.0, 100.0)
"""Candidate values of C, the inverse of the penalty. Vectors are scaled to unit variance in all."""

MOST_ITERATIONS = 1_000

Labels = NDArray[np.int64]


def out_of_fold_posteriors(
    vectors: Vectors,
    labels: Labels,
    folds: Labels,
    *,
    costs: Sequence[float] = GRID,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Return the class probabilities of every image from a regression without its fold.

    The regression is multinomial with an L2 penalty (scikit-learn). Its C is the one with the
    smallest loss on the first fold.

    Args:
        vectors: Feature vectors, (N, D).
        labels: Classes, 0 to K - 1; each has images in several folds.
        folds: Fold of every image.
        costs: Candidate values of C.
        progress: Progress reporting; None is silent.

    Returns:
        float32 (N, K); rows sum to one.
    """
    classes, scaled = int(labels.max()) + 1, _scaled(vectors)
    return _out_of_fold(
        lambda kept, cost: _fitted(scaled, labels, kept, cost, classes),
        lambda likely, own: log_loss(likely, labels[own]),
        folds,
        costs,
        progress,
    )


def out_of_fold_label_posteriors(
    vectors: Vectors,
    truth: NDArray[np.bool_],
    folds: Labels,
    *,
    costs: Sequence[float] = GRID,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Return the probability of every class for multi-label images, float32 (N, K).

    There is one regression for each class, all with the same C; else as
    :func:`out_of_fold_posteriors`.

    Args:
        vectors: Feature vectors, (N, D).
        truth: True for the classes of each image, (N, K).
        folds: Fold of every image.
        costs: Candidate values of C.
        progress: Progress reporting; None is silent.
    """
    scaled = _scaled(vectors)

    def fit(kept: NDArray[np.bool_], cost: float) -> NDArray[np.float32]:
        each = [_fitted(scaled, own.astype(np.int64), kept, cost, 2)[:, 1] for own in truth.T]
        return np.stack(each, axis=1)

    return _out_of_fold(
        fit,
        lambda likely, own: float(binary_log_losses(likely, truth[own]).mean()),
        folds,
        costs,
        progress,
    )


def _scaled(vectors: Vectors) -> Vectors:
    scaled = (vectors - vectors.mean(axis=0)) / max(float(vectors.std()), 1e-12)
    return np.asarray(scaled / np.sqrt(scaled.shape[1]))  # so that C means the same for any D


def _out_of_fold(
    fit: Callable[[NDArray[np.bool_], float], NDArray[np.float32]],
    loss: Callable[[NDArray[np.float32], NDArray[np.bool_]], float],
    folds: Labels,
    costs: Sequence[float],
    progress: Progress | None,
) -> NDArray[np.float32]:
    """Return the probabilities of every image, (N, K).

    Args:
        fit: Fits to the images of a mask with a value of C, and returns the probabilities of all
            others.
        loss: Returns the loss of probabilities of the images of a mask.
        folds: Fold of every image.
        costs: Candidate values of C; that of the smallest loss on the first fold is taken.
        progress: Progress reporting; None is silent.
    """
    numbers = np.unique(folds).tolist()
    total, first = len(costs) + len(numbers) - 1, folds == numbers[0]
    with (progress or Progress()).task(f"logistic regression, {len(numbers)} folds", total) as bar:
        tried = []
        for cost in costs:
            tried.append(fit(~first, cost))
            bar.update(len(tried))
        losses = [loss(likely, first) for likely in tried]
        # The last of equally good ones.
        best = max(n for n, value in enumerate(losses) if value == min(losses))
        likely = np.zeros((len(folds), tried[0].shape[1]), np.float32)
        likely[first] = tried[best]
        for done, number in enumerate(numbers[1:], start=len(costs) + 1):
            own = folds == number
            likely[own] = fit(~own, costs[best])
            bar.update(done)
    return likely


def _fitted(
    vectors: Vectors, labels: Labels, kept: NDArray[np.bool_], cost: float, classes: int
) -> NDArray[np.float32]:
    """Fit to the kept images, and return the probabilities of the others."""
    likely = np.zeros((int((~kept).sum()), classes), np.float32)
    if len(known := np.unique(labels[kept])) == 1:
        likely[:, known] = 1
        return likely
    regression: Any = LogisticRegression(C=cost, max_iter=MOST_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # close enough for a ranking
        regression.fit(vectors[kept], labels[kept])
    likely[:, regression.classes_] = regression.predict_proba(vectors[~kept])
    return likely
