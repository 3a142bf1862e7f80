"""Linear SVMs of probes."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from verydeep.transfer.features import Vectors

MOST_ITERATIONS = 10_000


class Trial(NamedTuple):
    """Cross-validation result of a value of C.

    Attributes:
        C: The SVM's cost of errors.
        error: Misclassified held-out images of all folds, in percent.
        converged: Whether every SVM converged.
    """

    C: float
    error: float
    converged: bool


def fit_svm(vectors: Vectors, labels: NDArray[Any], cost: float, seed: int) -> tuple[Any, bool]:
    """Return a trained SVM, and whether it converged.

    Args:
        vectors: Training vectors, (N, D).
        labels: Their labels, (N,), of two values at least.
        cost: C.
        seed: Random seed of the solver.
    """
    svm = LinearSVC(C=cost, dual="auto", max_iter=MOST_ITERATIONS, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # reported in the result instead
        svm.fit(vectors, labels)
    return svm, bool(np.max(svm.n_iter_) < MOST_ITERATIONS)


def repeated(train: Vectors, tested: Vectors) -> int:
    """Count the test images whose vector also occurs in the training split."""
    known = {row.tobytes() for row in train}
    return sum(row.tobytes() in known for row in tested)
