"""Result of a test: errors with intervals, calibration, steps, every answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from verydeep.evaluation.abstention.abstention import Abstention, Decisions
from verydeep.evaluation.abstention.measured import learned_for, measure_abstention
from verydeep.evaluation.any_evaluation import AnyEvaluation
from verydeep.evaluation.calibration import (
    Calibration,
    calibration_error_by_chance,
    expected_calibration_error,
    temper,
)
from verydeep.evaluation.description import Described, steps, way_of_testing
from verydeep.evaluation.metrics import likeliest, log_loss, macro_f1, topk_error
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.significance import wilson_interval
from verydeep.system.summary import Rows, percent


class Calibrated(Described, Interface):
    """Properties of a net that a result mentions."""

    @property
    def calibration(self) -> Calibration | None:
        """Temperature of its probabilities; None if none was fitted."""

    @property
    def abstention(self) -> Abstention | None:
        """When it abstains; None if it has not learned that."""


@dataclass(frozen=True)
class Answers:
    """Answers of a test for every readable image.

    Attributes:
        names: Names of the N images.
        labels: True classes, int64 (N,).
        posteriors: float32 (N, K); rows sum to one.
        classes: Names of the K classes.
        distances: Distances of the features from those of training images, float32 (N,); None if
            they were not computed.
    """

    names: tuple[str, ...]
    labels: NDArray[np.int64]
    posteriors: NDArray[np.float32]
    classes: tuple[str, ...]
    distances: NDArray[np.float32] | None = None

    @property
    def guesses(self) -> NDArray[np.int64]:
        """Most likely classes, int64 (N,); ties go to the first class."""
        return likeliest(self.posteriors, 1)[:, 0]

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """True where the most likely class is wrong, bool (N,)."""
        return np.not_equal(self.guesses, self.labels)


@dataclass(frozen=True, repr=False, kw_only=True)
class EvaluationResult(AnyEvaluation):
    """Result of a test of a classifier of one class per image, with its settings.

    Attributes:
        top1_error: Images whose class was not the most likely, in percent.
        top5_error: Images whose class was not among the five most likely (K, if fewer: it is 0
            then), in percent.
        top1_interval: 95 % confidence interval of the top-1 error (Wilson), in percent.
        top5_interval: The same for the top-5 error.
        top1_accuracy: 100 − top-1 error, in percent.
        macro_f1: Mean F1 of the classes, in percent; see
            :func:`verydeep.evaluation.metrics.macro_f1`.
        loss: Mean −log probability of the true class, in nats.
        calibration_error: Mean gap between confidence and accuracy, in percent (15 bins).
        calibration_error_by_chance: Its mean for a perfectly calibrated net, in percent. It is
            not zero, because the accuracy of few images in a bin varies by chance.
        calibrated: Temperature, with loss and calibration error at it; None without a temperature
            or for fused models.
        abstention: Share of answered images, error among them, coverage and size of the sets of
            classes; see :func:`verydeep.evaluation.abstention.measured.measure_abstention`. None if
            the model has not learned to abstain in this test, or for fused models.
        answers: Answers for every image; not in :meth:`to_dict`.
        symptoms: Signs of a mistake in the import of the weights; not in :meth:`to_dict`.
        decisions: Which images were answered, and their sets of classes; not in :meth:`to_dict`.
    """

    top1_error: float
    top5_error: float
    top1_interval: tuple[float, float]
    top5_interval: tuple[float, float]
    top1_accuracy: float
    macro_f1: float
    loss: float
    calibration_error: float
    calibration_error_by_chance: float
    calibrated: Mapping[str, float] | None
    answers: Answers = field(repr=False, compare=False)
    symptoms: Sequence[Mapping[str, Any]] = field(default=(), repr=False, compare=False)
    abstention: Mapping[str, Any] | None = None
    decisions: Decisions | None = field(default=None, repr=False, compare=False)

    def main_measures(self) -> Rows:
        """Yield the errors."""
        yield "top-1 error", percent(self.top1_error, self.top1_interval)
        if len(self.answers.classes) > 5:
            yield "top-5 error", percent(self.top5_error, self.top5_interval)


def make_result(
    models: Sequence[Calibrated],
    protocols: Sequence[TestProtocol],
    answers: Answers,
    *,
    unreadable: tuple[str, ...],
    split: str,
    seconds: float,
) -> EvaluationResult:
    """Return the result of a test.

    Args:
        models: Nets whose posteriors were averaged.
        protocols: One for each net.
        answers: Answers for every readable image.
        unreadable: Names of the images that could not be read.
        split: Name of the split.
        seconds: Time of the test.
    """
    decided = _decided(models, protocols, answers)
    return EvaluationResult(
        **measures(answers),
        unreadable=unreadable,
        **way_of_testing(models, protocols),
        steps=steps(models, protocols),
        split=split,
        seconds=seconds,
        calibrated=_at_temperature(models, answers),
        answers=answers,
        abstention=measure_abstention(decided, answers.wrong, answers.labels) if decided else None,
        decisions=decided,
    )


def measures(answers: Answers) -> dict[str, Any]:
    """Return all measures that follow from answers alone, by attribute of the result."""
    likely, labels, count = answers.posteriors, answers.labels, len(answers.labels)
    errors = [topk_error(likely, labels, k) for k in (1, 5)]
    intervals = [wilson_interval(round(error * count / 100), count) for error in errors]
    return {
        "top1_error": errors[0],
        "top5_error": errors[1],
        "top1_interval": intervals[0],
        "top5_interval": intervals[1],
        "top1_accuracy": 100 - errors[0],
        "macro_f1": macro_f1(answers.guesses, labels),
        "loss": log_loss(likely, labels),
        "calibration_error": expected_calibration_error(likely, labels),
        "calibration_error_by_chance": calibration_error_by_chance(likely.max(1)),
        "classes": len(answers.classes),
        "images": count,
    }


def _decided(
    models: Sequence[Calibrated], protocols: Sequence[TestProtocol], answers: Answers
) -> Decisions | None:
    learned = learned_for(models, protocols)
    if learned is None:
        return None
    calibration, likely = models[0].calibration, answers.posteriors
    if calibration:
        likely = temper(likely, calibration.temperature)
    return learned.decide(likely, answers.distances)


def _at_temperature(models: Sequence[Calibrated], answers: Answers) -> dict[str, float] | None:
    calibration = models[0].calibration if len(models) == 1 else None
    if calibration is None:
        return None
    likely = temper(answers.posteriors, calibration.temperature)
    return {
        "temperature": calibration.temperature,
        "loss": log_loss(likely, answers.labels),
        "calibration_error": expected_calibration_error(likely, answers.labels),
    }
