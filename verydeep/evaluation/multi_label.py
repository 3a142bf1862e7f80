"""Result of a test of a multi-label classifier: measures, thresholds, every answer.

A class's posterior is the sigmoid of its score, where a classifier of one class per image takes
the softmax; views, scales and averages are the same (:mod:`verydeep.evaluation.posteriors`).

N images, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from verydeep.data.samples import Samples
from verydeep.evaluation.any_evaluation import AnyEvaluation
from verydeep.evaluation.description import steps, way_of_testing
from verydeep.evaluation.joint_tests import Model
from verydeep.evaluation.label_metrics import (
    average_precision,
    average_precision_11,
    average_precisions,
    binary_log_losses,
    counts_of,
    coverage_error,
    f1_of,
    interval_of_mean,
    mean_of_known,
    ranking_loss,
)
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.thresholds import USUAL, Thresholds
from verydeep.system.csv_text import in_one_cell
from verydeep.system.summary import Rows, percent


class MultiLabelModel(Model, Interface):
    """A multi-label net to test."""

    @property
    def thresholds(self) -> Thresholds | None:
        """Thresholds of its classes; None if they were not fitted."""


@dataclass(frozen=True)
class LabelAnswers:
    """Answers of a test for every readable image.

    Attributes:
        names: Names of the N images.
        truth: True for the classes of each image, bool (N, K).
        posteriors: float32 (N, K).
        thresholds: Threshold of each class, float64 (K,); (N, K) if nets with other thresholds
            answered for other images.
        classes: Names of the K classes.
    """

    names: tuple[str, ...]
    truth: NDArray[np.bool_]
    posteriors: NDArray[np.float32]
    thresholds: NDArray[np.float64]
    classes: tuple[str, ...]

    @property
    def predicted(self) -> NDArray[np.bool_]:
        """True for the predicted classes of each image, bool (N, K)."""
        return np.asarray(self.posteriors >= self.thresholds)


@dataclass(frozen=True, repr=False, kw_only=True)
class MultiLabelResult(AnyEvaluation):
    """Result of a test of a multi-label classifier, with its settings.

    A top-1 error means nothing where an image has several classes or none, so there is none.

    Attributes:
        mean_average_precision: Mean over the classes that occur, in percent (macro).
        mean_average_precision_interval: Its 95 % interval, in percent: a bootstrap over images.
        micro_average_precision: Of all pairs of image and class together, in percent.
        voc2007_mean_average_precision: With the 11-point precision of Pascal VOC 2007, in percent.
        average_precision: By class, in percent; None for a class that does not occur.
        micro_f1: F1 of all predicted labels together, at the thresholds, in percent.
        macro_f1: Mean F1 of the classes that occur or are predicted, in percent.
        micro_precision: Share of the predicted labels that are right, in percent.
        micro_recall: Share of the true labels that are predicted, in percent.
        subset_accuracy: Images whose set of labels is exactly right, in percent.
        hamming_loss: Wrong decisions on an image and a class, in percent.
        coverage_error: Mean number of classes down the ranking to meet all true ones.
        ranking_loss: Mean share of pairs of a true and another class in the wrong order.
        loss: Binary cross-entropy, mean over images and classes, in nats.
        thresholds: By class.
        thresholds_fitted_on: Split that the thresholds were fitted on, or several with commas
            between them if those of fused nets differ; None if all are 0.5.
        unlabelled: Number of tested images without any label.
        answers: Answers for every image; not in :meth:`to_dict`.
    """

    mean_average_precision: float
    mean_average_precision_interval: tuple[float, float]
    micro_average_precision: float
    voc2007_mean_average_precision: float
    average_precision: Mapping[str, float | None]
    micro_f1: float
    macro_f1: float
    micro_precision: float
    micro_recall: float
    subset_accuracy: float
    hamming_loss: float
    coverage_error: float
    ranking_loss: float
    loss: float
    thresholds: Mapping[str, float]
    thresholds_fitted_on: str | None
    unlabelled: int
    answers: LabelAnswers = field(repr=False, compare=False)

    def main_measures(self) -> Rows:
        """Yield mean average precision and F1."""
        interval = self.mean_average_precision_interval
        yield "mean average precision", percent(self.mean_average_precision, interval)
        yield "micro F1", percent(self.micro_f1)


def joined_names(classes: Sequence[str], chosen: NDArray[np.bool_]) -> str:
    """Return the names of chosen classes, bool (K,), as one cell of a table.

    >>> joined_names(("cat", "dog", "fox"), np.array([True, False, True]))
    'cat|fox'
    """
    return in_one_cell(classes[label] for label in np.flatnonzero(chosen).tolist())


def truth_of(samples: Samples, classes: int) -> NDArray[np.bool_]:
    """Return True for the classes of each image, bool (N, K)."""
    assert samples.label_sets is not None
    return samples.label_sets.indicators(classes).astype(np.bool_)[samples.labels]


def thresholds_of(models: Sequence[MultiLabelModel]) -> NDArray[np.float64]:
    """Return the mean thresholds of nets that are fused, float64 (K,); 0.5 where none is known."""
    usual = [USUAL] * len(models[0].classes)
    each = [model.thresholds.values if model.thresholds else usual for model in models]
    return np.asarray(np.mean(each, axis=0))


def make_label_result(
    models: Sequence[MultiLabelModel],
    protocols: Sequence[TestProtocol],
    answers: LabelAnswers,
    *,
    unreadable: tuple[str, ...],
    split: str,
    seconds: float,
) -> MultiLabelResult:
    """Return the result of a test; arguments as for ``make_result``."""
    fitted = dict.fromkeys(model.thresholds.split for model in models if model.thresholds)
    return MultiLabelResult(
        **measures_of(answers),
        thresholds=dict(zip(answers.classes, answers.thresholds.tolist(), strict=True)),
        thresholds_fitted_on=", ".join(fitted) or None,
        classes=len(answers.classes),
        images=len(answers.names),
        unlabelled=int((~answers.truth.any(1)).sum()),
        unreadable=unreadable,
        **way_of_testing(models, protocols),
        steps=steps(models, protocols, "sigmoid"),
        split=split,
        seconds=seconds,
        answers=answers,
    )


def measures_of(answers: LabelAnswers) -> dict[str, Any]:
    """Return the measures of a test by name; see :class:`MultiLabelResult`."""
    likely, truth, predicted = answers.posteriors, answers.truth, answers.predicted
    by_class = 100 * average_precisions(likely, truth)
    low, high = interval_of_mean(likely, truth)
    counts = counts_of(predicted, truth)
    right, found, true = counts.sum(1).tolist()
    pairs = zip(likely.T, truth.T, strict=True)
    return {
        "mean_average_precision": mean_of_known(by_class),
        "mean_average_precision_interval": (100 * low, 100 * high),
        "micro_average_precision": 100 * average_precision(likely.ravel(), truth.ravel()),
        "voc2007_mean_average_precision": 100
        * mean_of_known([average_precision_11(scores, own) for scores, own in pairs]),
        "average_precision": {
            name: value if np.isfinite(value) else None
            for name, value in zip(answers.classes, by_class.tolist(), strict=True)
        },
        "micro_f1": 100 * float(f1_of(counts.sum(1))),
        "macro_f1": 100 * mean_of_known(f1_of(counts)),
        "micro_precision": 100 * right / found if found else float("nan"),
        "micro_recall": 100 * right / true if true else float("nan"),
        "subset_accuracy": 100 * float((predicted == truth).all(1).mean()),
        "hamming_loss": 100 * float((predicted != truth).mean()),
        "coverage_error": coverage_error(likely, truth),
        "ranking_loss": ranking_loss(likely, truth),
        "loss": float(binary_log_losses(likely, truth).mean()),
    }
