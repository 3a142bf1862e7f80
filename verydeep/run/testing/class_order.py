"""Classes in another order than a model takes for granted, found by its answers.

N images, K classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from verydeep.evaluation.result import Answers

LEAST_IMAGES = 40


def reordered_wrong(answers: Answers) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Return where answers are wrong, as they are and with the classes in the best other order.

    The order that agrees with most labels is found on every second image of a class, and judged on
    the others.

    Args:
        answers: Answers of a test.

    Returns:
        Two masks of the images judged, bool (n,); None if there are too few images.
    """
    labels, guesses = answers.labels, answers.guesses
    if len(labels) < LEAST_IMAGES:
        return None
    fitted = _every_second(labels)
    order = _best_order(labels[fitted], guesses[fitted], len(answers.classes))
    labels, guesses = labels[~fitted], guesses[~fitted]
    return guesses != labels, order[guesses] != labels


def _every_second(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return a mask of the first, third, … image of every class."""
    mask = np.zeros(len(labels), np.bool_)
    mask[np.argsort(labels, kind="stable")[::2]] = True
    return mask


def _best_order(
    labels: NDArray[np.int64], guesses: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Return the class that every output most likely is, one for each, int64 (K,)."""
    from scipy.optimize import linear_sum_assignment  # slow to import and rarely needed

    counts = np.zeros((classes, classes))
    np.add.at(counts, (guesses, labels), 1)
    # Outputs without images keep their class where they can.
    counts[np.arange(classes), np.arange(classes)] += 0.5 / classes
    return np.asarray(linear_sum_assignment(counts, maximize=True)[1])
