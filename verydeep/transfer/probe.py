"""Linear probe: an SVM on the features of another data set (appendix B).

The net is not fine-tuned. The SVM's C is chosen by cross-validation on the training split; the test
split is used once, at the end.

N images, D features, K classes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import recall_score
from sklearn.model_selection import StratifiedKFold
from torch import Tensor

from verydeep.errors import DataError, InputError, plural
from verydeep.evaluation.metrics import likeliest, topk_error
from verydeep.evaluation.significance import wilson_interval
from verydeep.system.progress import ProgressTask, ProgressWish, choose_progress
from verydeep.system.summary import Rows, percent
from verydeep.transfer.features import Features, Vectors
from verydeep.transfer.label_probe import LabelProbeResult, probe_labels
from verydeep.transfer.probe_base import AnyProbe, chosen_cost, circumstances
from verydeep.transfer.storage import read_features
from verydeep.transfer.svm import Trial, fit_svm

GRID = (0.1, 1.0, 10.0, 100.0, 1000.0)
"""Candidate values of C. Unit vectors need larger values than standardised data."""

Labels = NDArray[np.intp]


@dataclass(frozen=True)
class ProbeAnswers:
    """Predictions of the SVM.

    Attributes:
        files: Names of the images, N.
        labels: Names of the true classes.
        guesses: Names of the predicted classes.
        in_top5: Whether the true class is among the five largest margins.
    """

    files: tuple[str, ...]
    labels: tuple[str, ...]
    guesses: tuple[str, ...]
    in_top5: tuple[bool, ...]

    def rows(self) -> Iterator[Sequence[str]]:
        """Yield the rows of a table: its head, then true and predicted class of each image."""
        yield ("file", "class", "guess")
        yield from zip(self.files, self.labels, self.guesses, strict=True)


@dataclass(frozen=True, repr=False, kw_only=True)
class ProbeResult(AnyProbe):
    """Result of a linear probe.

    Attributes:
        top1_error: Images whose class did not have the largest margin, in percent.
        top1_interval: 95 % interval of the top-1 error (Wilson), in percent.
        top5_error: Images whose class was not among the five largest margins (K, if fewer).
        top5_interval: 95 % interval of the top-5 error.
        mean_class_recall: Recall averaged over the classes, in percent; the measure of Caltech-101
            and -256.
        answers: Predictions; not in :meth:`to_dict`.
    """

    top1_error: float
    top1_interval: tuple[float, float]
    top5_error: float
    top5_interval: tuple[float, float]
    mean_class_recall: float
    answers: ProbeAnswers = field(repr=False, compare=False)

    def facts(self) -> Rows:
        """Yield the displayed facts."""
        yield "top-1 error", percent(self.top1_error, self.top1_interval)
        yield "mean class recall", percent(self.mean_class_recall)
        yield "images", f"{self.images:,} of {self.split}"
        yield "C", f"{self.C:g}"


FOLDS = 5
"""Default number of folds."""


def probe(
    features: Features | str | Path,
    *,
    C: float | Sequence[float] = GRID,
    folds: int = FOLDS,
    seed: int = 0,
    split: str | None = None,
    progress: ProgressWish = None,
) -> ProbeResult | LabelProbeResult:
    """Train a linear SVM on the features of the training split and test it on another split.

    The SVM is one-versus-rest with squared hinge loss (scikit-learn's ``LinearSVC``). Features of
    multi-label data get one for each class, measured by the mean average precision.

    Args:
        features: Features from :func:`verydeep.features`, or a file of them.
        C: Cost of errors; among several values, the one with the smallest cross-validation error on
            the training split is chosen (of multi-label data, the highest mean average precision),
            the smallest in a tie.
        folds: Number of stratified folds.
        seed: Random seed of folds and solver.
        split: Split to test; None means ``test`` if present, else ``val``.
        progress: Progress reporter; None reports in notebooks and terminals, False never, True
            always.

    Raises:
        DataError: There are no features, the training or test split is missing, there is only one
            class, or a class has fewer training images than folds.
        InputError: C or folds is out of range, or the split is the training split.
    """
    progress = choose_progress(progress)
    features = features if isinstance(features, Features) else read_features(features)
    costs = _checked_costs(C)
    train, tested = features.split("train"), features.split(_tested(features, split))
    if len(costs) > 1:
        _check_count(folds)
    title = f"cross-validation of C, {plural(folds, 'fold')}"
    with progress.task(title, len(costs) * folds) as task:
        kind = probe_labels if features.about.multi_label else _probe_classes
        return kind(train, tested, costs, folds, seed, task)


def _probe_classes(
    train: Features,
    tested: Features,
    costs: Sequence[float],
    folds: int,
    seed: int,
    task: ProgressTask,
) -> ProbeResult:
    """Train and test an SVM on classes; arguments as for ``probe_labels``."""
    started, about = time.perf_counter(), train.about
    names, labels = np.unique(train.labels, return_inverse=True)
    if len(names) < 2:
        raise DataError(
            f"features of {about.data}: the training split has one class, "
            f"{str(names[0])!r}; an SVM needs at least two"
        )
    grid: tuple[Trial, ...] = ()
    if len(costs) > 1:
        check_folds(folds, names, np.bincount(labels))
        grid = _cross_validate(train.vectors, labels, costs, folds, seed, task)
    best = chosen_cost(grid, costs)
    svm, converged = fit_svm(train.vectors, labels, best, seed)
    known = {name: label for label, name in enumerate(names.tolist())}
    truth = torch.tensor([known.get(name, -1) for name in tested.labels.tolist()])
    scores = _scores(svm, tested.vectors)
    guesses = names[likeliest(scores, 1)[:, 0]]
    count = len(tested)
    errors = [topk_error(scores, truth, k) for k in (1, 5)]
    intervals = [wilson_interval(round(error * count / 100), count) for error in errors]
    return ProbeResult(
        top1_error=errors[0],
        top1_interval=intervals[0],
        top5_error=errors[1],
        top5_interval=intervals[1],
        mean_class_recall=mean_class_recall(tested.labels.tolist(), guesses.tolist()),
        **circumstances(train, tested, grid, folds, started),
        classes=len(names),
        C=best,
        converged=converged,
        seed=seed,
        answers=ProbeAnswers(
            tuple(tested.files.tolist()),
            tuple(tested.labels.tolist()),
            tuple(guesses.tolist()),
            tuple((likeliest(scores, 5) == truth[:, None]).any(1).tolist()),
        ),
    )


def mean_class_recall(labels: Sequence[str], guesses: Sequence[str]) -> float:
    """Return the recall averaged over the occurring classes, in percent.

    >>> mean_class_recall(["cat", "cat", "cat", "cat", "dog"], ["cat", "cat", "cat", "dog", "dog"])
    87.5
    """
    return 100 * float(recall_score(labels, guesses, labels=np.unique(labels), average="macro"))


def _checked_costs(C: float | Sequence[float]) -> tuple[float, ...]:
    costs = (C,) if isinstance(C, int | float | np.number) else tuple(C)
    if not costs or not all(0 < cost < float("inf") for cost in costs):
        raise InputError(
            f"C must be one number or more, each above 0 and finite, got {C!r} instead"
        )
    return tuple(sorted({float(cost) for cost in costs}))


def _tested(features: Features, split: str | None) -> str:
    if split == "train":
        raise InputError(
            "split must not be 'train', on which the SVM is trained: that error says nothing about "
            "other images"
        )
    present = [name for name in ("test", "val") if name in features.split_names]
    if split is None and not present:
        raise DataError(
            f"features of {features.about.data}: no split test or val to report; there is "
            f"{', '.join(features.split_names)}"
        )
    return split or present[0]


def _check_count(folds: int) -> None:
    if folds < 2:
        raise InputError(f"folds must be 2 or more, got {folds} instead; or give a single C")


def check_folds(folds: int, names: NDArray[np.str_], counts: NDArray[np.int64]) -> None:
    """Refuse classes with fewer training images than folds.

    Args:
        folds: Number of folds.
        names: Names of the classes, (K,).
        counts: Numbers of their training images, (K,).

    Raises:
        DataError: A class has fewer.
    """
    rarest = int(counts.argmin())
    if counts[rarest] < folds:
        raise DataError(
            f"{folds} folds need {folds} training images of each class, but class "
            f"{str(names[rarest])!r} has {counts[rarest]}: use fewer folds, or give a single C"
        )


def _cross_validate(
    vectors: Vectors,
    labels: Labels,
    costs: Sequence[float],
    folds: int,
    seed: int,
    task: ProgressTask,
) -> tuple[Trial, ...]:
    """Return the cross-validation results of every C on the same folds."""
    cut = StratifiedKFold(folds, shuffle=True, random_state=seed)
    wrong, converged = dict.fromkeys(costs, 0), dict.fromkeys(costs, True)
    done = 0
    for kept, held in cut.split(vectors, labels):
        for cost in costs:
            svm, reached = fit_svm(vectors[kept], labels[kept], cost, seed)
            wrong[cost] += int(np.count_nonzero(svm.predict(vectors[held]) != labels[held]))
            converged[cost] &= reached
            done += 1
            task.update(done)
    return tuple(Trial(cost, 100 * wrong[cost] / len(labels), converged[cost]) for cost in costs)


def _scores(svm: Any, vectors: Vectors) -> Tensor:
    """Return margins (N, K)."""
    margins = torch.from_numpy(svm.decision_function(vectors))
    return torch.stack([-margins, margins], 1) if margins.dim() == 1 else margins
