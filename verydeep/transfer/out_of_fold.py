"""Posteriors of a logistic regression for images that it was not fitted to, fold by fold.

N images, D features, K classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

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
    scaled = (vectors - vectors.mean(axis=0)) / max(float(vectors.std()), 1e-12)
    scaled /= np.sqrt(scaled.shape[1])  # so that C means the same for any D
    numbers = np.unique(folds).tolist()
    likely = np.zeros((len(labels), int(labels.max()) + 1), np.float32)
    total = len(costs) + len(numbers) - 1
    with (progress or Progress()).task(f"logistic regression, {len(numbers)} folds", total) as bar:
        done, best = 0, costs[0]
        losses = {}
        for cost in costs:
            tried = _fitted(scaled, labels, folds != numbers[0], cost, likely.shape[1])
            losses[cost] = log_loss(tried, labels[folds == numbers[0]])
            if losses[cost] == min(losses.values()):
                best, likely[folds == numbers[0]] = cost, tried
            bar.update(done := done + 1)
        for number in numbers[1:]:
            own = folds == number
            likely[own] = _fitted(scaled, labels, ~own, best, likely.shape[1])
            bar.update(done := done + 1)
    return likely


def _fitted(
    vectors: Vectors, labels: Labels, kept: NDArray[np.bool_], cost: float, classes: int
) -> NDArray[np.float32]:
    """Fit to the kept images, and return the probabilities of the others."""
    regression: Any = LogisticRegression(C=cost, max_iter=MOST_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # close enough for a ranking
        regression.fit(vectors[kept], labels[kept])
    likely = np.zeros((int((~kept).sum()), classes), np.float32)
    likely[:, regression.classes_] = regression.predict_proba(vectors[~kept])
    return likely
