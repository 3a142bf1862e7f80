"""Linear probe of multi-label data: an SVM for each class, as the paper's appendix B on Pascal VOC.

N images, D features, K classes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verydeep.data.label_split import random_folds
from verydeep.errors import DataError
from verydeep.evaluation.label_metrics import (
    average_precision_11,
    average_precisions,
    counts_of,
    f1_of,
    interval_of_mean,
    mean_of_known,
)
from verydeep.evaluation.multi_label import joined_names
from verydeep.system.progress import ProgressTask
from verydeep.system.summary import Rows, percent
from verydeep.transfer.features import Features, Vectors
from verydeep.transfer.probe_base import AnyProbe, chosen_cost, circumstances
from verydeep.transfer.svm import Trial, fit_svm

Margins = NDArray[np.float64]


@dataclass(frozen=True)
class LabelProbeAnswers:
    """Answers of the SVMs.

    Attributes:
        files: Names of the N images.
        truth: True for the classes of each image, bool (N, K).
        margins: Margin of each class, float64 (N, K); a class is predicted from 0 on.
        classes: Names of the K classes.
    """

    files: tuple[str, ...]
    truth: NDArray[np.bool_]
    margins: Margins
    classes: tuple[str, ...]

    def rows(self) -> Iterator[Sequence[str]]:
        """Yield the rows of a table: its head, then true and predicted labels of each image."""
        yield ("file", "labels", "guesses")
        for name, true, found in zip(self.files, self.truth, self.margins >= 0, strict=True):
            yield (name, *(joined_names(self.classes, one) for one in (true, found)))


@dataclass(frozen=True, repr=False, kw_only=True)
class LabelProbeResult(AnyProbe):
    """Result of a linear probe of multi-label data.

    An error in ``grid`` is 100 − mean average precision, averaged over the folds.

    Attributes:
        mean_average_precision: Mean over the classes that occur, in percent.
        mean_average_precision_interval: Its 95 % interval, in percent: a bootstrap over images.
        average_precision: By class, in percent; None for a class that does not occur.
        voc2007_mean_average_precision: With the 11-point precision of Pascal VOC 2007, in percent.
        micro_f1: F1 of the labels with a margin from 0 on, in percent.
        unlabelled: Number of test images without any label.
        answers: Margins of every image; not in :meth:`to_dict`.
    """

    mean_average_precision: float
    mean_average_precision_interval: tuple[float, float]
    average_precision: Mapping[str, float | None]
    voc2007_mean_average_precision: float
    micro_f1: float
    unlabelled: int
    answers: LabelProbeAnswers = field(repr=False, compare=False)

    def facts(self) -> Rows:
        """Yield the displayed facts."""
        interval = self.mean_average_precision_interval
        yield "mean average precision", percent(self.mean_average_precision, interval)
        yield "micro F1", percent(self.micro_f1)
        yield "images", f"{self.images:,} of {self.split}"
        yield "C", f"{self.C:g}"


def probe_labels(
    train: Features,
    tested: Features,
    costs: Sequence[float],
    folds: int,
    seed: int,
    task: ProgressTask,
) -> LabelProbeResult:
    """Train an SVM for each class and test them; arguments as for ``probe``.

    Args:
        train: Features of the training split.
        tested: Features of the split to test.
        costs: Candidate values of C, ascending.
        folds: Number of folds.
        seed: Random seed of folds and solver.
        task: Told of finished fits.

    Raises:
        DataError: The training images have no label, or all have all, or are fewer than the folds.
    """
    started, truth = time.perf_counter(), train.truth()
    if not ((truth.any(0)) & ~truth.all(0)).any():
        raise DataError(
            f"features of {train.about.data}: no class is on some training images and not on "
            "others; an SVM needs both"
        )
    if len(costs) > 1 and len(train) < folds:
        raise DataError(
            f"{folds} folds need {folds} training images, but there are {len(train)}: use fewer "
            "folds, or give a single C"
        )
    grid = _cross_validate(train.vectors, truth, costs, folds, seed, task)
    best = chosen_cost(grid, costs)
    margins, converged = _margins(train.vectors, truth, tested.vectors, best, seed)
    classes = train.about.classes
    answers = LabelProbeAnswers(tuple(tested.files.tolist()), tested.truth(), margins, classes)
    return LabelProbeResult(
        **_measures(answers),
        **circumstances(train, tested, grid, folds, started),
        unlabelled=int((~answers.truth.any(1)).sum()),
        classes=len(classes),
        C=best,
        converged=converged,
        seed=seed,
        answers=answers,
    )


def _measures(answers: LabelProbeAnswers) -> dict[str, Any]:
    margins, truth = answers.margins, answers.truth
    by_class = 100 * average_precisions(margins, truth)
    low, high = interval_of_mean(margins, truth)
    older = [average_precision_11(*pair) for pair in zip(margins.T, truth.T, strict=True)]
    return {
        "mean_average_precision": mean_of_known(by_class),
        "mean_average_precision_interval": (100 * low, 100 * high),
        "average_precision": {
            name: value if np.isfinite(value) else None
            for name, value in zip(answers.classes, by_class.tolist(), strict=True)
        },
        "voc2007_mean_average_precision": 100 * mean_of_known(older),
        "micro_f1": 100 * float(f1_of(counts_of(margins >= 0, truth).sum(1))),
    }


def _cross_validate(
    vectors: Vectors,
    truth: NDArray[np.bool_],
    costs: Sequence[float],
    folds: int,
    seed: int,
    task: ProgressTask,
) -> tuple[Trial, ...]:
    """Return the cross-validation of every C on the same folds; empty for a single C."""
    if len(costs) == 1:
        return ()
    dealt, done = random_folds(truth, folds, seed), 0
    trials = []
    for cost in costs:
        precisions, converged = [], True
        for fold in range(folds):
            held = dealt == fold
            margins, reached = _margins(vectors[~held], truth[~held], vectors[held], cost, seed)
            precisions.append(mean_of_known(average_precisions(margins, truth[held])))
            converged &= reached
            done += 1
            task.update(done)
        trials.append(Trial(cost, 100 - 100 * mean_of_known(precisions), converged))
    return tuple(trials)


def _margins(
    vectors: Vectors, truth: NDArray[np.bool_], tested: Vectors, cost: float, seed: int
) -> tuple[Margins, bool]:
    """Return the margins of all classes for tested vectors, and whether all SVMs converged.

    A class that all training images have, or none, has the same margin everywhere.
    """
    margins = np.empty((len(tested), truth.shape[1]))
    converged = True
    for label, own in enumerate(truth.T):
        if own.all() or not own.any():
            margins[:, label] = 1 if own.any() else -1
            continue
        svm, reached = fit_svm(vectors, own, cost, seed)
        margins[:, label] = svm.decision_function(tested)
        converged &= reached
    return margins, converged
