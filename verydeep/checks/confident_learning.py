"""Labels that are likely wrong, by confident learning (Northcutt, Jiang & Chuang 2021).

"Confident Learning: Estimating Uncertainty in Dataset Labels", Journal of Artificial Intelligence
Research 70. The posteriors must be those of models that have not seen the images: a net repeats the
wrong labels that it was trained on.

In the paper's notation, y~ is a given label and y* the true one. The threshold t[j] of class j is
the mean of p[j] over the images labelled j: how sure the models are of that class where it is
given. An image counts as y* = j if p[j] >= t[j], and if p[j] is the largest of those that reach
their threshold. The confident joint C[i, j] counts images by given and true label; its entries off
the diagonal are the label errors, and calibrated to the number of images of each class it estimates
the joint distribution Q.

N images, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from verydeep.errors import InputError

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

Method = Literal["by-noise-rate", "by-class", "both", "confident-joint"]
"""How images are chosen; see :func:`likely_errors`."""

METHODS: tuple[Method, ...] = get_args(Method)


def thresholds(posteriors: Floats, labels: Ints) -> NDArray[np.float64]:
    """Return the threshold of every class, float64 (K,): equation 2 of the paper.

    It is infinite for a class without images, which no image can then belong to.

    >>> thresholds(np.array([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]]), np.array([0, 0, 1]))
    array([0.625, 0.75 ])
    """
    classes = posteriors.shape[1]
    counts = np.bincount(labels, minlength=classes)
    own = posteriors[np.arange(len(labels)), labels].astype(np.float64)
    sums = np.bincount(labels, weights=own, minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)


def confident_labels(posteriors: Floats, labels: Ints) -> Ints:
    """Return the true label of every image of which the models are confident, else -1; (N,)."""
    reached = posteriors >= thresholds(posteriors, labels) - _ROUNDING
    sure = np.where(reached, posteriors, -1.0)
    return np.where(reached.any(axis=1), sure.argmax(axis=1), -1)


def confident_joint(posteriors: Floats, labels: Ints) -> Ints:
    """Return the counts of given labels (rows) and true ones (columns), (K, K): equation 1.

    >>> posteriors = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.6, 0.4]])
    >>> confident_joint(posteriors, np.array([0, 0, 0, 1, 1]))
    array([[2, 1],
           [1, 1]])
    """
    classes = posteriors.shape[1]
    true = confident_labels(posteriors, labels)
    known = true >= 0
    joint = np.zeros((classes, classes), np.int64)
    np.add.at(joint, (labels[known], true[known]), 1)
    return joint


def calibrated_joint(posteriors: Floats, labels: Ints) -> NDArray[np.float64]:
    """Return the estimated number of images by given and true label, (K, K): equation 3.

    Rows sum to the number of images with that label. A class of which no image is confident is
    taken to be right.
    """
    counts = np.bincount(labels, minlength=posteriors.shape[1])
    joint = confident_joint(posteriors, labels).astype(np.float64)
    unsure = np.flatnonzero(joint.sum(axis=1) == 0)
    joint[unsure, unsure] = 1.0
    return np.asarray(joint / joint.sum(axis=1, keepdims=True) * counts[:, None])


def check_method(method: str) -> None:
    """Refuse unknown methods.

    Raises:
        InputError: There is no such method.
    """
    if method not in METHODS:
        raise InputError(f"method must be one of {', '.join(METHODS)}, got {method!r} instead")


def likely_errors(posteriors: Floats, labels: Ints, method: Method = "both") -> Mask:
    """Return which labels are likely wrong, bool (N,).

    Args:
        posteriors: Class probabilities from models that have not seen the images, (N, K).
        labels: Given labels.
        method: ``confident-joint``, the images off the diagonal of the confident joint;
            ``by-class``, of each class i as many as the calibrated joint has off the diagonal,
            those with the lowest p[i]; ``by-noise-rate``, for each pair i, j as many as it has
            there, those with the highest p[j] - p[i]; or ``both``, those that the last two agree
            on, the fewest and surest.

    Raises:
        InputError: There is no such method.
    """
    check_method(method)
    if method == "both":
        return _by_class(posteriors, labels) & _by_noise_rate(posteriors, labels)
    by: dict[str, Callable[[Floats, Ints], Mask]] = {
        "confident-joint": _by_joint,
        "by-class": _by_class,
        "by-noise-rate": _by_noise_rate,
    }
    return by[method](posteriors, labels)


def self_confidence(posteriors: Floats, labels: Ints) -> NDArray[np.float64]:
    """Return the probability of the given label, (N,); a low one is likely wrong."""
    return posteriors[np.arange(len(labels)), labels].astype(np.float64)


def suggested_labels(posteriors: Floats, labels: Ints) -> Ints:
    """Return the most likely label other than the given one, int64 (N,)."""
    others = posteriors.astype(np.float64)
    others[np.arange(len(labels)), labels] = -1.0
    return np.asarray(others.argmax(axis=1), np.int64)


_ROUNDING = 1e-6
"""Tolerance of thresholds, so that a class of equal posteriors reaches its own mean."""


def _by_joint(posteriors: Floats, labels: Ints) -> Mask:
    true = confident_labels(posteriors, labels)
    return np.asarray((true >= 0) & (true != labels))


def _by_class(posteriors: Floats, labels: Ints) -> Mask:
    joint = calibrated_joint(posteriors, labels)
    own = self_confidence(posteriors, labels)
    chosen = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels).tolist():
        members = np.flatnonzero(labels == label)
        count = round(float(joint[label].sum() - joint[label, label]))
        chosen[members[np.argsort(own[members], kind="stable")[:count]]] = True
    return chosen


def _by_noise_rate(posteriors: Floats, labels: Ints) -> Mask:
    joint = calibrated_joint(posteriors, labels)
    chosen = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels).tolist():
        members = np.flatnonzero(labels == label)
        margins = posteriors[members].astype(np.float64)
        margins -= margins[:, [label]]
        for other in np.flatnonzero(joint[label]).tolist():
            count = round(float(joint[label, other]))
            if other != label and count:
                order = np.argsort(-margins[:, other], kind="stable")[:count]
                chosen[members[order]] = True
    return chosen
